"""Values of tensors as GGUF files hold them.

Source: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h (`block_q8_0`): 32 values share a scale of 16
bits, which comes before them; each is a whole number of 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from weebill.models.convert.safetensors import Floats
from weebill.models.plan import Precision

_BLOCK: Final = 32
_MOST: Final = 127.0


class Encoding(NamedTuple):
    """A way to write values: its number in a tensor's entry and in `general.file_type`, and the bytes that `block`
    values of a row take.
    """

    name: Precision
    kind: int
    file_type: int
    block: int
    block_bytes: int
    encode: Callable[[Floats], bytes]

    def fits(self, row: int) -> bool:
        """True if a row of this length can be written."""
        return row % self.block == 0

    def size(self, count: int) -> int:
        """Returns the bytes of `count` values."""
        return count // self.block * self.block_bytes


def _q8_0(values: Floats) -> bytes:
    blocks = values.reshape(-1, _BLOCK)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(_MOST)
    with np.errstate(divide="ignore", invalid="ignore"):
        quotients = np.where(scales > 0, blocks / scales, np.float32(0))
    # Halves are rounded away from zero.
    whole = np.trunc(quotients + np.copysign(np.float32(0.5), quotients)).astype(np.int8)
    return np.concatenate([scales.astype("<f2").view(np.int8), whole], axis=1).tobytes()


ENCODINGS: Final = MappingProxyType(
    {
        each.name: each
        for each in (
            Encoding("F32", 0, 0, 1, 4, lambda values: values.astype("<f4", copy=False).tobytes()),
            Encoding("F16", 1, 1, 1, 2, lambda values: values.astype("<f2").tobytes()),
            Encoding("Q8_0", 8, 7, _BLOCK, 2 + _BLOCK, _q8_0),
        )
    }
)
