"""Encrypted contents that pass through: marked with the provider that made them, and given back to that one alone.

OpenAI's own bear no mark. They are found by their literal bytes: inside a JSON text a quote is always escaped.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from weebill.wire.responses import ORIGIN, seal

_MEMBER: Final = rb'("encrypted_content"\s*:\s*")'
_is_said: Final = re.compile(_MEMBER + rb'(?=[^"])')
_NAME: Final = b'"encrypted_content"'


def sealed(data: bytes, provider: str) -> bytes:
    """JSON of an answer whose encrypted contents say whose they are.

    >>> sealed(b'{"encrypted_content": "abc"}', "acme"), sealed(b'{"encrypted_content": "abc"}', "openai")
    (b'{"encrypted_content": "weebill:acme.encrypted:abc"}', b'{"encrypted_content": "abc"}')
    """
    mark = _mark(provider)
    return _is_said.sub(rb"\g<1>" + mark, data) if mark and _NAME in data else data


def unsealed(data: bytes, provider: str) -> bytes:
    """JSON of a request with what that provider made as it made it; what is others' stays marked."""
    mark = _mark(provider)
    return _own(mark).sub(rb"\g<1>", data) if mark and mark in data else data


@lru_cache(maxsize=1024)
def _mark(provider: str) -> bytes:
    return seal("", provider, "encrypted").encode() if provider not in ("", ORIGIN) else b""


@lru_cache(maxsize=1024)
def _own(mark: bytes) -> re.Pattern[bytes]:
    return re.compile(_MEMBER + re.escape(mark))
