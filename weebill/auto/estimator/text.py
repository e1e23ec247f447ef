"""The features of a request's text: tokens, hashed n-grams, and counts.

All of it is the same on every machine and in every process: hashes are CRC-32, not Python's.
"""

from __future__ import annotations

import re
import zlib
from math import log1p
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

# Of a longer text, the first and the last half of this are used: the question is at either end, and the time for an
# estimate stays bounded.
MAX_CHARS = 16_000
# Words, single digits (so that a number counts by its length), and every other sign by itself.
_TOKEN = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_")

BUCKET_BITS = 18
BUCKETS = 1 << BUCKET_BITS
_SHIFT = np.uint32(32 - BUCKET_BITS)
# Odd 32-bit constants of multiplicative hashing: 2^32 over the golden ratio, and two of xxHash's primes.
_UNIGRAM, _FIRST, _SECOND = np.uint32(0x9E3779B1), np.uint32(0x85EBCA77), np.uint32(0xC2B2AE3D)
# A token is at least one character, and the cut adds one.
_LOG_COUNT = np.concatenate(([0], 1 + np.log(np.arange(1, MAX_CHARS + 2)))).astype(np.float32)


def visible(text: str) -> str:
    """Returns the part of `text` that is used."""
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS // 2]}\n{text[-MAX_CHARS // 2 :]}"


def chunks(text: str) -> list[str]:
    """Returns the lower-case parts between white space; no token crosses it."""
    return text.lower().split()


def tokens(chunk: str) -> list[str]:
    """Returns the words, digits and signs of a chunk, in order."""
    found: list[str] = _TOKEN.findall(chunk)
    return found


def token_hash(token: str) -> int:
    """Returns 32 bits."""
    return zlib.crc32(token.encode("utf-8", "replace"))


def ngrams(hashes: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Returns the sorted buckets of one or more tokens and of neighbouring pairs, and 1 + log(count) for each."""
    buckets = np.concatenate((hashes * _UNIGRAM, hashes[:-1] * _FIRST + hashes[1:] * _SECOND))
    buckets >>= _SHIFT
    buckets.sort()
    starts = np.empty(len(buckets) + 1, bool)
    starts[0] = starts[-1] = True
    np.not_equal(buckets[1:], buckets[:-1], out=starts[1:-1])
    edges = np.flatnonzero(starts)
    return buckets[edges[:-1]], _LOG_COUNT[edges[1:] - edges[:-1]]


# Counted by byte of UTF-8, all classes in one product.
_CLASSES = {
    "digits": b"0123456789",
    "capitals": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "lines": b"\n",
    "question marks": b"?",
    "full stops": b".",
    "commas": b",",
    "quotation marks": b'"',
    "signs of mathematics": b"=+*/^<>$\\{}|",
    "code fences": b"`",
    "blanks to fill in": b"_",
    "signs beyond ASCII": bytes(range(0x80, 0x100)),
}
_CLASS_OF_BYTE = np.array([[byte in members for members in _CLASSES.values()] for byte in range(256)], np.float32)
# In standard deviations: further out, a text is unlike all training texts, and the distance says nothing.
MAX_SURFACE = 3.0
_FIRST_OPTIONS = ("\nA. ", "\nA) ", "\n(A) ", "\n1. ", "\n1) ")
_NEGATIONS = (" not ", " NOT ", " except ", " EXCEPT ")
SURFACE = (
    *_CLASSES,
    *(f"share of {name}" for name in _CLASSES),
    "characters",
    "tokens",
    "characters for each token",
    "characters before options to choose from",
    "characters of the options",
    "negations",
)
OPTIONS = SURFACE.index("characters of the options")  # 0 if a text offers none


def surface(text: str, token_count: int) -> NDArray[np.float32]:
    """Returns the (S,) values that `SURFACE` names; counts are log(1 + count)."""
    data = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    counts = np.bincount(data, minlength=256).astype(np.float32) @ _CLASS_OF_BYTE
    length = len(text)
    options = length
    if "\n" in text:
        options = min((at for each in _FIRST_OPTIONS if (at := text.find(each)) >= 0), default=length)
    rest = (
        log1p(length),
        log1p(token_count),
        length / (token_count + 1),
        log1p(options),
        log1p(length - options),
        log1p(sum(map(text.count, _NEGATIONS))),
    )
    found = np.empty(len(SURFACE), np.float32)
    classes = len(_CLASSES)
    np.log1p(counts, out=found[:classes])
    np.divide(counts, np.float32(len(data) + 1), out=found[classes : 2 * classes])
    found[2 * classes :] = rest
    return found


def standardised(values: Floats, mean: Floats, scale: Floats) -> Floats:
    """Returns (..., S + S * (S + 1) / 2): each feature in standard deviations from its mean, then the products in
    pairs.
    """
    standard = np.clip((values - mean) / scale, -MAX_SURFACE, MAX_SURFACE)
    return np.concatenate((standard, standard[..., _LEFT] * standard[..., _RIGHT]), axis=-1)


_LEFT, _RIGHT = np.triu_indices(len(SURFACE))
