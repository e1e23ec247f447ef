"""Sticky routing: sends a conversation to the same deployment, whose prompt cache then holds its beginning."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

# Providers do not cache shorter prompts; it is about 1,024 tokens.
CACHED_BYTES: Final = 4096
_SPAN: Final = float(1 << 64)
_MASK: Final = (1 << 64) - 1


def conversation_key(tenant: str, opening: bytes) -> bytes:
    """Returns the key of a conversation; `opening` is the part that stays the same from turn to turn."""
    return blake2b(opening, digest_size=16, key=tenant.encode()[:64]).digest()


def draws(conversation: bytes, salts: Iterable[int]) -> list[float]:
    """Returns a number in (0, 1) for each salt, fixed by conversation and salt: rendezvous hashing.

    Removing a salt leaves the others' numbers as they are. Source: Thaler and Ravishankar, 1998.
    """
    key = int.from_bytes(conversation[:8])
    return [(_mixed(key ^ salt) + 0.5) / _SPAN for salt in salts]


def salt(name: str) -> int:
    """Returns a 64-bit hash of a name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())


def _mixed(bits: int) -> int:
    """Returns 64 mixed bits. Source: Steele, Lea and Flood, SplitMix64, 2014."""
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)
