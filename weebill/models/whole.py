"""GGUF files that do not hold all that they list, which an engine finds out when it is made to load one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from weebill.models.errors import ModelDamagedError, ModelFormatError
from weebill.models.gguf import Contents, read_contents
from weebill.models.gguf_reader import Tensor

_ALIGNMENT: Final = 32
_MOST_ALIGNMENT: Final = 1 << 20
# The bytes of a block of so many elements, by the number of its type (`ggml_type` in
# https://github.com/ggml-org/ggml/blob/master/include/ggml.h).
_BLOCKS: Final[Mapping[int, Mapping[int, int]]] = {
    1: {0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2},
    32: {2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 20: 18, 39: 17},
    256: {
        10: 84, 11: 110, 12: 144, 13: 176, 14: 210, 16: 66, 17: 74, 18: 98, 19: 50, 21: 110, 22: 82, 23: 136, 29: 56,
        34: 54, 35: 66,
    },
}  # fmt: skip
TYPES: Final = {kind: (block, length) for block, types in _BLOCKS.items() for kind, length in types.items()}
"""By the number of a type: the elements of a block, and its bytes."""


def require_whole(path: Path, shown: str) -> None:
    """Raises ModelDamagedError unless the file can be read as GGUF, and its tensors lie within it.

    `shown` names it in the error.
    """
    try:
        contents = read_contents(path)
    except ModelFormatError as error:
        raise ModelDamagedError(f"{shown} is damaged: {error.__cause__ or error}.") from None
    size, begin = path.stat().st_size, begin_of(contents)
    for tensor in contents.tensors:
        if begin + tensor.place + _bytes(tensor) > size:
            raise ModelDamagedError(
                f"{shown} is damaged or cut short: it has {size:,} bytes, and its {tensor.name} ends at "
                f"{begin + tensor.place + _bytes(tensor):,}. Take another copy of it."
            )


def begin_of(contents: Contents) -> int:
    """Returns the place of the first tensor."""
    given = contents.values.get("general.alignment")
    alignment = given if isinstance(given, int) and 1 <= given <= _MOST_ALIGNMENT else _ALIGNMENT
    return math.ceil(contents.head / alignment) * alignment


def _bytes(tensor: Tensor) -> int:
    """Returns the length of a tensor; 0 for a type that is not known."""
    block, length = TYPES.get(tensor.kind, (1, 0))
    return math.prod(tensor.sizes) // block * length
