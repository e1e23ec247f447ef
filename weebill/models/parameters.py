"""Ollama's parameters of a model: those that take effect here, and those that cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from weebill.models.curated import Sampling
from weebill.models.errors import ModelError

_CONTEXT: Final = "num_ctx"
_STOP: Final = "stop"
_MOST_CONTEXT: Final = 1 << 24
_MOST_SEED: Final = (1 << 32) - 1
_MOST_STOPS: Final = 32
_LARGEST: Final = 1e9

Number = int | float


class ParameterError(ModelError):
    """A parameter that has no effect here, or a value that it cannot have. `name` is the parameter."""

    def __init__(self, name: str, fault: str) -> None:
        self.name = name
        super().__init__(f"The parameter {name} {fault}")


class _Known(NamedTuple):
    """A parameter: its field of `Sampling`, what reads its value, and its bounds."""

    field: str
    read: Callable[[str], Number]
    least: Number
    most: Number


_KNOWN: Final[Mapping[str, _Known]] = {
    "temperature": _Known("temperature", float, 0, _LARGEST),
    "top_k": _Known("top_k", int, -1, 1 << 30),
    "top_p": _Known("top_p", float, 0, 1),
    "min_p": _Known("min_p", float, 0, 1),
    "typical_p": _Known("typical_p", float, 0, 1),
    "repeat_penalty": _Known("repetition_penalty", float, 0.01, _LARGEST),
    "repeat_last_n": _Known("penalty_window", int, -1, 1 << 20),
    "presence_penalty": _Known("presence_penalty", float, -_LARGEST, _LARGEST),
    "frequency_penalty": _Known("frequency_penalty", float, -_LARGEST, _LARGEST),
    # -1 is another one each time, as the engine has it, too.
    "seed": _Known("seed", int, -1, _MOST_SEED),
    "num_predict": _Known("most_tokens", int, -1, 1 << 30),
}
_OF_ENGINE: Final = "is set for all models by [local.engine] in weebill.toml."
_REFUSED: Final[Mapping[str, str]] = {
    "num_thread": _OF_ENGINE,
    "num_batch": _OF_ENGINE,
    "num_gpu": _OF_ENGINE,
    "main_gpu": _OF_ENGINE,
    "use_mmap": _OF_ENGINE,
    "use_mlock": _OF_ENGINE,
    "low_vram": _OF_ENGINE,
    "numa": _OF_ENGINE,
    "num_keep": "has no effect: a full context ends the answer, and nothing of it is dropped.",
    "draft_num_predict": "has no effect: answers are not drafted by another model.",
    **dict.fromkeys(
        (
            *("mirostat", "mirostat_tau", "mirostat_eta", "penalize_newline", "tfs_z", "num_gqa", "f16_kv"),
            *("rope_frequency_base", "rope_frequency_scale", "logits_all", "vocab_only", "embedding_only"),
        ),
        "has no effect, as in Ollama, which has given it up.",
    ),
}


class Changed(NamedTuple):
    """The settings of a model: its default sampling, and its context in tokens, 0 for the configured one."""

    sampling: Sampling
    context: int


def changed(before: Changed, given: Mapping[str, tuple[str, ...]]) -> Changed:
    """Returns settings after a change by parameters, each with its values. Raises ParameterError."""
    values: dict[str, Number | tuple[str, ...] | None] = {}
    context = before.context
    for name, said in given.items():
        if name == _STOP:
            if len(said) > _MOST_STOPS or not all(said):
                raise ParameterError(name, f"takes at most {_MOST_STOPS} texts, none of them empty.")
            values["stop"] = said
        elif name == _CONTEXT:
            context = int(_number(name, _Known("", int, 1, _MOST_CONTEXT), said[-1]))
        else:
            known = _known(name)
            number = _number(name, known, said[-1])
            values[known.field] = None if number < 0 and name in ("seed", "num_predict") else number
    return Changed(msgspec.structs.replace(before.sampling, **values), context)


def shown(settings: Changed) -> Iterator[tuple[str, str]]:
    """Yields the parameters that are not as they are without being said, each with its value."""
    usual = Sampling()
    if settings.context:
        yield _CONTEXT, str(settings.context)
    for name, known in _KNOWN.items():
        value = getattr(settings.sampling, known.field)
        if value is not None and value != getattr(usual, known.field):
            yield name, f"{value:g}" if isinstance(value, float) else str(value)
    for text in settings.sampling.stop:
        yield _STOP, text


def _known(name: str) -> _Known:
    if (known := _KNOWN.get(name)) is not None:
        return known
    fault = _REFUSED.get(name)
    names = ", ".join((*_KNOWN, _STOP, _CONTEXT))
    raise ParameterError(name, fault or f"is not known. Known are {names}.")


def _number(name: str, known: _Known, text: str) -> Number:
    try:
        number = known.read(text)
    except ValueError:
        kind = "a whole number" if known.read is int else "a number"
        raise ParameterError(name, f"is {text!r}, and must be {kind}.") from None
    if not known.least <= number <= known.most:
        raise ParameterError(name, f"is {text}, and must be between {known.least:g} and {known.most:g}.")
    return number
