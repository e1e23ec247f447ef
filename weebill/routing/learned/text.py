"""A request's text as the router sees it: tokens, hashed n-grams, and what is cheap to count.

Everything here is the same on every machine and in every process: hashes are CRC-32, not Python's.
"""

from __future__ import annotations

import re
import zlib
from math import log1p
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of a longer text, the first and the last half of this are looked at: what is asked is at either end, and the time
# for an estimate is bounded.
MAX_CHARS = 16_000
# Words, single digits (so that every number is seen as a number of its length), and every other sign by itself.
_TOKEN = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_")

BUCKET_BITS = 17
BUCKETS = 1 << BUCKET_BITS
_SHIFT = np.uint32(32 - BUCKET_BITS)
# Odd 32-bit constants of multiplicative hashing: 2^32 over the golden ratio, and two of xxHash's primes.
_UNIGRAM, _FIRST, _SECOND = np.uint32(0x9E3779B1), np.uint32(0x85EBCA77), np.uint32(0xC2B2AE3D)

_MATHS = "=+*/^<>$\\{}|∑∫√π"
_OPTIONS = ("\nB. ", "\nB) ", "\n(B) ", "\n2. ", "\n2) ")
SURFACE = (
    "characters",
    "tokens",
    "characters for each token",
    "digits for each character",
    "digits",
    "lines",
    "question marks",
    "full stops",
    "commas",
    "quotation marks",
    "signs of mathematics",
    "signs beyond ASCII for each character",
    "a code fence",
    "options to choose from",
)


def visible(text: str) -> str:
    """What of `text` is looked at."""
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS // 2]}\n{text[-MAX_CHARS // 2 :]}"


def tokens(text: str) -> list[str]:
    """Lower-case words, digits and signs, in order."""
    found: list[str] = _TOKEN.findall(text.lower())
    return found


def token_hash(token: str) -> int:
    """32 bits."""
    return zlib.crc32(token.encode("utf-8", "replace"))


def ngrams(hashes: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The buckets, ascending, of all tokens and pairs of neighbours, and 1 + log(count) for each."""
    buckets = np.empty(max(2 * len(hashes) - 1, 0), np.uint32)
    np.multiply(hashes, _UNIGRAM, out=buckets[: len(hashes)])
    if len(hashes) > 1:
        np.add(hashes[:-1] * _FIRST, hashes[1:] * _SECOND, out=buckets[len(hashes) :])
    buckets >>= _SHIFT
    buckets.sort()
    first = np.flatnonzero(np.diff(buckets, prepend=np.uint32(BUCKETS)))
    counts = np.diff(first, append=len(buckets))
    return buckets[first].astype(np.int64), (1 + np.log(counts)).astype(np.float32)


def surface(text: str, token_count: int) -> list[float]:
    """The values that `SURFACE` names; counts as log(1 + count). `text` is lower or mixed case, all of it or its ends."""
    count, length = text.count, len(text)
    digits = sum(map(count, "0123456789"))
    return [
        log1p(length),
        log1p(token_count),
        length / (token_count + 1),
        digits / (length + 1),
        log1p(digits),
        log1p(count("\n")),
        log1p(count("?")),
        log1p(count(".")),
        log1p(count(",")),
        log1p(count('"')),
        log1p(sum(map(count, _MATHS))),
        0.0 if text.isascii() else (len(text.encode("utf-8", "replace")) - length) / (length + 1),
        float("```" in text),
        float(any(option in text for option in _OPTIONS)),
    ]
