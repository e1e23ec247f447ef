"""Tensors that are to be written: as they are in a file, with a change on the way, or computed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from weebill.models.convert.safetensors import Floats, Tensor


class Values(Protocol):
    """A tensor: its shape, and its values in whole rows, a few at once."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def length(self) -> int: ...

    def values(self) -> Iterator[Floats]: ...


class Halves(NamedTuple):
    """The weights of queries or keys, whose rows turn by pairs (RoPE).

    Transformers has the first of each pair in the first half of a head's rows, and the second in the second half;
    llama.cpp's architecture `llama` has the two side by side.
    """

    source: Tensor
    heads: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def length(self) -> int:
        return self.source.length

    def values(self) -> Iterator[Floats]:
        rows = self.shape[0] // self.heads
        width = math.prod(self.shape[1:])
        for read in self.source.values(rows):
            yield read.reshape(-1, 2, rows // 2, width).swapaxes(1, 2).ravel()


class Shifted(NamedTuple):
    """A tensor whose values are one more than in the file."""

    source: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def length(self) -> int:
        return self.source.length

    def values(self) -> Iterator[Floats]:
        for read in self.source.values():
            yield read + np.float32(1)


class Computed(NamedTuple):
    """A short list of numbers that follow from the configuration."""

    numbers: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.numbers),)

    @property
    def length(self) -> int:
        return len(self.numbers)

    def values(self) -> Iterator[Floats]:
        yield np.array(self.numbers, np.float32)
