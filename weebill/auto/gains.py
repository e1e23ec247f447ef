"""The features of requests and the gain of the large tier as they are kept and sent: a few numbers for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def packed(features: Floats) -> bytes:
    """Returns the features of one request, in half precision."""
    return features.astype("<f2").tobytes()


def unpacked(rows: Sequence[bytes]) -> Floats:
    """Returns the features of N requests, one or more, that were packed alike (N, D)."""
    return np.frombuffer(b"".join(rows), "<f2").astype(np.float64).reshape(len(rows), -1)


class _Line(msgspec.Struct, frozen=True):
    weights: tuple[float, ...]


def encoded(weights: Floats) -> bytes:
    """Returns the weights (D,) whose product with the features is the expected gain."""
    return _encode(_Line(tuple(weights.tolist())))


def decoded(line: bytes) -> Floats:
    """Returns the weights. Raises msgspec.MsgspecError."""
    return np.array(_decode(line).weights)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Line).decode
