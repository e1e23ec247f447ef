"""The features of requests and the expected scores of both tiers as they are kept and sent: a few numbers for each."""

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


class _Lines(msgspec.Struct, frozen=True):
    small: tuple[float, ...]
    large: tuple[float, ...]


def encoded(lines: Floats) -> bytes:
    """Encodes the weights (2, D) whose products with the features are the expected scores of both tiers."""
    small, large = lines.tolist()
    return _encode(_Lines(tuple(small), tuple(large)))


def decoded(lines: bytes) -> Floats:
    """Returns the weights (2, D). Raises msgspec.MsgspecError."""
    found = _decode(lines)
    return np.array([found.small, found.large])


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Lines).decode
