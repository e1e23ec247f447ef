"""Values of tensors as GGUF files hold them.

Source: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h: in a quantized format, a block of values shares
scales. A row is a whole number of blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import numpy as np

from weebill.models.convert.ggml import quantize
from weebill.models.convert.safetensors import Floats
from weebill.models.errors import ModelFormatError

EncodingName = Literal["F32", "F16", "Q8_0", "Q4_0", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]

_BLOCK: Final = 32
_LARGE_BLOCK: Final = 256
_MOST: Final = 127.0


class Encoding(NamedTuple):
    """A way to write values: its number in a tensor's entry (`ggml_type`), and the bytes that `block` values of a row
    take. `encode` is given values, and the length of a row.
    """

    name: EncodingName
    kind: int
    block: int
    block_bytes: int
    encode: Callable[[Floats, int], bytes]

    def fits(self, row: int) -> bool:
        """True if a row of this length can be written."""
        return row % self.block == 0

    def size(self, count: int) -> int:
        """Returns the bytes of `count` values."""
        return count // self.block * self.block_bytes


def _f32(values: Floats, row: int) -> bytes:
    return values.astype("<f4", copy=False).tobytes()


def _f16(values: Floats, row: int) -> bytes:
    with np.errstate(over="ignore"):
        halves = values.astype("<f2")
    if not np.isfinite(halves).all():
        raise ModelFormatError("it has values that 16 bits cannot hold. Choose F32 or Q8_0.")
    return halves.tobytes()


def _q8_0(values: Floats, row: int) -> bytes:
    blocks = values.reshape(-1, _BLOCK)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(_MOST)
    with np.errstate(divide="ignore", invalid="ignore"):
        quotients = np.where(scales > 0, blocks / scales, np.float32(0))
    # Halves are rounded away from zero.
    whole = np.trunc(quotients + np.copysign(np.float32(0.5), quotients)).astype(np.int8)
    return np.concatenate([scales.astype("<f2").view(np.int8), whole], axis=1).tobytes()


def _native(name: EncodingName, kind: int, block: int, block_bytes: int) -> Encoding:
    """Returns a format whose scales are found by searching, as ggml does it."""
    return Encoding(name, kind, block, block_bytes, partial(quantize, kind, block, block_bytes))


ENCODINGS: Final = MappingProxyType(
    {
        each.name: each
        for each in (
            Encoding("F32", 0, 1, 4, _f32),
            Encoding("F16", 1, 1, 2, _f16),
            Encoding("Q8_0", 8, _BLOCK, 2 + _BLOCK, _q8_0),
            _native("Q4_0", 2, _BLOCK, 18),
            _native("Q5_0", 6, _BLOCK, 22),
            _native("Q5_1", 7, _BLOCK, 24),
            _native("Q4_K", 12, _LARGE_BLOCK, 144),
            _native("Q5_K", 13, _LARGE_BLOCK, 176),
            _native("Q6_K", 14, _LARGE_BLOCK, 210),
        )
    }
)
