"""Decodes an image within bounds, and writes it anew in a form that llama.cpp reads.

Only what has been written here reaches a model's host: the decoder of llama.cpp is given no bytes of a client's.
"""

from __future__ import annotations

import io
import warnings
from typing import Final

from PIL import Image

from weebill.images.bounds import Bounds
from weebill.images.errors import ImageError
from weebill.images.formats import NAMES, format_of

# The size is checked against the settings as soon as the header is read.
Image.MAX_IMAGE_PIXELS = None
_ORIENTATION: Final = 0x0112
# What turns an image as its EXIF data want it.
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WIDE: Final = frozenset({"I", "I;16", "I;16B", "I;16L"})
_PAPER: Final = (255, 255, 255, 255)
# A smaller file would cost more time than it saves on a loopback.
_COMPRESSION: Final = 1
# Of what has been through JPEG before, another pass of this quality loses nothing to be seen.
_QUALITY: Final = 95
# The most bytes of a PNG, in times of those that were sent. Only what lost something before needs more.
_MOST_TIMES: Final = 3
_SHORT: Final = 1 << 18


def decoded(data: bytes, bounds: Bounds) -> Image.Image:
    """Returns the first frame in RGB: turned as its EXIF data say, on white paper, within the bounds.

    Raises ImageError.
    """
    kind = format_of(data)
    if kind is None:
        raise ImageError(f"it is no {NAMES} image")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=[kind]) as image:
            _check_size(image, bounds)
            return _on_paper(_turned(_scaled(_plain(image, bounds), bounds.max_edge), _orientation(image)))
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("there is not enough memory to decode it") from error
    except Exception as error:  # decoders raise nearly anything for what is broken
        raise ImageError(f"it is a broken {kind} image") from error


def rewritten(data: bytes, bounds: Bounds) -> bytes:
    """Returns an image within the bounds: as PNG, or as JPEG if it was that, or would become much longer.

    The same image makes the same bytes, by which llama.cpp knows it again. Raises ImageError.
    """
    image = decoded(data, bounds)
    image.info.clear()  # comments, and the place where a picture was taken
    if format_of(data) != "JPEG":
        written = _written(image, "PNG", compress_level=_COMPRESSION)
        if len(written) <= _MOST_TIMES * len(data) + _SHORT:
            return written
    return _written(image, "JPEG", quality=_QUALITY, subsampling=0)


def _written(image: Image.Image, form: str, **options: int) -> bytes:
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()


def _check_size(image: Image.Image, bounds: Bounds) -> None:
    """Raises ImageError for an image whose header says that it is too large, before any of it is decoded."""
    width, height = image.size
    if width * height > bounds.max_pixels:
        raise ImageError(
            f"it has {width:,} x {height:,} pixels, and {bounds.max_pixels:,} are allowed ([local.images] max_pixels)"
        )


def _plain(image: Image.Image, bounds: Bounds) -> Image.Image:
    """Returns it decoded, in RGB or with an alpha channel."""
    # JPEG can be decoded at a half, a quarter or an eighth of its size.
    image.draft("RGB", (bounds.max_edge, bounds.max_edge))
    image.load()
    if image.mode in _WIDE:
        # Of 16 bits, the upper 8.
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    sees_through = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    return image.convert("RGBA" if sees_through else "RGB")


def _scaled(image: Image.Image, max_edge: int) -> Image.Image:
    longest = max(image.size)
    if longest <= max_edge:
        return image
    width, height = (max(1, round(edge * max_edge / longest)) for edge in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken EXIF data do not spoil a picture
        return 1
    return found if isinstance(found, int) else 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _on_paper(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, _PAPER), image).convert("RGB")
