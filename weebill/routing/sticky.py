"""The same conversation to the same deployment, whose provider then has its beginning in the prompt cache."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

# A prompt that is shorter, about 1,024 tokens, is in no provider's cache.
# Source: https://platform.openai.com/docs/guides/prompt-caching
CACHED_BYTES: Final = 4096
_SPAN: Final = float(1 << 64)
_MASK: Final = (1 << 64) - 1


def conversation_key(tenant: str, opening: bytes) -> bytes:
    """The key of a conversation; `opening` is what stays the same from turn to turn."""
    return blake2b(opening, digest_size=16, key=tenant.encode()[:64]).digest()


def draws(conversation: bytes, salts: Iterable[int]) -> list[float]:
    """A number in (0, 1) for each salt, always the same for the same conversation and salt: rendezvous hashing.

    Without one of the salts, the others' numbers stay as they are. Source: Thaler and Ravishankar, 1998.
    """
    key = int.from_bytes(conversation[:8])
    return [(_mixed(key ^ salt) + 0.5) / _SPAN for salt in salts]


def salt(name: str) -> int:
    """64 bits that stand for a name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())


def _mixed(bits: int) -> int:
    """64 bits, each of which depends on all. Source: Steele, Lea and Flood, SplitMix64, 2014."""
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)
