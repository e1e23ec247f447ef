"""The turning of queries and keys by their place in the text (RoPE), as transformers says it and llama.cpp reads it.

The formulas are those of transformers' modeling_rope_utils.py. llama.cpp stretches `linear` and `yarn` by itself, and
takes what it divides each frequency by from tensors for `llama3` and `longrope`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from weebill.models.convert.architecture import Metadata
from weebill.models.convert.configuration import Configuration, RopeSettings
from weebill.models.convert.values import Computed, Values
from weebill.models.errors import ModelFormatError

_KINDS: Final = ("default", "linear", "yarn", "llama3")
_LONG: Final = ("longrope", "su")


def require_known(config: Configuration, kinds: tuple[str, ...] = _KINDS) -> None:
    """Raises ModelFormatError for a stretching that is none of these."""
    rope = config.rope
    if rope.rope_type not in kinds:
        raise ModelFormatError(
            f"The model's rope_type is {rope.rope_type!r}, and this architecture is converted with {', '.join(kinds)}."
        )
    if rope.rope_type == "yarn" and rope.attention_factor is not None:
        raise ModelFormatError("The model's attention_factor for yarn is not the usual one, which the engine has.")


def stretching(config: Configuration) -> Metadata:
    """Returns the metadata of what the engine stretches by itself."""
    rope = config.rope
    if rope.rope_type not in ("linear", "yarn"):
        return {}
    found: Metadata = {"rope.scaling.type": rope.rope_type, "rope.scaling.factor": float(rope.factor or 1.0)}
    if rope.rope_type == "yarn":
        original = rope.original_max_position_embeddings or config.max_position_embeddings
        found["rope.scaling.original_context_length"] = original
        if rope.beta_fast is not None:
            found["rope.scaling.yarn_beta_fast"] = float(rope.beta_fast)
        if rope.beta_slow is not None:
            found["rope.scaling.yarn_beta_slow"] = float(rope.beta_slow)
    return found


def divisors(config: Configuration) -> Mapping[str, Values]:
    """Returns the tensor of what Llama 3 divides each frequency by; none for another stretching."""
    rope = config.rope
    if rope.rope_type != "llama3":
        return {}
    size, base = config.head_size, rope.rope_theta or 10_000.0
    lengths = (2 * math.pi * base ** (number / size) for number in range(0, size, 2))
    return {"rope_freqs.weight": Computed(tuple(_divisor(length, rope) for length in lengths))}


def _divisor(length: float, rope: RopeSettings) -> float:
    """Returns the divisor for a wave of this length: 1 for short ones, `factor` for long ones."""
    factor, original = rope.factor or 8.0, rope.original_max_position_embeddings or 8192
    low, high = rope.low_freq_factor or 1.0, rope.high_freq_factor or 4.0
    place = min(1.0, max(0.0, (original / length - low) / (high - low)))
    return 1 / ((1 - place) / factor + place)


def long_and_short(config: Configuration) -> Mapping[str, Values]:
    """Returns the tensors of what Phi divides each frequency by, in long and in short texts."""
    rope = config.rope
    if rope.rope_type not in _LONG:
        return {}
    return {
        "rope_factors_long.weight": Computed(rope.long_factor),
        "rope_factors_short.weight": Computed(rope.short_factor),
    }


def long_metadata(config: Configuration) -> Metadata:
    """Returns the metadata beside `long_and_short`."""
    rope = config.rope
    original = rope.original_max_position_embeddings or config.max_position_embeddings
    found: Metadata = {"rope.scaling.original_context_length": original}
    if rope.rope_type in _LONG:
        scale = config.max_position_embeddings / original
        usual = math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0
        found["rope.scaling.attn_factor"] = float(rope.attention_factor or usual)
    return found


def require_long(config: Configuration) -> None:
    """Raises ModelFormatError unless the stretching is Phi's, with a number for each frequency, or none."""
    require_known(config, ("default", *_LONG))
    rope = config.rope
    if rope.rope_type in _LONG:
        wanted = int((rope.partial_rotary_factor or 1.0) * config.head_size) // 2
        if len(rope.long_factor) != wanted or len(rope.short_factor) != wanted:
            raise ModelFormatError(f"The model's long_factor and short_factor must have {wanted} numbers each.")
