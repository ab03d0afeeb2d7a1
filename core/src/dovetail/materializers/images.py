"""Pillow images: PNG for the modes that PNG keeps, else their bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers import json_file
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.library import library
from dovetail.materializers.structure import load_document, save_document
from dovetail.values.encoding import Json

_PNG_MODES = frozenset({"1", "L", "LA", "RGB", "RGBA"})
_PNG_PIXELS = 50_000_000  # beyond this Pillow suspects a decompression bomb
_SHOWN_AS = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}  # others as RGB


class ImageMaterializer(BaseMaterializer):
    """Mode, size, pixels, palette and `info` are kept. An image opened from a file comes back as an `Image` in memory."""

    ASSOCIATED_TYPES = ("PIL.Image.Image",)

    def save(self, value: Any) -> None:
        if type(value).__module__.partition(".")[0] != "PIL":
            raise MaterializerError(f"A {type(value).__qualname__} would come back as a plain Pillow image. Return image.copy().")
        if getattr(value, "n_frames", 1) > 1:
            raise MaterializerError(
                f"The image has {value.n_frames} frames. Return its file as a pathlib.Path, or a list of the frames."
            )
        value.load()
        document: dict[str, Any] = {"mode": value.mode, "size": list(value.size), "info": dict(value.info)}
        if value.palette is not None and value.mode in ("P", "PA"):
            document["palette"] = [value.palette.mode, bytes(value.palette.tobytes())]
        if value.mode in _PNG_MODES and 0 < value.width * value.height <= _PNG_PIXELS:
            _plain(value).save(f"{self.uri}/image.png", "PNG", compress_level=3)
        else:
            json_file.write_bytes(f"{self.uri}/image.raw", value.tobytes())
        save_document(self.uri, "image.json", document, self.nested)

    def load(self, data_type: Any) -> Any:
        document = load_document(self.uri, "image.json", self.nested)
        mode, (width, height) = document["mode"], document["size"]
        image = self._from_png() if os.path.exists(f"{self.uri}/image.png") else self._from_bytes(mode, width, height)
        if (image.mode, image.size) != (mode, (width, height)):
            raise MaterializerError(f"{self.uri} holds an image other than image.json says. Run `dovetail store verify`.")
        if "palette" in document:
            image.putpalette(document["palette"][1], document["palette"][0])
        image.info = document["info"]
        return image

    def _from_png(self) -> Any:
        with library("PIL.Image", "Pillow").open(f"{self.uri}/image.png", formats=("PNG",)) as image:
            return image.copy()

    def _from_bytes(self, mode: str, width: int, height: int) -> Any:
        data = json_file.read_bytes(f"{self.uri}/image.raw")
        if width * height > 8 * len(data):
            raise MaterializerError(f"{self.uri} holds fewer pixels than image.json says. Run `dovetail store verify`.")
        images = library("PIL.Image", "Pillow")
        return images.frombytes(mode, (width, height), data) if data else images.new(mode, (width, height))

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        return {"mode": value.mode, "width": value.width, "height": value.height}

    def save_visualizations(self, value: Any) -> Mapping[str, str]:
        shown = value.copy()
        shown.thumbnail((1024, 1024))
        mode = shown.mode if shown.mode in _PNG_MODES else _SHOWN_AS.get(shown.mode, "RGB")
        shown.convert(mode).save(f"{self.uri}/image.png", "PNG")
        return {"image.png": "image"}


def _plain(image: Any) -> Any:
    """The pixels without what `info` says, which PNG would write in its own way."""
    bare = image.copy()
    bare.info = {}
    return bare
