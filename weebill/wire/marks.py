"""Marks whose something opaque is: the provider's name before a signature or encrypted reasoning.

Providers of one format do not take each other's. A mark is as long as nine bytes in base64, so that what is base64 with
it is so without.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

SIGN: Final = "WbL0"
"""The beginning of each mark."""
MARK: Final = rf"{SIGN}[0-9a-f]{{8}}"
"""The pattern of any provider's mark."""
_is_marked: Final = re.compile(MARK).match
_LENGTH: Final = 12
_NAME: Final = b'"encrypted_content"'
_SEALED: Final = rb'("encrypted_content"\s*:\s*")'
_is_unmarked: Final = re.compile(_SEALED + rb'(?=[^"])')


@lru_cache(maxsize=1024)
def mark_of(provider: str) -> str:
    """A provider's mark; "" for one without a name."""
    return SIGN + hashlib.sha256(provider.encode()).hexdigest()[:8] if provider else ""


def is_marked(data: str) -> bool:
    """Tells whether data bears any provider's mark."""
    return _is_marked(data) is not None


def unmarked(data: str, provider: str) -> str | None:
    """The text as the provider wrote it: its own without its mark, what bears none as it is, None for another's.

    >>> unmarked(mark_of("acme") + "abc", "acme"), unmarked("abc", "acme"), unmarked(mark_of("acme") + "abc", "other")
    ('abc', 'abc', None)
    """
    if _is_marked(data) is None:
        return data
    own = mark_of(provider)
    return data[_LENGTH:] if own and data.startswith(own) else None


def mark_sealed(data: bytes, provider: str) -> bytes:
    """JSON of the Responses API whose encrypted contents bear the provider's mark; the rest as it is.

    They are found by their literal bytes: inside a JSON text a quote is always escaped.

    >>> marked = mark_sealed(b'{"encrypted_content": "abc", "text": ""}', "acme")
    >>> marked, unmark_sealed(marked, "acme")
    (b'{"encrypted_content": "WbL0822b33adabc", "text": ""}', b'{"encrypted_content": "abc", "text": ""}')
    """
    if not provider or data.find(_NAME) < 0:
        return data
    return _is_unmarked.sub(rb"\g<1>" + mark_of(provider).encode(), data)


def unmark_sealed(data: bytes, provider: str) -> bytes:
    """The same without that mark; those of others stay."""
    mark = mark_of(provider).encode()
    return _own(mark).sub(rb"\g<1>", data) if mark and data.find(mark) >= 0 else data


@lru_cache(maxsize=1024)
def _own(mark: bytes) -> re.Pattern[bytes]:
    return re.compile(_SEALED + mark)
