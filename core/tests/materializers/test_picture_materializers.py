from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import pytest
from dovetail.errors import MaterializerError
from matplotlib.figure import Figure
from PIL import Image

MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16", "La", "RGBa"]


def picture(mode: str) -> Image.Image:
    size = (5, 3)
    blank = Image.new(mode, size)
    data = bytes(n * 37 % 251 for n in range(len(blank.tobytes())))
    image = Image.frombytes(mode, size, data if mode != "F" else bytes(len(data)))
    if mode in ("P", "PA"):
        image.putpalette(bytes(range(48)))
    return image


@pytest.mark.parametrize("mode", MODES)
def test_images_of_every_mode_come_back_equal(shelf: Any, mode: str) -> None:
    image = picture(mode)
    image.info = {"dpi": (72, 72.5), "note": b"\x00", "gamma": 0.5, "transparency": 3}
    folder, saved = shelf.save(image)
    loaded = shelf.load(folder, saved)
    assert loaded == image
    assert type(loaded) is Image.Image
    assert loaded.info == image.info
    assert shelf.content(loaded) == shelf.files(folder)
    assert saved.metadata == {"mode": mode, "width": 5, "height": 3}


def test_palettes_with_transparency_come_back(shelf: Any) -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette(bytes(range(8)), "RGBA")
    loaded = shelf.round_trip(image)
    assert loaded.palette.mode == "RGBA"
    assert loaded.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()


def test_an_image_from_a_file_comes_back_as_its_pixels(shelf: Any, tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as opened:
        loaded = shelf.round_trip({"image": opened})["image"]
        assert loaded.tobytes() == opened.tobytes()
        assert loaded.info == opened.info


def test_an_image_without_pixels_comes_back(shelf: Any) -> None:
    assert shelf.round_trip(Image.new("RGB", (0, 3))).size == (0, 3)


def test_an_image_with_several_frames_is_refused_with_the_cure(shelf: Any, tmp_path: Path) -> None:
    picture("L").save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("L", (5, 3), 9)])
    with Image.open(tmp_path / "a.gif") as opened, pytest.raises(MaterializerError, match="2 frames. Return its file"):
        shelf.save(opened)


class Scan(Image.Image):
    pass


def test_a_subclass_of_an_image_is_refused(shelf: Any) -> None:
    with pytest.raises(MaterializerError, match=r"Return image.copy\(\)"):
        shelf.save(Scan())


@pytest.mark.parametrize("mode", MODES)
def test_every_image_can_be_looked_at(shelf: Any, tmp_path: Path, mode: str) -> None:
    assert shelf.materializers.visualizations(picture(mode), str(tmp_path)) == {"image.png": "image"}
    with Image.open(tmp_path / "image.png") as shown:
        assert shown.size == (5, 3)


def figure() -> Figure:
    made = Figure(figsize=(3, 2))
    axes = made.subplots(1, 2)
    axes[0].plot([1, 2, 3], label="line")
    axes[1].set_title("title")
    return made


def test_a_figure_comes_back_as_a_figure_and_is_marked_as_pickled(shelf: Any) -> None:
    folder, saved = shelf.save(figure())
    loaded = shelf.load(folder, saved)
    assert type(loaded) is Figure
    assert list(loaded.axes[0].lines[0].get_ydata()) == [1, 2, 3]
    assert loaded.axes[1].get_title() == "title"
    assert (saved.pickled, saved.deterministic) == (True, False)
    assert saved.metadata == {"axes": 2, "width_inches": 3.0, "height_inches": 2.0}


def test_loading_a_figure_of_pyplot_opens_no_window(shelf: Any) -> None:
    made, _ = plt.subplots()
    folder, saved = shelf.save({"figure": made})
    plt.close("all")
    loaded = shelf.load(folder, saved)["figure"]
    assert type(loaded) is Figure
    assert plt.get_fignums() == []


def test_a_figure_is_drawn_for_who_looks_at_it_and_equal_ones_alike(shelf: Any, tmp_path: Path) -> None:
    drawn = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert shelf.materializers.visualizations(figure(), str(tmp_path / name)) == {"figure.png": "image"}
        drawn.append((tmp_path / name / "figure.png").read_bytes())
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith(b"\x89PNG")
