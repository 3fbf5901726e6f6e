"""Real grey pictures: scikit-learn's two sample photographs (CC BY), a digit of each class, and uploads.

Pillow is imported where a photograph is opened, so that whoever trains on digits does not need it.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.digits import CLASSES, load, sklearn_file

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

PHOTOS = ("china", "flower")
DIGITS = tuple(f"digit{label}" for label in range(CLASSES))
PICTURES = (*DIGITS, *PHOTOS)
MAX_PIXELS = 20_000_000  # of an upload: a phone's photo passes, a picture made to fill the server's memory does not
REASONS = ("empty", "type", "corrupt", "huge")


class PictureError(ValueError):
    """An upload that is no usable picture; `reason` is one of REASONS."""

    def __init__(self, reason: str):
        self.reason = reason
        super().__init__(f"the upload is no usable picture: {reason}")


@lru_cache(maxsize=256)
def picture(code: str, side: int) -> Tensor:
    """One picture (side, side) with values in 0…1; the same tensor for every caller, to be read and never written.

    Raises:
        ValueError: `code` is none of PICTURES, or `side` is below 1.
    """
    if code not in PICTURES:
        raise ValueError(f"picture must be one of {', '.join(PICTURES)}, got {code!r}")
    if side < 1:
        raise ValueError(f"side must be at least 1, got {side}")
    return photo(code, side) if code in PHOTOS else digit(int(code.removeprefix("digit")), side)


def digit(label: int, side: int) -> Tensor:
    """The first held-out digit of a class, resized to (side, side)."""
    digits = load()
    image = digits.test_images[digits.test_labels == label][:1]  # (1, 1, 8, 8)
    return F.interpolate(image, size=(side, side), mode="bilinear", antialias=True)[0, 0]


def photo(name: str, side: int) -> Tensor:
    """The middle square of a sample photograph in grey, resized to (side, side)."""
    from PIL import Image

    with Image.open(sklearn_file(f"images/{name}.jpg")) as image:
        return grey_square(image, side)


def from_bytes(data: bytes, side: int) -> Tensor:
    """The middle square of an uploaded PNG, JPEG or WebP in grey, resized to (side, side), values in 0…1.

    Raises:
        PictureError: the upload is empty, of another type, corrupt, or has more than MAX_PIXELS.
    """
    from PIL import Image

    if not data:
        raise PictureError("empty")
    kind = file_type(data)
    if kind is None:
        raise PictureError("type")
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:  # reads the header only
            if image.width * image.height > MAX_PIXELS:
                raise PictureError("huge")
            return grey_square(image, side)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError("huge") from error
    except Exception as error:  # a decoder meets forged bytes: it may raise anything
        raise PictureError("corrupt") from error


def file_type(data: bytes) -> str | None:
    """Pillow's name of the file's type by its first bytes, or None where it is none that we accept."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    return None


def grey_square(image: PillowImage, side: int) -> Tensor:
    """The middle square of an opened picture, upright, transparency on white, as grey (side, side) in 0…1."""
    from PIL import Image, ImageOps

    image.draft(None, (8 * side, 8 * side))  # a JPEG is decoded no larger than needed: memory and time
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits per pixel: Pillow would clip them to 8 instead of scaling
        values = numpy.asarray(upright)
        bright = (values // 256).clip(0, 255).astype(numpy.uint8)
        bright[values == upright.info.get("transparency", -1)] = 255  # one value may stand for transparent
        upright = Image.fromarray(bright)
    elif upright.has_transparency_data:
        colours = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
    square = ImageOps.fit(upright.convert("L"), (side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(numpy.array(square, dtype=numpy.float32)) / 255
