"""Reads safetensors files (https://github.com/huggingface/safetensors#format), which anyone may have made.

A file is the length of a JSON header, the header, and the tensors, which fill the rest without gaps. All that the
header says is checked against the file's size before anything is read by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta, Raw

from weebill.models.errors import ModelFormatError

# As the format's own library allows.
_MOST_HEADER: Final = 100_000_000
_MOST_TENSORS: Final = 1_000_000
_BYTES: Final = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}


class _Entry(msgspec.Struct, frozen=True):
    dtype: str
    shape: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=8)]
    data_offsets: tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]]


class Place(NamedTuple):
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


def read_places(paths: Iterable[Path]) -> Mapping[str, Place]:
    """Returns where the tensors of a model's files lie, by name.

    Raises ModelFormatError, and OSError where one cannot be read.
    """
    found: dict[str, Place] = {}
    for path in paths:
        try:
            for tensor in _tensors(path):
                if tensor.name in found:
                    raise _BadFileError(f"{tensor.name!r} is in {found[tensor.name].path.name} too")
                found[tensor.name] = tensor
        except _BadFileError as error:
            raise ModelFormatError(f"{path} cannot be read as safetensors: {error}. Fetch it again.") from None
    return found


class _BadFileError(Exception):
    """The bytes are no safetensors file."""


def _tensors(path: Path) -> Iterator[Place]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_MOST_HEADER, size - 8):
            raise _BadFileError(f"it claims a header of {length:,} bytes")
        header = file.read(length)
    first, end = 8 + length, 0
    for name, entry in sorted(_entries(header).items(), key=lambda each: (each[1].data_offsets, each[0])):
        begin, stop = entry.data_offsets
        if (width := _BYTES.get(entry.dtype)) is None:
            raise _BadFileError(f"{name!r} has the unknown type {entry.dtype!r}")
        if begin != end or stop - begin != math.prod(entry.shape) * width:
            raise _BadFileError(f"{name!r} does not lie where it would have to")
        end = stop
        yield Place(path, name, entry.dtype, entry.shape, first + begin)
    if first + end != size:
        raise _BadFileError(f"its tensors take {end:,} bytes, and it has {size - first:,} for them")


def _entries(header: bytes) -> dict[str, _Entry]:
    try:
        members = msgspec.json.decode(header, type=dict[str, Raw])
        members.pop("__metadata__", None)
        if len(members) > _MOST_TENSORS:
            raise _BadFileError(f"it claims {len(members):,} tensors")
        return {name: msgspec.json.decode(raw, type=_Entry) for name, raw in members.items()}
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _BadFileError(f"its header is none ({error})") from None
