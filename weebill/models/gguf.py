"""The facts that a GGUF file tells of its model in its entries, and the list of its tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from weebill.models.errors import ModelFormatError
from weebill.models.gguf_reader import ARRAY, MAGIC, BadFileError, Reader, Scalar, Tensor, reading

# Texts and arrays in arrays before the vocabulary: some tags and languages.
_MOST_FIRST_ELEMENTS: Final = 10_000
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
    with reading(path) if whole else reading(path, _MOST_FIRST_ELEMENTS) as reader:
        values, tensors = _entries(reader, whole=whole)
        return _told(values, sum(math.prod(reader.tensor().sizes) for _ in range(tensors)))


def require_magic(path: Path, shown: str) -> None:
    """Raises ModelFormatError unless the file begins as a GGUF does; `shown` names it in the error."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ModelFormatError(
                f"{shown} is no GGUF file. Name a .gguf file, or a package or repository that holds one."
            )


class Contents(NamedTuple):
    """The entries of a file that are a number or one of the texts that are kept, its tensors, and the bytes before the
    data, but for what aligns them.
    """

    values: Mapping[str, Scalar]
    tensors: tuple[Tensor, ...]
    head: int


def read_contents(path: Path) -> Contents:
    """Reads what a file lists. Raises as `read_facts` does; the cause is the BadFileError."""
    with reading(path) as reader:
        values, tensors = _entries(reader, whole=True)
        found = tuple(reader.tensor() for _ in range(tensors))
        return Contents(values, found, reader.place)


def _entries(reader: Reader, *, whole: bool) -> tuple[dict[str, Scalar], int]:
    """Returns the entries and the number of tensors that follow; 0 if the vocabulary was reached before."""
    head = reader.head()
    values: dict[str, Scalar] = {}
    for key, kind in reader.entries(head):
        if not whole and kind == ARRAY and key.startswith(_VOCABULARY):
            return values, 0
        value = reader.value(kind, keeps_text=key in _TEXTS or key.endswith(_SCALING))
        if value is not None:
            values[key] = value
    return values, head.tensors


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
