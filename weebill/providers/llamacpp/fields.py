"""The fields of a request that llama.cpp reads; it passes over all others without a word.

Sources: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-schema.cpp and server-common.cpp there
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.fit import Fit
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.inbound import Json
from weebill.wire.keep_alive import KEEP_ALIVE
from weebill.wire.literals import SILENT

ENGINE: Final = frozenset(
    {"top_k", "min_p", "top_n_sigma", "typical_p", "xtc_probability", "xtc_threshold", "min_keep", "samplers"}
    | {"dynatemp_range", "dynatemp_exponent", "mirostat", "mirostat_tau", "mirostat_eta"}
    | {"adaptive_target", "adaptive_decay", "repetition_penalty", "repeat_penalty", "repeat_last_n", "ignore_eos"}
    | {"dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"}
    | {"n_predict", "n_indent", "t_max_predict_ms", "cache_prompt", "grammar", "json_schema"}
    | {"n_probs", "post_sampling_probs", "timings_per_token", "return_progress"}
    # Of the prompt's template, and of models that think.
    | {"chat_template_kwargs", "add_generation_prompt", "continue_final_message", "reasoning_format"}
    | {"reasoning_budget_tokens", "thinking_budget_tokens", "reasoning_budget_message"}
)
"""llama.cpp's own fields that clients send on purpose.

Not among them are those by which its parts talk to each other, which answer for debugging, or which its host does not
allow.
"""
_FORMS: Final = ("grammar", "json_schema")
# What fits the integers of its own.
_LONGEST: Final = 2**31 - 1
_LIMITS: Final = ("n_predict", "max_completion_tokens", "max_tokens")
_OPENAI: Final = frozenset(
    {"model", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed"}
    | {"presence_penalty", "frequency_penalty", "stop", "logprobs", "logit_bias"}
)
KEPT: Final = frozenset({KEEP_ALIVE})
"""Fields of Ollama's clients that are meant for the host rather than the engine."""
CHAT: Final = (
    ENGINE
    | KEPT
    | _OPENAI
    | {"messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "top_logprobs", "reasoning_effort"}
)
"""Those of a chat request."""
COMPLETION: Final = ENGINE | KEPT | _OPENAI | {"prompt"}
"""Those of a request to complete text."""

_WHAT: Final = {"audio": "answers in speech", "prediction": "predicted outputs", "web_search_options": "web search"}
# What is left of a quarter of a prompt's bytes when a quarter is taken off are tokens, whatever the language.
_BYTES_PER_TOKEN: Final = 4 / 0.75

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.encode


def read_of(fields: Json, known: frozenset[str], fit: Fit) -> Json:
    """A copy of the fields that are `known`. Raises Unsupported, as `fit` has it, for others that ask for something."""
    if fields.keys() <= known:
        return dict(fields)
    read: Json = {}
    for name, value in fields.items():
        if name in known:
            read[name] = value
        elif bytes(value) != b"false":
            fit.unsupported(name, _WHAT.get(name, f"'{name}'"), value)
    return read


def bound_length(prompt_bytes: int, fields: Json, context: int | None, fit: Fit) -> None:
    """Hold the answer to the least length asked for and what the prompt leaves of the window; no tokens mean no limit.

    Raises Unsupported where hints must not go.
    """
    given = {name: length for name in _LIMITS if name in fields and (length := _number(fields[name])) is not None}
    if not given:
        return
    most = min([_LONGEST, *[length for length in given.values() if length > 0]])
    if context is not None:
        most = min(most, max(1, context - int(prompt_bytes / _BYTES_PER_TOKEN)))
    for name, length in given.items():
        if length <= 0:
            del fields[name]
        elif length > most:
            fit.hint(name, f"more than {most} tokens")
            fields[name] = Raw(_encode(most))


def drop_empty(fields: Json) -> None:
    """Leave out what says nothing, and would be answered with an error or with no text at all."""
    if "stop" in fields and bytes(fields["stop"]).find(b'""') >= 0:
        words = _decode(fields["stop"])
        kept = [word for word in words if word != ""] if isinstance(words, list) else []
        if kept:
            fields["stop"] = Raw(_encode(kept))
        else:
            del fields["stop"]
    for name in _FORMS:
        if bytes(fields.get(name, b"")) in SILENT:
            del fields[name]
    if bytes(fields.get("top_logprobs", b"")) == b"0" and bytes(fields.get("logprobs", b"")) != b"true":
        del fields["top_logprobs"]


def check_forms(fields: Json, bound: bool) -> None:
    """Raises ApiError 400 if the answer is to have two forms; `bound` is whether it has one by OpenAI's fields."""
    forms = [name for name in _FORMS if name in fields]
    if len(forms) + bound > 1:
        message = f"'{forms[0]}' says what the answer is to be, and so does another field; give one of them."
        raise ApiError(400, message, code="invalid_value", param=forms[0])


def _number(raw: Raw) -> int | float | None:
    try:
        value = _decode(raw)
    except UNREADABLE:
        return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
