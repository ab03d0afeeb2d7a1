from __future__ import annotations

import os
import pathlib
from pathlib import Path
from typing import Any

import pytest
from dovetail.errors import MaterializerError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model.v1"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "er" / "ü b.bin").write_bytes(b"\x00")
    return folder


def test_a_file_comes_back_as_a_path_of_the_same_name_with_the_same_content(shelf: Any, folder: Path) -> None:
    stored, saved = shelf.save(folder / "a.txt")
    (folder / "a.txt").write_text("changed")
    loaded = shelf.load(stored, saved)
    assert type(loaded) is type(Path())
    assert loaded.name == "a.txt"
    assert loaded.read_text() == "a"
    assert saved.metadata == {"name": "a.txt", "files": 1, "bytes": 1}


def test_a_folder_comes_back_with_everything_below_it(shelf: Any, folder: Path) -> None:
    stored, saved = shelf.save({"here": folder})
    loaded = shelf.load(stored, saved)["here"]
    assert loaded.name == "model.v1"
    found = {file.relative_to(loaded).as_posix(): file.read_bytes() for file in loaded.rglob("*") if file.is_file()}
    assert found == {"a.txt": b"a", "deep/er/ü b.bin": b"\x00"}


def test_equal_folders_give_equal_bytes_wherever_they_lie(shelf: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shelf.content(folder)
    monkeypatch.chdir(tmp_path)
    assert shelf.content(Path("model.v1")) == first
    assert shelf.content(Path("model.v1/deep/..")) == first
    os.rename(folder, tmp_path / "other")
    assert shelf.content(tmp_path / "other") != first


def test_links_are_followed_and_circles_refused(shelf: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "f").write_text("far")
    (folder / "link").symlink_to(tmp_path / "far")
    (folder / "alias").symlink_to(folder / "a.txt")
    loaded = shelf.round_trip(folder)
    assert (loaded / "link" / "f").read_text() == "far"
    assert not (loaded / "alias").is_symlink()
    (folder / "deep" / "up").symlink_to(folder)
    with pytest.raises(MaterializerError, match="leads back to a folder that holds it"):
        shelf.save(folder)


def test_what_is_no_file_is_refused_with_the_cure(shelf: Any, folder: Path) -> None:
    with pytest.raises(MaterializerError, match=r"leads to nothing.*return str\(path\)"):
        shelf.save([folder / "absent"])
    with pytest.raises(MaterializerError, match="root of a file system"):
        shelf.save(Path("/"))
    os.mkfifo(folder / "pipe")
    with pytest.raises(MaterializerError, match="pipe, socket or device"):
        shelf.save(folder)
    (folder / "pipe").unlink()
    (folder / "dangling").symlink_to("nowhere")
    with pytest.raises(MaterializerError, match="dangling leads to nothing"):
        shelf.save(folder)
    (folder / "dangling").unlink()
    (folder / "new\nline").write_text("")
    with pytest.raises(MaterializerError, match="cannot be stored everywhere"):
        shelf.save(folder)


def test_empty_folders_are_told_about_since_a_store_keeps_files_only(shelf: Any, folder: Path) -> None:
    (folder / "assets").mkdir()
    with pytest.warns(UserWarning, match="assets is empty and not kept"):
        loaded = shelf.round_trip(folder)
    assert not (loaded / "assets").exists()
    with pytest.raises(MaterializerError, match="holds no file"):
        shelf.save(folder / "assets")


def test_a_folder_that_holds_the_store_is_refused(shelf: Any, tmp_path: Path) -> None:
    with pytest.raises(MaterializerError, match="holds the artifact store"):
        shelf.save(tmp_path)


class Odd(type(Path())):  # type: ignore[misc]
    pass


def test_a_subclass_of_path_is_refused(shelf: Any, folder: Path) -> None:
    with pytest.raises(MaterializerError, match=r"Return pathlib.Path\(…\)"):
        shelf.save(Odd(folder))


def test_a_pure_path_is_a_name_and_not_a_file(shelf: Any) -> None:
    value = pathlib.PurePosixPath("no/such/file")
    assert shelf.round_trip([value]) == [value]


def test_bytes_lie_alone_in_a_file(shelf: Any) -> None:
    for value in (b"", b"\x00abc", bytearray(b"abc")):
        stored, saved = shelf.save(value)
        assert [file.read_bytes() for file in stored.iterdir()] == [bytes(value)]
        loaded = shelf.load(stored, saved)
        assert type(loaded) is type(value)
        assert loaded == value
