"""Reads the tensors of safetensors files as numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weebill.models.errors import ModelFormatError
from weebill.models.safetensors import read_places

Floats = NDArray[np.float32]

# Values that are in memory at once.
_CHUNK: Final = 1 << 20
_READ_AS: Final = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}


class Tensor(NamedTuple):
    """A tensor in a file; `begin` is its place there in bytes."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int

    @property
    def length(self) -> int:
        """The number of its values."""
        return math.prod(self.shape)

    def values(self, rows: int = 1) -> Iterator[Floats]:
        """Yields its values in order, a multiple of so many rows at once. Raises ModelFormatError for other than
        floats.
        """
        kind = _READ_AS.get(self.dtype)
        if kind is None:
            raise ModelFormatError(f"{self.name} in {self.path} has values of the type {self.dtype}, not floats.")
        least = rows * max(1, math.prod(self.shape[1:]))
        step, left = max(1, _CHUNK // least) * least, self.length
        with self.path.open("rb") as file:
            file.seek(self.begin)
            while left:
                read = np.fromfile(file, kind, min(step, left))
                if not read.size:
                    raise ModelFormatError(f"{self.path} ends too early.")
                left -= read.size
                yield _widened(read) if self.dtype == "BF16" else read.astype(np.float32, copy=False)


def read_tensors(paths: Iterable[Path]) -> Mapping[str, Tensor]:
    """Returns the tensors of a model's files by name. Raises ModelFormatError, and OSError where one cannot be read."""
    return {name: Tensor(*place) for name, place in read_places(paths).items()}


def _widened(read: NDArray[np.uint16]) -> Floats:
    """Returns bfloat16, the upper half of a 32-bit float, as floats."""
    return (read.astype(np.uint32) << 16).view(np.float32)
