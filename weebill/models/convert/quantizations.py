"""The quantizations of whole models: which format each tensor gets.

Those with `_M` keep more bits where fewer cost most: in the output, and in some layers' values and second feed-forward
matrices. The choices are those of llama.cpp (`llama_tensor_get_type_impl` in its src/llama-quant.cpp), so files have
the sizes that people know.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final, NamedTuple

from weebill.models.convert.encodings import ENCODINGS, Encoding, EncodingName
from weebill.models.plan import Precision

_BLOCK: Final = re.compile(r"blk\.(\d+)\.(.+)")
_OUTPUT: Final = "output.weight"
_EMBEDDINGS: Final = "token_embd.weight"
_SENSITIVE: Final = frozenset({"attn_v.weight", "attn_qkv.weight", "ffn_down.weight"})
_NORM: Final = "_norm.weight"
# For rows that are no whole number of blocks.
_FALLBACK: Final[MappingProxyType[EncodingName, EncodingName]] = MappingProxyType(
    {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
)


class Quantization(NamedTuple):
    """A quantization: its number in `general.file_type` (`llama_ftype`), and the formats of tensors in general, of the
    output, and of sensitive tensors in some layers.
    """

    file_type: int
    base: EncodingName
    output: EncodingName
    sensitive: EncodingName


QUANTIZATIONS: Final[MappingProxyType[Precision, Quantization]] = MappingProxyType(
    {
        "F32": Quantization(0, "F32", "F32", "F32"),
        "F16": Quantization(1, "F16", "F16", "F16"),
        "Q4_0": Quantization(2, "Q4_0", "Q6_K", "Q4_0"),
        "Q8_0": Quantization(7, "Q8_0", "Q8_0", "Q8_0"),
        "Q4_K_M": Quantization(15, "Q4_K", "Q6_K", "Q6_K"),
        "Q5_K_M": Quantization(17, "Q5_K", "Q6_K", "Q6_K"),
        "Q6_K": Quantization(18, "Q6_K", "Q6_K", "Q6_K"),
    }
)


def encoding_of(precision: Precision, name: str, shape: tuple[int, ...], layers: int, *, tied: bool) -> Encoding:
    """Returns the format of a tensor in a model of so many layers; `tied` if its embeddings are the output, too."""
    if len(shape) < 2 or name.endswith(_NORM):
        return ENCODINGS["F32"]
    quantization = QUANTIZATIONS[precision]
    wanted = quantization.base
    found = _BLOCK.fullmatch(name)
    if name == _OUTPUT or (tied and name == _EMBEDDINGS):
        # A table whose rows are too short for large blocks keeps eight bits.
        wanted = quantization.output if ENCODINGS[quantization.output].fits(shape[-1]) else "Q8_0"
    elif found and found[2] in _SENSITIVE and _has_more_bits(int(found[1]), layers):
        wanted = quantization.sensitive
    while not ENCODINGS[wanted].fits(shape[-1]):
        wanted = _FALLBACK.get(wanted, "F16")
    return ENCODINGS[wanted]


def _has_more_bits(layer: int, layers: int) -> bool:
    """True for the first and the last eighth of the layers, and for each third one between."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
