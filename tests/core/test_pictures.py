"""Pictures and uploads: real content, and every broken file ends in a PictureError with its reason."""

import io
import struct
import zlib

import numpy
import pytest
import torch
from PIL import Image

from core.data import digits
from core.data.pictures import MAX_PIXELS, PICTURES, PictureError, from_bytes, picture


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def halves() -> Image.Image:
    """40 wide, 20 high; the middle square is black on the left and white on the right."""
    pixels = numpy.zeros((20, 40), numpy.uint8)
    pixels[:, 20:] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("side", [1, 4, 8, 13, 32])
@pytest.mark.parametrize("code", PICTURES)
def test_every_picture_fills_its_square_with_greys(code, side):
    image = picture(code, side)
    assert image.shape == (side, side) and image.dtype == torch.float32
    assert image.min() >= 0 and image.max() <= 1
    if side > 1:
        assert image.std() > 0.05


def test_a_digit_at_its_own_size_is_the_held_out_original():
    data = digits.load()
    for label in range(10):
        image = picture(f"digit{label}", 8)
        same = (data.test_images[:, 0] == image).flatten(1).all(1)
        assert data.test_labels[same].tolist() == [label]


def test_a_photo_is_its_middle_square_in_grey():
    with Image.open(digits.sklearn_file("images/china.jpg")) as opened:
        pixels = numpy.asarray(opened.convert("L"), dtype=numpy.float64) / 255
    height, width = pixels.shape
    left = (width - height) // 2
    square = pixels[:, left : left + height]
    half = height // 2
    image = picture("china", 32).double()
    for rows, there in ((slice(0, 16), slice(0, half)), (slice(16, 32), slice(half, height))):
        assert image[rows].mean().item() == pytest.approx(square[there].mean(), abs=0.01)


def test_unknown_pictures_and_sides_are_refused():
    with pytest.raises(ValueError, match="digit10"):
        picture("digit10", 8)
    with pytest.raises(ValueError, match="side"):
        picture("china", 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK", "LA"])
def test_an_upload_of_any_colour_mode_keeps_what_it_shows(kind, mode):
    try:
        data = encode(halves().convert(mode), kind)
    except OSError:
        pytest.skip(f"{kind} has no mode {mode}")
    image = from_bytes(data, 10)
    assert image.shape == (10, 10) and image.dtype == torch.float32
    assert image[:, :4].max() < 0.15 and image[:, 6:].min() > 0.85


def test_a_16_bit_upload_is_scaled_and_not_clipped():
    pixels = numpy.linspace(0, 65535, 400).reshape(20, 20).round().astype(numpy.uint16)
    image = from_bytes(encode(Image.fromarray(pixels), "PNG"), 20)
    assert torch.allclose(image, torch.from_numpy(pixels / 65535).float(), atol=1 / 255)


def test_of_a_16_bit_upload_only_the_transparent_value_lies_on_white():
    pixels = numpy.full((8, 8), 40 * 257, numpy.uint16)
    pixels[:, 4:] = 0
    upload = encode(Image.fromarray(pixels), "PNG", transparency=0)
    assert Image.open(io.BytesIO(upload)).info["transparency"] == 0
    image = from_bytes(upload, 8)
    assert image[:, :3].max() < 0.2 and image[:, 5:].min() == 1


def test_transparency_lies_on_white():
    assert from_bytes(encode(Image.new("RGBA", (9, 9), (0, 0, 0, 0)), "PNG"), 4).min() == 1


def test_a_photo_taken_sideways_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180°
    turned = encode(halves(), "PNG", exif=exif)
    assert torch.allclose(from_bytes(turned, 10), from_bytes(encode(halves(), "PNG"), 10).flip(0, 1), atol=0.01)


def test_a_large_jpeg_reads_like_the_same_png():
    pixels = numpy.add.outer(numpy.arange(1200), numpy.arange(1600)) % 256 // 128 * 255 // 3
    pixels[:, 800:] += 100
    image = Image.fromarray(pixels.astype(numpy.uint8))
    jpeg, png = (from_bytes(encode(image, kind), 16) for kind in ("JPEG", "PNG"))
    assert torch.allclose(jpeg, png, atol=0.03)


def reason(data: bytes) -> str:
    with pytest.raises(PictureError) as caught:
        from_bytes(data, 8)
    assert isinstance(caught.value, ValueError)
    return caught.value.reason


def test_nothing_uploaded():
    assert reason(b"") == "empty"


@pytest.mark.parametrize(
    "data", [b" ", b"hello", b"%PDF-1.7", b"PK\x03\x04", b"<svg/>", b"RIFF\0\0\0\0WAVE", b"\x89PN"]
)
def test_other_types(data):
    assert reason(data) == "type"


def test_a_type_that_pillow_could_read_but_we_do_not_offer():
    assert reason(encode(halves(), "TIFF")) == "type"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [(7072, 7072), (10_000, 10_000), (30_000, 30_000), (MAX_PIXELS + 1, 1)])
def test_a_huge_picture_is_refused_by_its_header(side):
    assert reason(png_header(*side)) == "huge"


@pytest.mark.filterwarnings("error")
def test_a_huge_picture_is_refused_where_warnings_are_errors():
    assert reason(png_header(10_000, 10_000)) == "huge"


def test_as_many_pixels_as_allowed_are_decoded():
    assert reason(png_header(5000, 4000)) == "corrupt"  # past the size, it failed at the missing pixels


def test_a_text_that_unpacks_to_megabytes_is_refused():
    bomb = chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(3_000_000)))
    whole = encode(halves(), "PNG")
    end_of_header = 8 + 25
    assert reason(whole[:end_of_header] + bomb + whole[end_of_header:]) == "corrupt"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_files_cut_or_overwritten_anywhere_never_raise_anything_else(kind):
    whole = encode(Image.fromarray(numpy.random.default_rng(0).integers(0, 255, (24, 24, 3), numpy.uint8)), kind)
    header = {"PNG": 8, "JPEG": 3, "WEBP": 12}[kind]
    assert reason(whole[:header]) == "corrupt"
    assert reason(whole[: len(whole) // 3]) == "corrupt"
    random = numpy.random.default_rng(1)
    for _ in range(300):
        broken = bytearray(whole[: random.integers(header, len(whole))] if random.random() < 0.5 else whole)
        for place in random.integers(header, len(broken) + 1, 4):
            if place < len(broken):
                broken[place] = random.integers(256)
        try:
            image = from_bytes(bytes(broken), 8)
        except PictureError as error:
            assert error.reason in ("corrupt", "huge")
        else:
            assert image.shape == (8, 8) and image.min() >= 0 and image.max() <= 1
