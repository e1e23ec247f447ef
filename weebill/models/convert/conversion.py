"""The conversion of one model: what will be written is known, and checked, before anything is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

from weebill.models.convert.architectures import Recognized, metadata_of, recognize
from weebill.models.convert.encodings import ENCODINGS
from weebill.models.convert.gguf_file import Value, Written, size_of, write
from weebill.models.convert.quantizations import QUANTIZATIONS, encoding_of
from weebill.models.convert.safetensors import Tensor, read_tensors
from weebill.models.convert.sources import read_described
from weebill.models.convert.values import Values
from weebill.models.curated import Sampling, Task
from weebill.models.errors import ModelFormatError
from weebill.models.plan import Precision

# Its graph of BERT takes every token for one of the first segment.
_SEGMENTS: Final = (
    "The model tells query and document apart by segments, which llama.cpp does not: its ratings differ from those of "
    "transformers."
)
_EMBEDDINGS: Final = "token_embd.weight"
_LAYER: Final = re.compile(r"blk\.\d+\.")
# Vectors are compared by small differences; answers hardly change with eight bits, and come in half the time.
_USUAL: Final[Mapping[Task, Precision]] = {"embed": "F16", "rerank": "F16"}
_OTHERWISE: Final[Precision] = "Q8_0"


class Conversion(NamedTuple):
    """A model as GGUF: `size` is the file's in bytes. `warning` says what the engine does otherwise, "" for nothing;
    `sampling` is what its makers advise.
    """

    task: Task
    sampling: Sampling | None
    warning: str
    precision: Precision
    metadata: Mapping[str, Value]
    tensors: tuple[Written, ...]
    size: int

    def write(self, file: IO[bytes], wrote: Callable[[int], None]) -> None:
        """Writes the file; `wrote` is told how many bytes have been. Raises ModelFormatError or OSError."""
        write(file, self.metadata, self.tensors, wrote)


def require_convertible(files: Sequence[Path]) -> Task:
    """Returns the task of the model that these files beside its weights describe.

    Raises ModelFormatError or OSError.
    """
    described = read_described(files)
    recognized = recognize(described)
    metadata_of(recognized, described)
    return recognized.task


def conversion(
    name: str, weights: Sequence[Path], files: Sequence[Path], licence: str = "", precision: Precision | None = None
) -> Conversion:
    """Returns the conversion of a model in safetensors, by default to what suits its task.

    Raises ModelFormatError, and OSError for unreadable files.
    """
    described = read_described(files)
    recognized = recognize(described)
    chosen = precision or _USUAL.get(recognized.task, _OTHERWISE)
    general: dict[str, Value] = {"general.architecture": recognized.architecture.name, "general.name": name}
    if licence:
        general["general.license"] = licence
    general["general.file_type"] = QUANTIZATIONS[chosen].file_type
    general["general.quantization_version"] = 2
    metadata = {**general, **metadata_of(recognized, described)}
    tensors = tuple(_written(recognized, read_tensors(weights), chosen))
    is_segmented = recognized.task == "rerank" and recognized.configuration.type_vocab_size > 1
    warning = _SEGMENTS if is_segmented else recognized.architecture.warning(recognized.configuration)
    sampling = described.generation.sampling() if recognized.task == "chat" else None
    return Conversion(recognized.task, sampling, warning, chosen, metadata, tensors, size_of(metadata, tensors))


def _written(recognized: Recognized, found: Mapping[str, Tensor], precision: Precision) -> list[Written]:
    architecture, config = recognized.architecture, recognized.configuration
    bare = {architecture.prefix.sub("", name, count=1): tensor for name, tensor in found.items()}
    if len(bare) != len(found):
        raise ModelFormatError("The model's weights have tensors of the same name.")
    names = recognized.names()
    if missing := [name for name in names.keys() - bare.keys() if not _is_optional(architecture.optional, name)]:
        raise ModelFormatError(f"The model's weights lack {_listed(missing)}.")
    spare = {ours for ours in architecture.tensors if ours not in names}
    unknown = [name for name in bare.keys() - names.keys() - spare if not architecture.dropped.fullmatch(name)]
    if unknown:
        raise ModelFormatError(f"The model's weights have {_listed(unknown)}, which its architecture does not.")
    tensors: dict[str, Values] = dict(architecture.computed(config))
    for ours, theirs in names.items():
        if (tensor := bare.get(ours)) is not None:
            change = architecture.changes.get(_LAYER.sub("", theirs))
            tensors[theirs] = tensor if change is None else change(tensor, config)
    _require_shape(tensors[_EMBEDDINGS], (config.vocab_size, config.hidden_size))
    written = []
    for theirs, values in tensors.items():
        encoding = encoding_of(precision, theirs, values.shape, config.num_hidden_layers, tied=recognized.is_tied)
        written.append(Written(theirs, values, ENCODINGS["F32"] if theirs in architecture.exact else encoding))
    return written


def _is_optional(optional: frozenset[str], name: str) -> bool:
    return any(name.endswith(f".{each}") for each in optional)


def _require_shape(embeddings: Values, wanted: tuple[int, int]) -> None:
    if embeddings.shape != wanted:
        raise ModelFormatError(
            f"The model's embeddings are {' x '.join(map(str, embeddings.shape))}, and its config.json says "
            f"{wanted[0]} x {wanted[1]}."
        )


def _listed(names: list[str]) -> str:
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} more" if rest else first
