"""Types of media, told by what their base64 begins with."""

from __future__ import annotations

from typing import Final

_IMAGES: Final = {"/9j/": "image/jpeg", "iVBORw0KGgo": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}


def type_of_image(data: str) -> str | None:
    """The type of an image in base64; None if its beginning does not tell.

    >>> type_of_image("/9j/4AAQSkZJRg=="), type_of_image("AAAA")
    ('image/jpeg', None)
    """
    for beginning, known in _IMAGES.items():
        if data.startswith(beginning):
            return known
    return None
