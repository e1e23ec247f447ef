"""The default sampling of a model as fields of a request, which the engine's own requests are given where they say
nothing: models that share a host differ in it.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-schema.cpp
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from weebill.models.curated import Sampling
from weebill.models.engine_choice import unserved
from weebill.models.engines import DEFAULT_ENGINE, EngineKind

_FIELDS: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "dry": "dry_multiplier",
    "dry_window": "dry_penalty_last_n",
    "repetition_penalty": "repeat_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "penalty_window": "repeat_last_n",
    "seed": "seed",
    "most_tokens": "max_tokens",
    "stop": "stop",
}
_USUAL: Final = Sampling()


def defaults_of(sampling: Sampling, kind: EngineKind = DEFAULT_ENGINE) -> dict[str, Raw]:
    """Returns the fields by which a model's sampling differs from the usual one, as far as its engine has them."""
    lacks = unserved(kind, sampling)
    return {
        field: Raw(msgspec.json.encode(value))
        for name, field in _FIELDS.items()
        if name not in lacks and (value := getattr(sampling, name)) != getattr(_USUAL, name) and value is not None
    }
