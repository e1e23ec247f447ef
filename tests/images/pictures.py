"""Images as clients send them, written by Pillow."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def plain(width: int = 8, height: int = 4, colour: tuple[int, ...] = RED, mode: str = "RGB") -> Image.Image:
    """An image of one colour."""
    return Image.new(mode, (width, height), colour)


def written(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The bytes of an image in a format."""
    data = io.BytesIO()
    image.save(data, form, **options)
    return data.getvalue()


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{in_base64(data)}"


def page(lines: Sequence[str], width: int = 900) -> Image.Image:
    """Black lines of text on white paper."""
    image = Image.new("RGB", (width, 90 * len(lines) + 30), WHITE)
    draw, font = ImageDraw.Draw(image), ImageFont.truetype(str(_FONT), 36)
    for at, line in enumerate(lines):
        draw.text((30, 30 + 90 * at), line, fill=(0, 0, 0), font=font)
    return image


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that claims to be of this size, and is."""
    row = b"\0" + bytes((width + 7) // 8)
    packed = zlib.compressobj(9)
    data = b"".join([packed.compress(row) for _ in range(height)]) + packed.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([_chunk(b"IHDR", head), _chunk(b"IDAT", data), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
