"""Weights of GGUF files that are no finite numbers. A token that leads to one spoils all that its slot holds.

Of a block of quantized weights, only the scales are numbers with an exponent, so that they alone can be infinite or
none. Neither has all bits of its exponent set by accident: in IEEE 754, that is what makes them so.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from weebill.models.gguf import read_contents
from weebill.models.gguf_reader import Tensor
from weebill.models.whole import TYPES, begin_of


class _Scale(NamedTuple):
    """A number of a block: its place in bytes, its type, and the bits of its exponent."""

    place: int
    kind: str
    exponent: int


def _half(place: int) -> _Scale:
    return _Scale(place, "<u2", 0x7C00)


# By the number of a type; types of whole numbers are left out (blocks in
# https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h).
_SCALES: Final[Mapping[int, tuple[_Scale, ...]]] = {
    0: (_Scale(0, "<u4", 0x7F800000),),  # F32
    1: (_half(0),),  # F16
    28: (_Scale(0, "<u8", 0x7FF0000000000000),),  # F64
    30: (_Scale(0, "<u2", 0x7F80),),  # BF16
    2: (_half(0),),  # Q4_0
    3: (_half(0), _half(2)),  # Q4_1
    6: (_half(0),),  # Q5_0
    7: (_half(0), _half(2)),  # Q5_1
    8: (_half(0),),  # Q8_0
    10: (_half(80), _half(82)),  # Q2_K
    11: (_half(108),),  # Q3_K
    12: (_half(0), _half(2)),  # Q4_K
    13: (_half(0), _half(2)),  # Q5_K
    14: (_half(208),),  # Q6_K
    16: (_half(0),),  # IQ2_XXS
    17: (_half(0),),  # IQ2_XS
    18: (_half(0),),  # IQ3_XXS
    19: (_half(0),),  # IQ1_S
    20: (_half(0),),  # IQ4_NL
    21: (_half(0),),  # IQ3_S
    22: (_half(0),),  # IQ2_S
    23: (_half(0),),  # IQ4_XS
    29: (_Scale(52, "<u4", 0x7000C000),),  # IQ1_M: the exponent is in the upper bits of two of its four parts
    34: (_half(52),),  # TQ1_0
    35: (_half(64),),  # TQ2_0
    39: (_Scale(0, "u1", 0xFF),),  # MXFP4
}
# Bytes that are looked at in one step.
_STEP: Final = 4 << 20


def first_not_finite(path: Path) -> str:
    """Returns the name of the first tensor of a file with a weight that is no finite number, "" if there is none.

    Types that are not known are passed over. Raises ModelFormatError, OSError.
    """
    contents = read_contents(path)
    begin = begin_of(contents)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return next((tensor.name for tensor in contents.tensors if not _is_finite(data, begin, tensor)), "")


def _is_finite(data: mmap.mmap, begin: int, tensor: Tensor) -> bool:
    elements, length = TYPES.get(tensor.kind, (1, 0))
    begin += tensor.place
    end = begin + math.prod(tensor.sizes) // elements * length
    for scale in _SCALES.get(tensor.kind, ()):
        step = _STEP // length * length
        for at in range(begin, end, step):
            blocks = (min(at + step, end) - at) // length
            bits = np.ndarray((blocks,), scale.kind, data, at + scale.place, (length,))
            if ((bits & scale.exponent) == scale.exponent).any():
                return False
    return True
