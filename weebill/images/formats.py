"""The formats of images that are decoded, told by their first bytes.

Sources: https://www.w3.org/TR/png-3/#5PNG-file-signature, https://www.w3.org/Graphics/GIF/spec-gif89a.txt,
https://developers.google.com/speed/webp/docs/riff_container
"""

from __future__ import annotations

from typing import Final, NamedTuple


class _Magic(NamedTuple):
    """The first bytes of a format, and what follows at `at`."""

    format: str
    first: bytes
    at: int = 0
    then: bytes = b""


_FORMATS: Final = (
    _Magic("PNG", b"\x89PNG\r\n\x1a\n"),
    _Magic("JPEG", b"\xff\xd8\xff"),
    _Magic("WEBP", b"RIFF", 8, b"WEBP"),
    _Magic("GIF", b"GIF87a"),
    _Magic("GIF", b"GIF89a"),
    _Magic("BMP", b"BM"),
)
NAMES: Final = "PNG, JPEG, WebP, GIF or BMP"
"""The formats, for people."""


def format_of(data: bytes) -> str | None:
    """Returns the name that Pillow has for the format of an image; None for any other.

    >>> format_of(b"GIF89a..."), format_of(b"RIFF....WAVE")
    ('GIF', None)
    """
    for magic in _FORMATS:
        if data.startswith(magic.first) and data.startswith(magic.then, magic.at):
            return magic.format
    return None
