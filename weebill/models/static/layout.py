"""The files of static vectors: one vector for each token of a vocabulary, of which a text's is the mean.

Three layouts are read, as the library model2vec reads them (https://github.com/MinishLab/model2vec,
`model2vec/persistence`): its own, in which `embeddings` are the vectors of the tokens, `weights` what each token counts
and `mapping` the row of each; and two of sentence-transformers, whose vectors are `embedding.weight`. They are kept and
served as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from weebill.models.errors import ModelFormatError
from weebill.models.gguf import ModelFacts
from weebill.models.manifests import Manifest
from weebill.models.needs import Costs
from weebill.models.plan import SUFFIX
from weebill.models.safetensors import Place, read_places

TOKENIZER: Final = "tokenizer.json"
ARCHITECTURE: Final = "model2vec"
_VECTORS: Final = ("embeddings", "embedding.weight")
_FLOATS: Final = frozenset({"F64", "F32", "F16", "I8"})
_INTEGERS: Final = frozenset({"I64", "I32", "U64", "U32", "U16"})
_FLOAT, _FLOAT_BYTES = "F32", 4
# Summing 16-bit floats takes half as long again. Larger tables are left in their file, in which they take no memory of
# the host's own.
_MOST_WIDENED: Final = 64 << 20
_MODULE: Final = ".StaticEmbedding"
# More than any such file has.
_MOST_BYTES: Final = 1 << 20
# A host's memory beside its files: the interpreter, numpy, HTTP, requests and their answers.
_FIXED_BYTES: Final = 96 << 20
# The vocabulary in memory, for each byte of `tokenizer.json`: WordPiece of 29,525 tokens took 22 times its file, and
# the tree of 500,353 for Unigram 46 times.
_OF_TOKENIZER: Final = 24
_OF_UNIGRAM: Final = 50
_UNIGRAM: Final = re.compile(rb'"type"\s*:\s*"Unigram"')


class Vectors(NamedTuple):
    """The places of a model's tensors; `weights` and `mapping` are None where it has none."""

    table: Place
    weights: Place | None
    mapping: Place | None

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self.table.shape[1]

    @property
    def widened(self) -> int:
        """The bytes of the table in memory, as 32-bit floats; 0 if it is read where it lies in its file."""
        size = self.table.length * _FLOAT_BYTES
        return 0 if self.table.dtype == _FLOAT or size > _MOST_WIDENED else size


class _Config(msgspec.Struct, frozen=True):
    model_type: str = ""
    architectures: tuple[str, ...] = ()


class _Module(msgspec.Struct, frozen=True):
    type: str = ""


def is_kept_static(manifest: Manifest) -> bool:
    """True for such a model of the store, which keeps no others in this format."""
    return any(file.name.endswith(SUFFIX) for file in manifest.of_role("model"))


def is_static(paths: Iterable[Path]) -> bool:
    """True if the files beside a model's weights say that it is one of static vectors. Raises OSError."""
    return any(map(_says_so, paths))


def read_vectors(path: Path) -> Vectors:
    """Returns where a model's tensors lie. Raises ModelFormatError, and OSError if the file cannot be read."""
    places = read_places([path])
    table = next((places[name] for name in _VECTORS if name in places), None)
    if table is None:
        raise ModelFormatError(f"{path} has no tensor {' or '.join(_VECTORS)}, of which static vectors are made.")
    found = Vectors(table, places.get("weights"), places.get("mapping"))
    _require(table, 2, _FLOATS)
    if found.weights is not None:
        _require(found.weights, 1, _FLOATS)
    if found.mapping is not None:
        _require(found.mapping, 1, _INTEGERS)
    return found


def static_facts(found: Vectors) -> ModelFacts:
    """Returns the facts that a model's weights tell."""
    parameters = sum(place.length for place in (found.table, found.weights) if place is not None)
    return ModelFacts(
        architecture=ARCHITECTURE,
        quantization=found.table.dtype,
        parameters=parameters,
        embedding=found.dimensions,
    )


def expected_costs(weights: int, tokenizer: int) -> Costs:
    """Returns what a host may need at most, from the sizes of files that are not here yet."""
    return Costs(_FIXED_BYTES + weights + tokenizer * _OF_UNIGRAM, 0)


def static_costs(size: int, found: Vectors, tokenizer: Path) -> Costs:
    """Returns the costs of a host for a model of `size` bytes in all, with this tokenizer. A context costs nothing.

    Raises OSError if the tokenizer cannot be read.
    """
    content = tokenizer.read_bytes()
    times = _OF_UNIGRAM if _UNIGRAM.search(content) else _OF_TOKENIZER
    return Costs(_FIXED_BYTES + size + found.widened + len(content) * times, 0)


def _says_so(path: Path) -> bool:
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if content[:1] == b"[":
        return any(each.type.endswith(_MODULE) for each in _modules(content))
    try:
        config = msgspec.json.decode(content, type=_Config)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return config.model_type == ARCHITECTURE or "StaticModel" in config.architectures


def _modules(content: bytes) -> tuple[_Module, ...]:
    try:
        return msgspec.json.decode(content, type=tuple[_Module, ...])
    except (msgspec.MsgspecError, RecursionError):
        return ()


def _require(place: Place, dimensions: int, types: frozenset[str]) -> None:
    if len(place.shape) != dimensions or not place.length or place.dtype not in types:
        raise ModelFormatError(
            f"{place.name} in {place.path} has the shape {place.shape} and the type {place.dtype}, and must have "
            f"{dimensions} dimensions and one of the types {', '.join(sorted(types))}."
        )
