"""Reads a GGUF file as the source of another one: its metadata as it is, and its tensors as numbers."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from weebill.models.convert.gguf_file import ALIGNMENT, Raw
from weebill.models.convert.safetensors import Floats
from weebill.models.errors import ModelFormatError
from weebill.models.gguf_reader import BadFileError, Tensor, reading

_TYPE: Final = struct.Struct("<I")
_ALIGNED: Final = "general.alignment"
_MOST_ALIGNMENT: Final = 1 << 20
# Values that are in memory at once.
_CHUNK: Final = 1 << 20


class _Format(NamedTuple):
    """A format that is read: the bytes of `block` values, and what makes numbers of them."""

    block: int
    block_bytes: int
    decode: Callable[[bytes], Floats]


def _q8_0(raw: bytes) -> Floats:
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, 34)
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    return (blocks[:, 2:].view(np.int8) * scales).ravel()


# By their number in a tensor's entry (`ggml_type`).
_FORMATS: Final[Mapping[int, _Format]] = {
    0: _Format(1, 4, lambda raw: np.frombuffer(raw, "<f4")),
    1: _Format(1, 2, lambda raw: np.frombuffer(raw, "<f2").astype(np.float32)),
    8: _Format(32, 34, _q8_0),
    30: _Format(1, 2, lambda raw: (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)),
}


class Stored(NamedTuple):
    """A tensor in a GGUF file; `begin` is its place there in bytes."""

    path: Path
    name: str
    kind: int
    shape: tuple[int, ...]
    begin: int

    @property
    def length(self) -> int:
        """The number of its values."""
        return math.prod(self.shape)

    def values(self) -> Iterator[Floats]:
        """Yields its values in order, whole rows at once. Raises ModelFormatError if the file ends too early."""
        block, block_bytes, decode = _FORMATS[self.kind]
        row = self.shape[-1] if self.shape else 1
        step, left = max(1, _CHUNK // max(1, row)) * row, self.length
        with self.path.open("rb") as file:
            file.seek(self.begin)
            while left:
                count = min(step, left)
                raw = file.read(count // block * block_bytes)
                if len(raw) != count // block * block_bytes:
                    raise ModelFormatError(f"{self.path} ends too early.")
                left -= count
                yield decode(raw)


class GgufSource(NamedTuple):
    """The contents of a GGUF file."""

    metadata: Mapping[str, Raw]
    tensors: tuple[Stored, ...]


def read_gguf(path: Path) -> GgufSource:
    """Reads a file. Raises ModelFormatError for one that is damaged or quantized already, and OSError."""
    with reading(path) as reader:
        head = reader.head()
        metadata: dict[str, Raw] = {}
        alignment = ALIGNMENT
        for key, kind in reader.entries(head):
            if key != _ALIGNED:
                metadata[key] = Raw(_TYPE.pack(kind) + reader.bytes_of(kind))
                continue  # what is written has the usual one
            value = reader.value(kind, keeps_text=False)
            alignment = value if isinstance(value, int) else 0
        if not 1 <= alignment <= _MOST_ALIGNMENT:
            raise BadFileError(f"its alignment is {alignment}")
        found = [_stored(path, reader.tensor()) for _ in range(head.tensors)]
        first = math.ceil(reader.place / alignment) * alignment
        placed = tuple(each._replace(begin=first + each.begin) for each in found)
        for each in placed:
            block, block_bytes, _ = _FORMATS[each.kind]
            row = each.shape[-1] if each.shape else 1
            if row % block or each.begin + each.length // block * block_bytes > reader.size:
                raise BadFileError(f"{each.name!r} does not lie within it")
        return GgufSource(metadata, placed)


def _stored(path: Path, tensor: Tensor) -> Stored:
    if tensor.kind not in _FORMATS:
        raise ModelFormatError(
            f"{path} is quantized already ({tensor.name} is of the type {tensor.kind}), and quantizing it again would "
            "lose more. Take the same model in F16, BF16, F32 or Q8_0."
        )
    return Stored(path, tensor.name, tensor.kind, tuple(reversed(tensor.sizes)), tensor.place)
