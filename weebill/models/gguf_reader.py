"""Walks through a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), which anyone may have made.

1. `reading` opens it, and makes one error of all that its bytes can have wrong.
2. `Reader.head` says how many entries and tensors are to follow.
3. `Reader.entries` leads from entry to entry; whoever asks takes the value, or skips over it.
4. `Reader.tensor` reads what is said of a tensor.

The file is streamed, and nothing is kept but what is asked for. Counts, lengths and the depth of arrays are bounded
before anything is allocated or looped over, so a hostile file costs no more than reading the bytes it has.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

from weebill.models.errors import ModelFormatError

MAGIC: Final = b"GGUF"
MOST_KEY: Final = 65_535
_VERSIONS: Final = (2, 3)
_MOST_ENTRIES: Final = 65_536
# Mixtures of many experts have some ten thousand.
_MOST_TENSORS: Final = 100_000
# Of a string that is kept; chat templates have some thousand bytes.
_MOST_TEXT: Final = 4 << 20
# Texts and arrays in arrays, in the whole file: a large vocabulary and its merges are a million.
_MOST_ELEMENTS: Final = 2_000_000
_MOST_DEPTH: Final = 4
_MOST_DIMENSIONS: Final = 8
_BUFFER_BYTES: Final = 1 << 20

# The types of values, by their numbers.
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_INT32: Final = 5
_STRING: Final = 8
ARRAY: Final = 9

Scalar = int | float | bool | str


class BadFileError(Exception):
    """The bytes are no GGUF, or one that no honest program makes."""


class Tensor(NamedTuple):
    """A tensor as a file lists it: its sizes (that of a row first), the number of its type, its place in the data."""

    name: str
    sizes: tuple[int, ...]
    kind: int
    place: int


class Head(NamedTuple):
    """The numbers of what follows."""

    entries: int
    tensors: int


@contextmanager
def reading(path: Path, most_elements: int = _MOST_ELEMENTS) -> Iterator[Reader]:
    """Opens a file for a reader.

    Raises ModelFormatError for what a BadFileError in the block says of it, which is the cause, and OSError.
    """
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        try:
            yield Reader(file, os.fstat(file.fileno()).st_size, most_elements)
        except BadFileError as error:
            raise ModelFormatError(f"{path} cannot be read as GGUF: {error}. Fetch it again.") from error


class Reader:
    """Reads a file of `size` bytes, which it may not claim to exceed, from its beginning on. Raises BadFileError."""

    def __init__(self, file: IO[bytes], size: int, most_elements: int) -> None:
        self._file = file
        self.size = size
        self._left = size
        self._elements = most_elements

    @property
    def place(self) -> int:
        """The bytes that have been read or skipped over."""
        return self.size - self._left

    def head(self) -> Head:
        """Returns what the file begins with."""
        if self.take(len(MAGIC)) != MAGIC:
            raise BadFileError("it does not begin as a GGUF does")
        version = self.number("I")
        if version not in _VERSIONS:
            raise BadFileError(f"its version is {version}, and 2 and 3 are known")
        tensors, entries = self.number("Q"), self.number("Q")
        if tensors > _MOST_TENSORS or entries > _MOST_ENTRIES:
            raise BadFileError(f"it claims {entries:,} entries and {tensors:,} tensors")
        return Head(entries, tensors)

    def entries(self, head: Head) -> Iterator[tuple[str, int]]:
        """Yields the key of each entry and the type of its value, which has to be read before the next one."""
        for _ in range(head.entries):
            yield self.text(MOST_KEY), self.number("I")

    def take(self, count: int) -> bytes:
        self._spend(count)
        found = self._file.read(count)
        if len(found) != count:
            raise BadFileError("it ends too early")
        return found

    def skip(self, count: int) -> None:
        self._spend(count)
        if count <= _BUFFER_BYTES:
            self._file.read(count)
        else:
            self._file.seek(count, os.SEEK_CUR)

    def number(self, code: str) -> int:
        value = self._scalar(code)
        if not isinstance(value, int):
            raise BadFileError("a count is no whole number")
        return value

    def text(self, most: int) -> str:
        length = self.number("Q")
        if length > most:
            raise BadFileError(f"it claims a text of {length:,} bytes")
        return self.take(length).decode(errors="replace")

    def value(self, kind: int, keeps_text: bool) -> Scalar | None:
        """Returns a value; None for an array, and for a text unless it is to be kept, which are skipped over."""
        if kind == _STRING and keeps_text:
            return self.text(_MOST_TEXT)
        if kind == _STRING:
            self.skip_text()
            return None
        if kind == ARRAY:
            self._skip_array(0)
            return None
        if (code := _SCALARS.get(kind)) is None:
            raise BadFileError(f"it has a value of the unknown type {kind}")
        return self._scalar(code)

    def texts(self, kind: int, most: int) -> list[str]:
        """Returns the texts of a value that must be an array of them, each of `most` bytes at most."""
        if kind != ARRAY or self.number("I") != _STRING:
            raise BadFileError("it has a value that is no list of texts")
        count = self.number("Q")
        self._elements -= count
        if self._elements < 0:
            raise BadFileError("it claims arrays that are too long")
        return [self.text(most) for _ in range(count)]

    def integers(self, kind: int) -> tuple[int, ...]:
        """Returns the numbers of a value that must be an array of them, of 32 bits and with a sign."""
        if kind != ARRAY or self.number("I") != _INT32:
            raise BadFileError("it has a value that is no list of whole numbers")
        count = self.number("Q")
        return struct.unpack(f"<{count}i", self.take(4 * count))

    def bytes_of(self, kind: int) -> bytes:
        """Returns a value as the file has it."""
        begin = self.place
        self.value(kind, keeps_text=False)
        self._file.seek(begin)
        return self._file.read(self.place - begin)

    def tensor(self) -> Tensor:
        """Returns the next tensor."""
        name = self.text(MOST_KEY)
        dimensions = self.number("I")
        if dimensions > _MOST_DIMENSIONS:
            raise BadFileError(f"it claims a tensor of {dimensions:,} dimensions")
        sizes = tuple(self.number("Q") for _ in range(dimensions))
        return Tensor(name, sizes, self.number("I"), self.number("Q"))

    def skip_text(self) -> None:
        self.skip(self.number("Q"))

    def _scalar(self, code: str) -> Scalar:
        found: Scalar = struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]
        return found

    def _skip_array(self, depth: int) -> None:
        kind, count = self.number("I"), self.number("Q")
        self._elements -= count if kind in (_STRING, ARRAY) else 1
        if depth >= _MOST_DEPTH or self._elements < 0:
            raise BadFileError("it claims arrays that are too deep or too long")
        if (code := _SCALARS.get(kind)) is not None:
            self.skip(count * struct.calcsize(f"<{code}"))
        elif kind == _STRING:
            for _ in range(count):
                self.skip_text()
        elif kind == ARRAY:
            for _ in range(count):
                self._skip_array(depth + 1)
        else:
            raise BadFileError(f"it has an array of the unknown type {kind}")

    def _spend(self, count: int) -> None:
        if count > self._left:
            raise BadFileError("it claims more than it has")
        self._left -= count
