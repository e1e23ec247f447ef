"""Another quantization of a model that is a GGUF already."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final, NamedTuple

from weebill.models.convert.encodings import ENCODINGS, Encoding, EncodingName
from weebill.models.convert.gguf_file import Value, Written, size_of, write
from weebill.models.convert.gguf_source import Stored, read_gguf
from weebill.models.convert.quantizations import QUANTIZATIONS, encoding_of
from weebill.models.gguf import read_facts
from weebill.models.plan import Precision

_OUTPUT: Final = "output.weight"
# Small tensors and those of other parts than the layers, as llama.cpp leaves them (`tensor_allows_quantization` in its
# src/llama-quant.cpp).
_KEPT: Final = re.compile(
    r".*(?<!weight)|.*_norm\.weight|(v|a|mm|sam)\..*"
    r"|.*(ffn_gate_inp|position_embd|token_types|altup|laurel|per_layer_model_proj|ssm_conv1d|shortconv\.conv|attn_rel_b"
    r"|time_mix_|indexer\.).*"
)
# By the source's number (`ggml_type`): a format that holds the same numbers.
_ALIKE: Final[Mapping[int, EncodingName]] = {0: "F32", 1: "F16", 8: "Q8_0", 30: "F32"}


class Requantization(NamedTuple):
    """A model as GGUF: `size` is the file's in bytes."""

    precision: Precision
    metadata: Mapping[str, Value]
    tensors: tuple[Written, ...]
    size: int

    def write(self, file: IO[bytes], wrote: Callable[[int], None]) -> None:
        """Writes the file; `wrote` is told how many bytes have been. Raises ModelFormatError or OSError."""
        write(file, self.metadata, self.tensors, wrote)


def requantization(path: Path, precision: Precision) -> Requantization:
    """Returns a GGUF in another quantization. Raises ModelFormatError or OSError."""
    source, facts = read_gguf(path), read_facts(path)
    metadata: dict[str, Value] = {
        **source.metadata,
        "general.file_type": QUANTIZATIONS[precision].file_type,
        "general.quantization_version": 2,
    }
    tied = all(tensor.name != _OUTPUT for tensor in source.tensors)
    tensors = tuple(
        Written(tensor.name, tensor, _encoding(tensor, precision, facts.layers or 0, tied=tied))
        for tensor in source.tensors
    )
    return Requantization(precision, metadata, tensors, size_of(metadata, tensors))


def _encoding(tensor: Stored, precision: Precision, layers: int, *, tied: bool) -> Encoding:
    if len(tensor.shape) < 2 or _KEPT.fullmatch(tensor.name):
        return ENCODINGS[_ALIKE[tensor.kind]]
    return encoding_of(precision, tensor.name, tensor.shape, layers, tied=tied)
