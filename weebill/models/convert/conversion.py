"""The conversion of one model: what will be written is known, and checked, before anything is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

from weebill.models.convert.architectures import Recognized, metadata_of, recognize
from weebill.models.convert.encodings import ENCODINGS
from weebill.models.convert.gguf_file import Value, Written, size_of, write
from weebill.models.convert.safetensors import Tensor, read_tensors
from weebill.models.convert.sources import Configuration, read_described
from weebill.models.curated import Task
from weebill.models.errors import ModelFormatError
from weebill.models.plan import Precision

# Its graph of BERT takes every token for one of the first segment.
_SEGMENTS: Final = (
    "The model tells query and document apart by segments, which llama.cpp does not: its ratings differ from those of "
    "transformers."
)


class Conversion(NamedTuple):
    """A model as GGUF: `size` is the file's in bytes. `warning` says what the engine does otherwise, "" for nothing."""

    task: Task
    warning: str
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
    name: str, weights: Sequence[Path], files: Sequence[Path], licence: str = "", precision: Precision = "F16"
) -> Conversion:
    """Returns the conversion of a model in safetensors. Raises ModelFormatError, and OSError for unreadable files."""
    described = read_described(files)
    recognized = recognize(described)
    general: dict[str, Value] = {"general.architecture": recognized.architecture.name, "general.name": name}
    if licence:
        general["general.license"] = licence
    general["general.file_type"] = ENCODINGS[precision].file_type
    general["general.quantization_version"] = 2
    metadata = {**general, **metadata_of(recognized, described)}
    tensors = tuple(_written(recognized, described.configuration, read_tensors(weights), precision))
    warning = _SEGMENTS if recognized.task == "rerank" and described.configuration.type_vocab_size > 1 else ""
    return Conversion(recognized.task, warning, metadata, tensors, size_of(metadata, tensors))


def _written(
    recognized: Recognized, config: Configuration, found: Mapping[str, Tensor], precision: Precision
) -> list[Written]:
    architecture = recognized.architecture
    bare = {name.removeprefix(architecture.prefix): tensor for name, tensor in found.items()}
    names = recognized.names(config.num_hidden_layers)
    if missing := names.keys() - bare.keys():
        raise ModelFormatError(f"The model's weights lack {_listed(missing)}.")
    unknown = [name for name in bare.keys() - names.keys() if not architecture.dropped.fullmatch(name)]
    if unknown:
        raise ModelFormatError(f"The model's weights have {_listed(unknown)}, which its architecture does not.")
    written = []
    for ours, theirs in names.items():
        tensor = bare[ours]
        exact = len(tensor.shape) < 2 or theirs in architecture.exact
        encoding = ENCODINGS["F32" if exact else precision]
        if not encoding.fits(tensor.shape[-1] if tensor.shape else 1):
            encoding = ENCODINGS["F16"]
        written.append(Written(theirs, tensor, encoding))
    return written


def _listed(names: set[str] | list[str]) -> str:
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} more" if rest else first
