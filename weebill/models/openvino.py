"""The models that OpenVINO GenAI reads as llama.cpp does, by the facts in their files, and the settings of a model that
it has. Pure.

Source: https://github.com/openvinotoolkit/openvino.genai/tree/master/src/cpp/src/gguf_utils
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from weebill.models.curated import Sampling
from weebill.models.gguf import ModelFacts
from weebill.models.needs import FIXED_BYTES, Costs, token_bytes
from weebill.models.tasks import Serving

_ARCHITECTURES: Final = frozenset({"llama", "qwen2", "qwen3"})
# Of `tokenizer.ggml.pre`. It takes any other for one of its own, and splits texts in other ways than the model knows.
_SPLITS: Final = frozenset({"qwen2", "smollm"})
_VOCABULARIES: Final = frozenset({"gpt2"})
_EXACT: Final = frozenset({"F16", "Q4_0", "Q6_K", "Q8_0"})
# It keeps the least weight of each block as a whole multiple of a step, to which it rounds it
# (`make_int4_weights` in building_blocks.cpp there).
_ROUNDED: Final = frozenset({"Q4_1", "Q4_K_M"})
_QUANTIZATIONS: Final = _EXACT | _ROUNDED
MOST_PENALTY: Final = 2.0
"""The greatest penalty on presence and on frequency that it takes, either way."""
_WHOLE_CONTEXT: Final = -1
# By the field of a model's sampling, what tells that it asks for more than OpenVINO has. Its penalties count the whole
# context; the usual window is nobody's wish.
_LACKS: Final[Mapping[str, Callable[[Sampling], bool]]] = {
    "dry": lambda asked: asked.dry != 0,
    "typical_p": lambda asked: asked.typical_p != 1,
    "penalty_window": lambda asked: asked.penalty_window not in (_WHOLE_CONTEXT, Sampling().penalty_window),
    "presence_penalty": lambda asked: abs(asked.presence_penalty) > MOST_PENALTY,
    "frequency_penalty": lambda asked: abs(asked.frequency_penalty) > MOST_PENALTY,
}


def refusal(facts: ModelFacts, task: Serving = "chat", has_more: bool = False, files: int = 1) -> str:
    """Returns why OpenVINO does not serve a model; "" if it does.

    `has_more` is True if it has adapters, or a projector; `files` is the number of those that its weights are in.
    """
    if task != "chat":
        return "it writes no answers"
    if has_more:
        return "it has an adapter, or reads images"
    if files != 1:
        return "it is in several files"
    checks = (
        (facts.architecture, _ARCHITECTURES, "is of the architecture"),
        (facts.vocabulary, _VOCABULARIES, "has a vocabulary of the kind"),
        (facts.splitting, _SPLITS, "splits texts in the way"),
        (facts.quantization, _QUANTIZATIONS, "has weights in"),
    )
    for value, served, what in checks:
        if value not in served:
            found = f"'{value}'" if value else "no known name"
            return f"it {what} {found}, and those served are {', '.join(sorted(served))}"
    if facts.scaling not in ("", "none"):
        return f"its positions are scaled ('{facts.scaling}')"
    return ""


def is_rounded(facts: ModelFacts) -> bool:
    """True if OpenVINO rounds the weights of a model anew, and so answers less well than llama.cpp."""
    return facts.quantization in _ROUNDED


def unserved(sampling: Sampling) -> tuple[str, ...]:
    """Returns the names of a model's own settings that ask for what OpenVINO does not have."""
    return tuple(name for name, exceeds in _LACKS.items() if exceeds(sampling))


def costs_of(size: int, facts: ModelFacts) -> Costs:
    """Returns the costs of a host with a model of `size` bytes: the library keeps weights of its own.

    It took 556 MB with weights of 98 MB and a context in use of 110 MB.
    """
    return Costs(2 * size + FIXED_BYTES, token_bytes(facts))
