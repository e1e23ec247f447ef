"""Types of media as clients write them, and as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from weebill.wire.conversation import Image
from weebill.wire.literals import has_any
from weebill.wire.media_types import type_of_image

_ALIASES: Final = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}


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
    return type_of_image(data) or plain_type(given)


def typed(image: Image) -> Image:
    """An image under the type that its data are of."""
    if image.data is None:
        return image
    media_type = image_type(image.media_type, image.data)
    return image if media_type == image.media_type else replace(image, media_type=media_type)


# Types as they stand in requests that pass through. A quote inside a JSON text is escaped, so no text can look so.
_NAMED: Final = (b'"media_type"', b'"mimeType"', b'"mime_type"')
_LINKED: Final = (b'"image_url"', b'"file_data"')
_TYPE: Final = re.compile(rb'"(?:media_type|mimeType|mime_type)"\s*:\s*"((?i:image/|application/pdf)[^"\\]{0,128})"')
_SOURCE: Final = re.compile(rb'"(?:source|inlineData|inline_data)"\s*:\s*$')
_URL: Final = re.compile(
    rb'"(?:image_url|url|file_data)"\s*:\s*"((?i:data:image/|data:application/pdf)[^"\\,]{0,128}),'
)
_DATA: Final = b"data:"
_BASE64: Final = b";base64"
_NEAR: Final = 32


def plainly_typed(text: bytes) -> bytes:
    """JSON of Anthropic's or Google's in which images and PDFs are under their registered types; else as it is.

    >>> plainly_typed(b'{"source": {"media_type": "IMAGE/JPG", "data": ""}}')
    b'{"source": {"media_type": "image/jpeg", "data": ""}}'
    """
    return _put_right(text, _TYPE, _plain_member) if has_any(text, _NAMED) else text


def plain_urls(text: bytes) -> bytes:
    """The same for data URLs, in OpenAI's JSON.

    >>> plain_urls(b'{"image_url": "data:Image/JPG;name=a;base64,AAAA"}')
    b'{"image_url": "data:image/jpeg;base64,AAAA"}'
    """
    return _put_right(text, _URL, _plain_url) if has_any(text, _LINKED) else text


def _put_right(text: bytes, pattern: re.Pattern[bytes], plain: Callable[[bytes, re.Match[bytes]], bytes]) -> bytes:
    """Puts what is `plain` in the place of each match's group; `text` itself where all are so."""
    out: list[bytes] = []
    done = 0
    for found in pattern.finditer(text):
        written = plain(text, found)
        if written != found[1]:
            out += (text[done : found.start(1)], written)
            done = found.end(1)
    return b"".join((*out, text[done:])) if out else text


def _plain_member(text: bytes, found: re.Match[bytes]) -> bytes:
    begun = text.rfind(b"{", 0, found.start())
    if not _SOURCE.search(text[max(begun - _NEAR, 0) : max(begun, 0)]):
        return found[1]
    return _registered(found[1])


def _plain_url(text: bytes, found: re.Match[bytes]) -> bytes:
    given = found[1]
    plain = _DATA + _registered(given[len(_DATA) :])
    return plain + _BASE64 if given.lower().endswith(_BASE64) else plain


def _registered(given: bytes) -> bytes:
    return (plain_type(given.decode("utf-8", "replace")) or "").encode()
