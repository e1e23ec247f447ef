"""JSON searched by its literal bytes: inside a text a quote is always escaped, so a quoted name is one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

EMPTY: Final = frozenset({b"null", b'""', b"[]", b"{}"})
"""Values that hold nothing."""


def has_any(data: bytes, literals: Iterable[bytes]) -> bool:
    """True if any of the literals is in `data`."""
    for literal in literals:  # noqa: SIM110 - a generator costs more than what it would look at
        if data.find(literal) >= 0:  # not `in`, which with bytes raises inside
            return True
    return False
