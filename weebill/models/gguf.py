"""Reads the metadata of a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), which anyone may have
made.

The file is streamed: vocabularies are skipped over, and nothing is kept but what is asked for. Counts, lengths and the
depth of arrays are bounded before anything is allocated or looped over, so a hostile file costs no more than reading
the bytes it has.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from weebill.models.errors import ModelFormatError

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
MOST_ENTRIES: Final = 65_536
# Mixtures of many experts have some ten thousand.
MOST_TENSORS: Final = 100_000
MOST_KEY: Final = 65_535
# Of a string that is kept; chat templates have some thousand bytes.
_MOST_TEXT: Final = 4 << 20
# Texts and arrays in arrays, in the whole file: a large vocabulary and its merges are a million. Before the vocabulary,
# there are some tags and languages.
MOST_ELEMENTS: Final = 2_000_000
_MOST_FIRST_ELEMENTS: Final = 10_000
_MOST_DEPTH: Final = 4
MOST_DIMENSIONS: Final = 8
BUFFER_BYTES: Final = 1 << 20

# More than any number that is asked for: they count layers, heads, dimensions and tokens.
_MOST_NUMBER: Final = 1 << 32

_VOCABULARY: Final = "tokenizer."
_TEMPLATE: Final = "tokenizer.chat_template"
_PROJECTOR: Final = "clip.projector_type"
_VISION_PROJECTOR: Final = "clip.vision.projector_type"
_KIND_OF_VOCABULARY: Final = "tokenizer.ggml.model"
_SPLITTING: Final = "tokenizer.ggml.pre"
_SCALING: Final = ".rope.scaling.type"
# The texts that are kept.
_TEXTS: Final = frozenset(
    {"general.architecture", "general.name", "general.license", "general.type", "adapter.type"}
    | {_KIND_OF_VOCABULARY, _SPLITTING, _TEMPLATE, _PROJECTOR, _VISION_PROJECTOR}
)
# The types of values, by their numbers.
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING: Final = 8
_ARRAY: Final = 9
# `general.file_type` (`llama_ftype` in llama.cpp's include/llama.h).
_QUANTIZATIONS: Final = dict(
    (
        *((0, "F32"), (1, "F16"), (2, "Q4_0"), (3, "Q4_1"), (7, "Q8_0"), (8, "Q5_0"), (9, "Q5_1"), (10, "Q2_K")),
        *((11, "Q3_K_S"), (12, "Q3_K_M"), (13, "Q3_K_L"), (14, "Q4_K_S"), (15, "Q4_K_M"), (16, "Q5_K_S")),
        *((17, "Q5_K_M"), (18, "Q6_K"), (19, "IQ2_XXS"), (20, "IQ2_XS"), (21, "Q2_K_S"), (22, "IQ3_XS")),
        *((23, "IQ3_XXS"), (24, "IQ1_S"), (25, "IQ4_NL"), (26, "IQ3_S"), (27, "IQ3_M"), (28, "IQ2_S")),
        *((29, "IQ2_M"), (30, "IQ4_XS"), (31, "IQ1_M"), (32, "BF16"), (36, "TQ1_0"), (37, "TQ2_0")),
        (38, "MXFP4_MOE"),
    )
)

Scalar = int | float | bool | str


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that a GGUF file tells of its model; None and "" where it tells nothing.

    `parameters` are counted from the tensors of this file. `context` is what the model was trained for, in tokens. Of a
    projector, `projector` is the kind; `image_size` and `patch_size` are in pixels, `image_width` is the length of the
    vector of a patch. `vocabulary` is a kind of it, `splitting` the way in which texts are split into words before it
    is looked at; `scaling` is that of positions beyond those that were trained.
    """

    architecture: str = ""
    name: str = ""
    licence: str = ""
    quantization: str = ""
    parameters: int = 0
    context: int | None = None
    embedding: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    key_length: int | None = None
    value_length: int | None = None
    pooling: int | None = None
    chat_template: str = ""
    vocabulary: str = ""
    splitting: str = ""
    scaling: str = ""
    projector: str = ""
    image_size: int | None = None
    patch_size: int | None = None
    image_width: int | None = None


def read_facts(path: Path) -> ModelFacts:
    """Reads a file. Raises ModelFormatError, and OSError where it cannot be read."""
    return _read(path, whole=True)


def read_first_facts(path: Path) -> ModelFacts:
    """Reads a file as far as its vocabulary, which takes up to half a second: before it are the facts about the model.

    The number of parameters and the chat template are not among them. Raises as `read_facts` does.
    """
    return _read(path, whole=False)


def _read(path: Path, *, whole: bool) -> ModelFacts:
    with path.open("rb", buffering=BUFFER_BYTES) as file:
        try:
            most = MOST_ELEMENTS if whole else _MOST_FIRST_ELEMENTS
            return _facts(Reader(file, os.fstat(file.fileno()).st_size, most), whole=whole)
        except BadFileError as error:
            raise ModelFormatError(f"{path} cannot be read as GGUF: {error}. Fetch it again.") from None


