"""The same conversation to the same deployment, whose provider then has its beginning in the prompt cache."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

_SPAN: Final = float(1 << 64)


def conversation_key(tenant: str, opening: bytes) -> bytes:
    """The key of a conversation; `opening` is what stays the same from turn to turn."""
    return blake2b(opening, digest_size=16, key=tenant.encode()[:64]).digest()


def draws(conversation: bytes, names: Iterable[str]) -> list[float]:
    """A number in (0, 1) for each name, always the same for the same conversation and name: rendezvous hashing.

    Without one of the names, the others' numbers stay as they are. Source: Thaler and Ravishankar, 1998.
    """
    return [
        (int.from_bytes(blake2b(name.encode(), digest_size=8, key=conversation).digest()) + 0.5) / _SPAN
        for name in names
    ]
