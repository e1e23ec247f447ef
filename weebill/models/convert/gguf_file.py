"""Writes GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), version 3.

The same model makes the same bytes: nothing of the time, the machine or the order of a source's files is in them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Final, NamedTuple

from weebill.models.convert.encodings import Encoding
from weebill.models.convert.values import Values
from weebill.models.errors import ModelFormatError
from weebill.models.gguf_reader import MAGIC

_VERSION: Final = 3
ALIGNMENT: Final = 32
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9


class Raw(NamedTuple):
    """A value as another file has it: its type, and its bytes."""

    typed: bytes


# A list of whole numbers is one of 32 bits with a sign.
Value = bool | int | float | str | Sequence[str] | Sequence[int] | Sequence[float] | Raw


class Written(NamedTuple):
    """A tensor as it is to be written."""

    name: str
    source: Values
    encoding: Encoding

    @property
    def size(self) -> int:
        """The bytes that it takes."""
        return self.encoding.size(self.source.length)


def size_of(metadata: Mapping[str, Value], tensors: Iterable[Written]) -> int:
    """Returns the bytes of the file that `write` makes."""
    every = tuple(tensors)
    return len(_head(metadata, every)) + sum(_padded(each.size) for each in every)


def write(
    file: IO[bytes], metadata: Mapping[str, Value], tensors: Iterable[Written], wrote: Callable[[int], None]
) -> None:
    """Writes a file; `wrote` is told of the bytes that have been written. Raises ModelFormatError for bad tensors."""
    every = tuple(tensors)
    done = file.write(_head(metadata, every))
    for each in every:
        row = each.source.shape[-1] if each.source.shape else 1
        for values in each.source.values():
            try:
                done += file.write(each.encoding.encode(values, row))
            except ModelFormatError as error:
                raise ModelFormatError(f"{each.name} cannot be written: {error}") from None
            wrote(done)
        done += file.write(bytes(_padded(done) - done))
    wrote(done)


def _head(metadata: Mapping[str, Value], tensors: Sequence[Written]) -> bytes:
    parts = [MAGIC, struct.pack("<IQQ", _VERSION, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += (_text(key), _typed(value))
    offset = 0
    for each in tensors:
        sizes = tuple(reversed(each.source.shape))  # the one that varies fastest comes first
        parts.append(_text(each.name) + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes))
        parts.append(struct.pack("<IQ", each.encoding.kind, offset))
        offset += _padded(each.size)
    head = b"".join(parts)
    return head + bytes(_padded(len(head)) - len(head))


def _padded(size: int) -> int:
    return math.ceil(size / ALIGNMENT) * ALIGNMENT


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _typed(value: Value) -> bytes:
    if isinstance(value, Raw):
        return value.typed
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(_text(str(each)) for each in value)
    if value and isinstance(value[0], float):
        return struct.pack("<IIQ", _ARRAY, _FLOAT32, len(value)) + struct.pack(f"<{len(value)}f", *value)
    return struct.pack("<IIQ", _ARRAY, _INT32, len(value)) + struct.pack(f"<{len(value)}i", *value)
