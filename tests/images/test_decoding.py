"""Images of every format that clients send, whole and broken, within bounds."""

from __future__ import annotations

import io
import tracemalloc
from typing import Final

import pytest
from PIL import Image

from tests.images.pictures import BLUE, GREEN, RED, WHITE, bomb, plain, written
from tests.rows import every
from weebill.images.bounds import Bounds
from weebill.images.decoding import decoded, rewritten
from weebill.images.errors import ImageError

BOUNDS: Final = Bounds(max_pixels=1_000_000, max_edge=64)
Colour = float | tuple[int, ...] | None


def near(found: Colour, wanted: tuple[int, int, int]) -> bool:
    return isinstance(found, tuple) and all(abs(a - b) < 8 for a, b in zip(found, wanted, strict=True))


FORMATS: Final = [
    ("PNG", {}),
    ("JPEG", {"quality": 95}),
    ("JPEG", {"progressive": True}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {"quality": 90}),
    ("GIF", {}),
    ("BMP", {}),
]


@every(("form", "options"), FORMATS)
def test_formats_are_decoded(form: str, options: dict[str, object]) -> None:
    image = decoded(written(plain(8, 4, BLUE), form, **options), BOUNDS)
    assert (image.mode, image.size) == ("RGB", (8, 4))
    assert near(image.getpixel((7, 3)), BLUE)


@every("form", ["TIFF", "ICO", "PPM", "TGA"])
def test_other_formats_are_not(form: str) -> None:
    with pytest.raises(ImageError, match="no PNG, JPEG, WebP, GIF or BMP image"):
        decoded(written(plain(16, 16), form), BOUNDS)


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"%PDF-1.7", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="it is no PNG"):
        decoded(data, BOUNDS)


@every(("form", "cut"), [(form, cut) for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP") for cut in (0.2, 0.7)])
def test_broken_images_are_refused(form: str, cut: float) -> None:
    whole = written(Image.effect_noise((60, 60), 80).convert("RGB"), form)
    with pytest.raises(ImageError, match=f"a broken {form} image"):
        decoded(whole[: int(len(whole) * cut)], BOUNDS)


def test_the_first_frame_of_an_animation_is_shown() -> None:
    frames = [plain(8, 4, GREEN), plain(8, 4, BLUE)]
    for form in ("GIF", "WEBP", "PNG"):
        moving = written(plain(8, 4, RED), form, save_all=True, append_images=frames, lossless=True)
        assert near(decoded(moving, BOUNDS).getpixel((0, 0)), RED)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_that_was_turned_is_turned_back(orientation: int) -> None:
    """What is said to be in the first corner comes there."""
    # Source: the standard's table, https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf, 4.6.4 A, Orientation:
    # where the 0th row and the 0th column are to be seen.
    row_and_column = {
        1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
        5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }[orientation]  # fmt: skip
    taken = plain(30, 20, WHITE)
    taken.putpixel((0, 0), RED)  # in the 0th row and the 0th column
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = decoded(written(taken, "PNG", exif=exif), BOUNDS)
    assert shown.size == ((20, 30) if orientation > 4 else (30, 20))
    right, bottom = shown.size[0] - 1, shown.size[1] - 1
    corner = (right if "right" in row_and_column else 0, bottom if "bottom" in row_and_column else 0)
    assert shown.getpixel(corner) == RED


def test_broken_exif_data_spoil_nothing() -> None:
    assert decoded(written(plain(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), BOUNDS).size == (8, 4)


@every(
    ("mode", "colour", "shown"),
    [
        ("RGBA", (0, 0, 255, 0), WHITE),
        ("RGBA", (0, 0, 255, 255), BLUE),
        ("RGBA", (0, 0, 255, 128), (127, 127, 255)),
        ("LA", (0, 0), WHITE),
        ("L", 40, (40, 40, 40)),
        ("1", 1, WHITE),
        ("I;16", 40 * 256, (40, 40, 40)),
    ],
)
def test_what_shows_through_is_white_paper(mode: str, colour: tuple[int, ...], shown: tuple[int, int, int]) -> None:
    image = decoded(written(Image.new(mode, (6, 6), colour)), BOUNDS)
    assert near(image.getpixel((3, 3)), shown)


def test_a_palette_may_show_through_too() -> None:
    image = plain(6, 6, RED).convert("P", palette=Image.Palette.ADAPTIVE)
    assert near(decoded(written(image), BOUNDS).getpixel((0, 0)), RED)
    assert near(decoded(written(image, transparency=image.getpixel((0, 0))), BOUNDS).getpixel((0, 0)), WHITE)


def test_colours_of_print_are_those_of_a_screen() -> None:
    assert near(decoded(written(plain(8, 8).convert("CMYK"), "JPEG", quality=95), BOUNDS).getpixel((0, 0)), RED)


@every(("width", "height", "size"), [(640, 320, (64, 32)), (320, 640, (32, 64)), (65, 1, (64, 1)), (9000, 3, (64, 1))])
def test_large_images_are_scaled_down(width: int, height: int, size: tuple[int, int]) -> None:
    for form in ("PNG", "JPEG"):
        image = decoded(written(plain(width, height), form), BOUNDS)
        assert image.size == size
        assert near(image.getpixel((0, 0)), RED)


@every("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_too_many_pixels_are_refused(form: str) -> None:
    with pytest.raises(ImageError, match=r"it has 1,001 x 1,000 pixels, and 1,000,000 are allowed"):
        decoded(written(plain(1001, 1000, (1, 1, 1)), form), BOUNDS)


def test_a_bomb_is_refused_by_its_header() -> None:
    data = bomb(20_000, 20_000)
    assert len(data) < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="20,000 x 20,000"):
            decoded(data, BOUNDS)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_the_same_image_is_written_alike() -> None:
    photo, drawing = written(plain(80, 80), "JPEG"), written(plain(80, 80), "WEBP", lossless=True)
    for data, form in ((photo, "JPEG"), (drawing, "PNG")):
        first, second = rewritten(data, BOUNDS), rewritten(data, BOUNDS)
        assert first == second
        image = Image.open(io.BytesIO(first))
        assert (image.format, image.size, image.mode) == (form, (64, 64), "RGB")
        assert near(image.getpixel((0, 0)), RED)


def test_short_images_do_not_become_long_ones() -> None:
    bounds = Bounds(max_pixels=5_000_000, max_edge=2048)
    noise = Image.effect_noise((1000, 1000), 60).convert("RGB")
    lossy = written(noise, "WEBP", quality=5)
    assert len(written(noise, "PNG", compress_level=1)) > 3 * len(lossy) + (1 << 18)
    assert Image.open(io.BytesIO(rewritten(lossy, bounds))).format == "JPEG"
    assert Image.open(io.BytesIO(rewritten(written(noise), bounds))).format == "PNG"


def test_what_a_file_says_besides_its_image_is_left_out() -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    assert b"taken at home" not in rewritten(written(plain(), "JPEG", exif=exif, comment=b"taken at home"), BOUNDS)
