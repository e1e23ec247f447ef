"""Types of media as clients write them, and as they are."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from weebill.wire.conversation import Image

_ALIASES: Final = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
# What the base64 of an image begins with.
_BEGINNINGS: Final = {"/9j/": "image/jpeg", "iVBORw0KGgo": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}


def plain_type(given: str | None) -> str | None:
    """A media type in lower case, without its parameters, by its registered name.

    >>> plain_type("Image/JPG; name=a.jpg")
    'image/jpeg'
    """
    if given is None:
        return None
    bare = given.partition(";")[0].strip().lower()
    return _ALIASES.get(bare, bare)


def image_type(given: str | None, data: str) -> str | None:
    """The type of an image: what its base64 `data` says, for that is what a provider looks at; else what is `given`.

    >>> image_type("image/png", "/9j/4AAQSkZJRg==")
    'image/jpeg'
    """
    for beginning, known in _BEGINNINGS.items():
        if data.startswith(beginning):
            return known
    return plain_type(given)


def typed(image: Image) -> Image:
    """An image under the type that its data are of."""
    if image.data is None:
        return image
    media_type = image_type(image.media_type, image.data)
    return image if media_type == image.media_type else replace(image, media_type=media_type)
