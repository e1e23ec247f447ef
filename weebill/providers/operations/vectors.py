"""Embeddings as numbers and as base64.

In OpenAI's API, base64 holds a vector's 32-bit floats, little-endian.
Source: https://platform.openai.com/docs/api-reference/embeddings/create#embeddings-create-encoding_format
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable


def to_base64(values: Iterable[float]) -> str:
    """The base64 of a vector.

    >>> to_base64([1.0, -2.0])
    'AACAPwAAAMA='
    """
    floats = array("f", values)
    if sys.byteorder == "big":
        floats.byteswap()
    return b64encode(floats).decode()


def from_base64(text: str) -> list[float]:
    """The vector in base64. Raises ValueError if it is none.

    >>> from_base64("AACAPwAAAMA=")
    [1.0, -2.0]
    """
    floats = array("f")
    floats.frombytes(b64decode(text, validate=True))
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()