def require_magic(path: Path, shown: str) -> None:
    """Raises ModelFormatError unless the file begins as a GGUF does; `shown` names it in the error."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ModelFormatError(
                f"{shown} is no GGUF file. Name a .gguf file, or a package or repository that holds one."
            )


class Tensor(NamedTuple):
    """A tensor as a file lists it: its sizes (that of a row first), the number of its type, its place in the data."""

    name: str
    sizes: tuple[int, ...]
    kind: int
    place: int


class Contents(NamedTuple):
    """The entries of a file that are a number or one of the texts that are kept, its tensors, and the bytes before the
    data, but for what aligns them.
    """

    values: Mapping[str, Scalar]
    tensors: tuple[Tensor, ...]
    head: int


def read_contents(path: Path) -> Contents:
    """Reads what a file lists. Raises as `read_facts` does; the cause is the BadFileError."""
    with path.open("rb", buffering=BUFFER_BYTES) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            reader = Reader(file, size, MOST_ELEMENTS)
            values, tensors = _entries(reader, whole=True)
            found = tuple(reader.tensor() for _ in range(tensors))
            return Contents(values, found, size - reader.left)
        except BadFileError as error:
            raise ModelFormatError(f"{path} cannot be read as GGUF: {error}. Fetch it again.") from error


class BadFileError(Exception):
    """The bytes are no GGUF, or one that no honest program makes."""


def _facts(reader: Reader, *, whole: bool) -> ModelFacts:
    values, tensors = _entries(reader, whole=whole)
    return _told(values, sum(math.prod(reader.tensor().sizes) for _ in range(tensors)))


def _entries(reader: Reader, *, whole: bool) -> tuple[dict[str, Scalar], int]:
    """Returns the entries and the number of tensors that follow; 0 if the vocabulary was reached before."""
    if reader.take(4) != MAGIC:
        raise BadFileError("it does not begin as a GGUF does")
    version = reader.number("I")
    if version not in VERSIONS:
        raise BadFileError(f"its version is {version}, and 2 and 3 are known")
    tensors, entries = reader.number("Q"), reader.number("Q")
    if tensors > MOST_TENSORS or entries > MOST_ENTRIES:
        raise BadFileError(f"it claims {entries:,} entries and {tensors:,} tensors")
    values: dict[str, Scalar] = {}
    for _ in range(entries):
        key = reader.text(MOST_KEY)
        kind = reader.number("I")
        if not whole and kind == _ARRAY and key.startswith(_VOCABULARY):
            return values, 0
        value = reader.value(kind, key in _TEXTS or key.endswith(_SCALING))
        if value is not None:
            values[key] = value
    return values, tensors


def _told(values: dict[str, Scalar], parameters: int) -> ModelFacts:
    def text(key: str) -> str:
        value = values.get(key)
        return value if isinstance(value, str) else ""

    def number(key: str) -> int | None:
        value = values.get(key)
        if value is None or isinstance(value, float | bool | str):
            return None
        if not 0 <= value <= _MOST_NUMBER:
            raise BadFileError(f"it claims a {key} of {value}")
        return value

    architecture = text("general.architecture")
    file_type = number("general.file_type")
    return ModelFacts(
        architecture=architecture,
        name=text("general.name"),
        licence=text("general.license"),
        quantization="" if file_type is None else _QUANTIZATIONS.get(file_type, ""),
        parameters=parameters,
        context=number(f"{architecture}.context_length"),
        embedding=number(f"{architecture}.embedding_length"),
        layers=number(f"{architecture}.block_count"),
        heads=number(f"{architecture}.attention.head_count"),
        kv_heads=number(f"{architecture}.attention.head_count_kv"),
        key_length=number(f"{architecture}.attention.key_length"),
        value_length=number(f"{architecture}.attention.value_length"),
        pooling=number(f"{architecture}.pooling_type"),
        chat_template=text(_TEMPLATE),
        vocabulary=text(_KIND_OF_VOCABULARY),
        splitting=text(_SPLITTING),
        scaling=text(f"{architecture}{_SCALING}"),
        projector=text(_PROJECTOR) or text(_VISION_PROJECTOR),
        image_size=number("clip.vision.image_size"),
        patch_size=number("clip.vision.patch_size"),
        image_width=number("clip.vision.embedding_length"),
    )


class Reader:
    """Reads numbers and texts of a file of `size` bytes, which it may not claim to exceed."""

    def __init__(self, file: IO[bytes], size: int, most_elements: int) -> None:
        self._file = file
        self._left = size
        self._elements = most_elements

    def take(self, count: int) -> bytes:
        self._spend(count)
        found = self._file.read(count)
        if len(found) != count:
            raise BadFileError("it ends too early")
        return found

    def skip(self, count: int) -> None:
        self._spend(count)
        if count <= BUFFER_BYTES:
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
        if kind == _ARRAY:
            self._skip_array(0)
            return None
        if (code := _SCALARS.get(kind)) is None:
            raise BadFileError(f"it has a value of the unknown type {kind}")
        return self._scalar(code)

    def texts(self, kind: int, most: int) -> list[str]:
        """Returns the texts of a value that must be an array of them, each of `most` bytes at most."""
        if kind != _ARRAY or self.number("I") != _STRING:
            raise BadFileError("it has a value that is no list of texts")
        count = self.number("Q")
        self._elements -= count
        if self._elements < 0:
            raise BadFileError("it claims arrays that are too long")
        return [self.text(most) for _ in range(count)]

    @property
    def left(self) -> int:
        """The bytes that have not been read or skipped over."""
        return self._left

    def tensor(self) -> Tensor:
        """Returns the next tensor."""
        name = self.text(MOST_KEY)
        dimensions = self.number("I")
        if dimensions > MOST_DIMENSIONS:
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
        self._elements -= count if kind in (_STRING, _ARRAY) else 1
        if depth >= _MOST_DEPTH or self._elements < 0:
            raise BadFileError("it claims arrays that are too deep or too long")
        if (code := _SCALARS.get(kind)) is not None:
            self.skip(count * struct.calcsize(f"<{code}"))
        elif kind == _STRING:
            for _ in range(count):
                self.skip_text()
        elif kind == _ARRAY:
            for _ in range(count):
                self._skip_array(depth + 1)
        else:
            raise BadFileError(f"it has an array of the unknown type {kind}")

    def _spend(self, count: int) -> None:
        if count > self._left:
            raise BadFileError("it claims more than it has")
        self._left -= count
