"""Bounds on the values of the fields that llama.cpp reads: it checks few of them, and some cost it without end.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-schema.cpp
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, Self

import msgspec
from msgspec.structs import replace

from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.inbound import Json

_decode: Final = msgspec.json.Decoder().decode
# Fields that hold what the client is about, whose size is bounded where bodies are.
_MAX_BYTES: Final = 64 << 10
_UNREADABLE: Final = (*UNREADABLE, OverflowError)


class OutOfBoundsError(ApiError):
    """400 for a field whose value is not what it may be, whatever the client's API."""

    def __init__(self, name: str, wants: str) -> None:
        super().__init__(400, _says(name, wants), code="invalid_value", param=name)
        self._wants = wants

    def about(self, param: str) -> Self:
        """This error, with the client's own name for the field, in what it says, too."""
        self.detail = replace(self.detail, param=param, message=_says(param, self._wants))
        return self


def _says(name: str, wants: str) -> str:
    return f"Invalid '{name}': it must be {wants}."


class Bound(Protocol):
    """A bound: it tells which values are within it."""

    @property
    def wants(self) -> str:
        """Says so; completes "it must be"."""

    def holds(self, value: object) -> bool:
        """True for a value within it."""


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number from `low` to `high`."""

    low: float
    high: float

    @property
    def wants(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def holds(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`, written as one or as 3.0."""

    low: int
    high: int

    @property
    def wants(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def holds(self, value: object) -> bool:
        if isinstance(value, float):
            return value.is_integer() and self.low <= value <= self.high
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    wants: str = "true or false"

    def holds(self, value: object) -> bool:
        return isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Words:
    """A text of at most `length` characters, or a list of at most `count` of them; no text if `listed`."""

    count: int
    length: int
    listed: bool = False

    @property
    def wants(self) -> str:
        either = "" if self.listed else f"a text of at most {self.length} characters or "
        return f"{either}a list of at most {self.count} texts of at most {self.length} characters"

    def holds(self, value: object) -> bool:
        words = value if isinstance(value, list) else [] if self.listed else [value]
        return (isinstance(value, list) or not self.listed) and (
            len(words) <= self.count and all(isinstance(word, str) and len(word) <= self.length for word in words)
        )


@dataclass(frozen=True, slots=True)
class Text:
    """A text of at most `length` characters."""

    length: int

    @property
    def wants(self) -> str:
        return f"a text of at most {self.length} characters"

    def holds(self, value: object) -> bool:
        return isinstance(value, str) and len(value) <= self.length


@dataclass(frozen=True, slots=True)
class Members:
    """An object of at most `count` members."""

    count: int

    @property
    def wants(self) -> str:
        return f"an object of at most {self.count} members and {_MAX_BYTES} bytes"

    def holds(self, value: object) -> bool:
        return isinstance(value, dict) and len(value) <= self.count


@dataclass(frozen=True, slots=True)
class Biases:
    """Additions to the odds of at most `count` tokens, which a name, a number or, in pairs, a text says."""

    count: int

    @property
    def wants(self) -> str:
        return f"at most {self.count} tokens, each with a number from -100 to 100"

    def holds(self, value: object) -> bool:
        if isinstance(value, dict):
            pairs: list[object] = [[token, bias] for token, bias in value.items()]
        elif isinstance(value, list):
            pairs = value
        else:
            return False
        return len(pairs) <= self.count and all(map(_is_bias, pairs))


@dataclass(frozen=True, slots=True)
class Either:
    """One of two."""

    first: Bound
    second: Bound

    @property
    def wants(self) -> str:
        return f"{self.first.wants}, or {self.second.wants}"

    def holds(self, value: object) -> bool:
        return self.first.holds(value) or self.second.holds(value)


@dataclass(frozen=True, slots=True)
class Prompts:
    """One prompt, or at most `count`, each a text or its tokens."""

    count: int

    @property
    def wants(self) -> str:
        return f"a text, a list of tokens, or a list of at most {self.count} prompts"

    def holds(self, value: object) -> bool:
        return isinstance(value, str) or (
            isinstance(value, list) and (len(value) <= self.count or all(isinstance(each, int) for each in value))
        )


def _is_bias(pair: object) -> bool:
    if not isinstance(pair, list) or len(pair) != 2:
        return False
    token, bias = pair
    known = len(token) <= 64 if isinstance(token, str) else isinstance(token, int) and 0 <= token < 2**31
    return known and (bias is False or _BIAS.holds(bias))


_BIAS: Final = Number(-100, 100)
_FLAG: Final = Flag()
_SHARE: Final = Number(0, 1)
_STRENGTH: Final = Number(0, 100)
# -1 is all of the window; each token costs as much as is looked back upon.
_LOOK_BACK: Final = Whole(-1, 32768)
_LENGTH: Final = Whole(-(2**53), 2**53)
_BUDGET: Final = Whole(-1, 2**20)

BOUNDS: Final[Mapping[str, Bound]] = {
    # How long an answer is: `bound_length` holds it to the window.
    **dict.fromkeys(("n_predict", "max_tokens", "max_completion_tokens"), _LENGTH),
    "t_max_predict_ms": Whole(-1, 3_600_000),
    "n_indent": Whole(0, 1000),
    "n": Whole(1, 128),
    "stop": Words(64, 1000),
    "prompt": Prompts(128),
    # How its tokens are chosen.
    "temperature": Number(-100, 100),
    "dynatemp_range": _STRENGTH,
    "dynatemp_exponent": _STRENGTH,
    "top_k": Whole(-1, 1_000_000),
    "min_keep": Whole(0, 1000),
    **dict.fromkeys(("top_p", "min_p", "typical_p", "xtc_probability", "xtc_threshold", "adaptive_decay"), _SHARE),
    "adaptive_target": Number(-1, 1),
    "top_n_sigma": Number(-1, 100),
    "mirostat": Whole(0, 2),
    "mirostat_tau": _STRENGTH,
    "mirostat_eta": _STRENGTH,
    "samplers": Words(32, 256),
    "seed": Whole(-(2**63), 2**64 - 1),
    # What was said before, divided by it.
    **dict.fromkeys(("repeat_penalty", "repetition_penalty"), Number(0.01, 100)),
    "repeat_last_n": _LOOK_BACK,
    **dict.fromkeys(("presence_penalty", "frequency_penalty"), Number(-100, 100)),
    "dry_multiplier": _STRENGTH,
    "dry_base": _STRENGTH,
    "dry_allowed_length": Whole(0, 32768),
    "dry_penalty_last_n": _LOOK_BACK,
    # Each is compared with the whole vocabulary.
    "dry_sequence_breakers": Words(16, 40, listed=True),
    "logit_bias": Biases(1024),
    # What is told of it.
    "n_probs": Whole(0, 100),
    "top_logprobs": Whole(0, 20),
    "logprobs": Either(_FLAG, Whole(0, 20)),
    **dict.fromkeys(("post_sampling_probs", "timings_per_token", "return_progress"), _FLAG),
    **dict.fromkeys(("ignore_eos", "cache_prompt", "add_generation_prompt", "continue_final_message"), _FLAG),
    # The prompt's template, and models that think.
    "chat_template_kwargs": Members(64),
    "reasoning_format": Text(64),
    "reasoning_effort": Text(64),
    "reasoning_budget_tokens": _BUDGET,
    "thinking_budget_tokens": _BUDGET,
    "reasoning_budget_message": Text(4000),
    # What the answer is held to; `check_grammar` and `json_grammar` look into them.
    "grammar": Text(16_000),
    "json_schema": Members(1000),
}
"""By field. Not among them are those that are read, fitted and checked for what they are about, such as `messages`."""
_AT_LENGTH: Final = frozenset({"prompt"})


def check_choices(fields: Json, slots: int) -> None:
    """Raises OutOfBoundsError for more answers to a prompt than the engine writes at once (0 if unknown): it writes
    them side by side, or none. The fields are within their bounds.
    """
    choices = _decode(fields.get("n", b"null"))
    if slots and choices is not None and choices > slots:
        raise OutOfBoundsError("n", f"at most {slots}, as many answers as this model writes at once")


def check_bounds(fields: Json) -> None:
    """Raises OutOfBoundsError for a value that is none of those that its field may have; null is none at all."""
    for name, raw in fields.items():
        bound = BOUNDS.get(name)
        if bound is None:
            continue
        text = bytes(raw)
        if text == b"null":
            continue
        if len(text) > _MAX_BYTES and name not in _AT_LENGTH:
            raise OutOfBoundsError(name, bound.wants)
        try:
            held = bound.holds(_decode(text))
        except _UNREADABLE:
            held = False
        if not held:
            raise OutOfBoundsError(name, bound.wants)
