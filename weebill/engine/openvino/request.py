"""A request as the gateway sends it to a host, with what this engine can do; for the rest, the field is named.

The fields are llama.cpp's (`weebill/providers/llamacpp/fields.py`), their bounds the gateway's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, cast

import msgspec
from msgspec import Raw

from weebill.engine.openvino.merging import Json, SchemaError
from weebill.engine.openvino.schema import answer_or_call_rules, json_rules
from weebill.engine.serving.jobs import RefusedError
from weebill.models.curated import Sampling
from weebill.models.openvino import MOST_PENALTY

CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"

# What does nothing here, or is about what this engine does anyway.
_PASSED_OVER: Final = frozenset(
    {"model", "stream_options", "return_progress", "response_fields", "cache_prompt", "user", "reasoning_format"}
    | {"parallel_tool_calls", "tool_choice", "id_slot"}
    # Of what is off unless it is switched on, by a field of those below.
    | {"dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers", "mirostat_tau", "mirostat_eta"}
    | {"xtc_threshold", "dynatemp_exponent", "adaptive_decay", "reasoning_budget_message"}
)
# What this engine cannot do, by the values with which it is not asked for.
_OFF: Final[Mapping[str, tuple[object, ...]]] = {
    "dry_multiplier": (0,),
    "mirostat": (0,),
    "xtc_probability": (0,),
    "dynatemp_range": (0,),
    "typical_p": (1,),
    "top_n_sigma": (-1, 0),
    "adaptive_target": (-1,),
    "min_keep": (0, 1),
    "repeat_last_n": (-1,),
    "logit_bias": ({}, []),
    "n_probs": (0,),
    "top_logprobs": (0,),
    "samplers": ([],),
    "n_indent": (0,),
    "t_max_predict_ms": (-1, 0),
    "post_sampling_probs": (False,),
    "timings_per_token": (False,),
    "continue_final_message": (False,),
    "add_generation_prompt": (True,),
    "reasoning_budget_tokens": (-1,),
    "thinking_budget_tokens": (-1,),
}
_LONGEST: Final = 2**31 - 1
_NO_SEED: Final = 0xFFFFFFFF
_JSON: Final = "%llguidance {}\nstart: %json "
_ANSWER: Final = "%llguidance {}\nstart: answer | call\nanswer: %json "
_CALL: Final = '\ncall: "<tool_call>\\n" called "\\n</tool_call>"\ncalled: %json '
_PLACE: Final = re.compile(r"(.*?) - at `\$\.?(\w+)?.*`")
_ANY_OBJECT: Final[dict[str, Json]] = {"type": "object"}


# The gateway has added what the model is set to.
_USUAL: Final = Sampling()


class JsonSchemaForm(msgspec.Struct, frozen=True):
    """The schema in a response format."""

    schema: dict[str, object] | None = None


class ResponseForm(msgspec.Struct, frozen=True):
    """The form of the answer, as OpenAI's clients ask for it."""

    type: str = "text"
    json_schema: JsonSchemaForm | None = None


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    messages: list[dict[str, object]] | None = None
    prompt: str | list[int | str] | None = None
    tools: list[dict[str, object]] | None = None
    chat_template_kwargs: dict[str, object] | None = None
    reasoning_effort: str | None = None
    reasoning_format: str | None = None
    response_format: ResponseForm | None = None
    grammar: str | None = None
    json_schema: dict[str, object] | None = None
    stream: bool | None = None
    verbose: bool | None = None
    n: int | None = None
    max_tokens: float | None = None
    max_completion_tokens: float | None = None
    n_predict: float | None = None
    temperature: float | None = None
    top_k: float | None = None
    top_p: float | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | float | None = None
    stop: str | list[str] | None = None
    ignore_eos: bool | None = None
    logprobs: bool | int | None = None


_SERVED: Final = frozenset(_Body.__struct_fields__)


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The way in which the next token is chosen; a temperature of 0 takes the likeliest. `top_k` is 0 for all."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    presence_penalty: float
    frequency_penalty: float
    repetition_penalty: float
    seed: int | None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer that is wanted: `count` of them, of at most `most_tokens`, None for no limit, by a grammar, "" for
    none.

    Of a chat, there are `messages`, and what else the template is given; of a text that is to go on, its `prompts`.
    """

    messages: tuple[dict[str, object], ...] = ()
    prompts: tuple[str | list[int], ...] = ()
    tools: tuple[dict[str, object], ...] = ()
    variables: dict[str, object] = {}
    choice: Choice
    grammar: str = ""
    count: int = 1
    most_tokens: int | None = None
    stop: tuple[str, ...] = ()
    streams: bool = False
    tells_stop: bool = False
    tells_thoughts: bool = True
    ignores_end: bool = False
    logprobs: bool = False

    @property
    def is_chat(self) -> bool:
        """True if a message is asked for, rather than the rest of a text."""
        return not self.prompts


def wanted(path: str, body: bytes) -> Wanted:
    """Reads a request. Raises RefusedError, which names the field at fault."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, Raw])
        given = {name: raw for name, raw in fields.items() if bytes(raw) != b"null"}
        _require_served(given)
        asked = msgspec.json.decode(msgspec.json.encode({n: r for n, r in given.items() if n in _SERVED}), type=_Body)
    except msgspec.ValidationError as error:
        raise _misread(str(error)) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RefusedError.invalid("The body is not valid JSON.") from error
    prompts = _prompts(asked, path)
    if asked.n is not None and asked.n < 1:
        raise refused("n", "must be at least 1")
    if isinstance(asked.logprobs, int) and not isinstance(asked.logprobs, bool):
        raise refused(
            "logprobs", "must be true or false: this engine tells of each token that it took, and of no other"
        )
    return Wanted(
        messages=tuple(asked.messages or ()) if path == CHAT else (),
        prompts=prompts,
        tools=tuple(asked.tools or ()),
        variables=_variables(asked),
        choice=_choice(asked),
        grammar=_grammar(asked),
        count=asked.n or 1,
        most_tokens=_most_tokens(asked),
        stop=_stop(asked.stop),
        streams=bool(asked.stream),
        tells_stop=bool(asked.verbose),
        tells_thoughts=asked.reasoning_format != "none",
        ignores_end=bool(asked.ignore_eos),
        logprobs=bool(asked.logprobs),
    )


def refused(field: str, problem: str) -> RefusedError:
    """Returns the error about a field, in the words by which the gateway finds its name."""
    return RefusedError.invalid(f"Field '{field}' {problem}.", field)


def _misread(said: str) -> RefusedError:
    found = _PLACE.match(said)
    return refused(found[2], f"is wrong: {found[1]}") if found and found[2] else RefusedError.invalid(f"{said}.")


def _require_served(given: Mapping[str, Raw]) -> None:
    for name, raw in given.items():
        if name in _SERVED or name in _PASSED_OVER:
            continue
        value = msgspec.json.decode(raw)
        if name not in _OFF:
            if value is not False:
                raise refused(name, "is not known to the engine of this model, OpenVINO")
        elif not any(value == off and isinstance(value, bool) == isinstance(off, bool) for off in _OFF[name]):
            raise refused(name, "asks for what the engine of this model, OpenVINO, does not do; llama.cpp does")


def _prompts(asked: _Body, path: str) -> tuple[str | list[int], ...]:
    if path == CHAT:
        if not asked.messages:
            raise refused("messages", "must have at least one message")
        return ()
    prompt = asked.prompt
    if not prompt:
        raise refused("prompt", "must have a text or tokens")
    if isinstance(prompt, str):
        return (prompt,)
    texts = [each for each in prompt if isinstance(each, str)]
    tokens = [each for each in prompt if isinstance(each, int)]
    if texts and tokens:
        raise refused("prompt", "must have texts or tokens, not both")
    return tuple(texts) or (tokens,)


def _variables(asked: _Body) -> dict[str, object]:
    effort: dict[str, object] = {} if asked.reasoning_effort is None else {"reasoning_effort": asked.reasoning_effort}
    return {**effort, **(asked.chat_template_kwargs or {})}


def _choice(asked: _Body) -> Choice:
    repetition = asked.repetition_penalty if asked.repeat_penalty is None else asked.repeat_penalty
    seed = None if asked.seed is None else int(asked.seed)
    return Choice(
        temperature=_or(asked.temperature, _USUAL.temperature),
        top_k=max(0, int(_or(asked.top_k, _USUAL.top_k))),
        top_p=_or(asked.top_p, _USUAL.top_p),
        min_p=_or(asked.min_p, _USUAL.min_p),
        presence_penalty=_penalty("presence_penalty", _or(asked.presence_penalty, _USUAL.presence_penalty)),
        frequency_penalty=_penalty("frequency_penalty", _or(asked.frequency_penalty, _USUAL.frequency_penalty)),
        repetition_penalty=_or(repetition, _USUAL.repetition_penalty),
        seed=None if seed is None or seed in (-1, _NO_SEED) else seed % 2**64,
    )


def _or(given: float | None, otherwise: float) -> float:
    return otherwise if given is None else given


def _penalty(name: str, value: float) -> float:
    if not -MOST_PENALTY <= value <= MOST_PENALTY:
        raise refused(
            name, f"must be from {-MOST_PENALTY:g} to {MOST_PENALTY:g} for the engine of this model, OpenVINO"
        )
    return value


def _most_tokens(asked: _Body) -> int | None:
    given = [each for each in (asked.max_tokens, asked.max_completion_tokens, asked.n_predict) if each is not None]
    limits = [min(int(each), _LONGEST) for each in given if each >= 1]
    return min(limits, default=None)


def _stop(given: str | list[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _grammar(asked: _Body) -> str:
    """Returns the grammar that the answer is bound to, in xgrammar's notation; "" for none."""
    try:
        if asked.grammar is not None:
            return _of_llguidance(asked.grammar)
        if asked.json_schema is not None:
            return json_rules(_plain(asked.json_schema))
        form = asked.response_format
        if form is None or form.type == "text":
            return ""
        schema = form.json_schema.schema if form.json_schema is not None else None
        return json_rules(_ANY_OBJECT if schema is None else _plain(schema))
    except SchemaError as error:
        message = f"Invalid schema: for the engine of this model, OpenVINO, it {error}."
        raise RefusedError.invalid(message, "response_format") from error


def _of_llguidance(grammar: str) -> str:
    """Returns what the gateway's own grammars are here (`weebill/providers/llamacpp/grammar.py`)."""
    if grammar.startswith(_JSON):
        return json_rules(_schema(grammar.removeprefix(_JSON)))
    answer, found, call = grammar.removeprefix(_ANSWER).partition(_CALL)
    if not found or not grammar.startswith(_ANSWER):
        raise refused("grammar", "asks for what the engine of this model, OpenVINO, does not do; llama.cpp does")
    return answer_or_call_rules(_schema(answer), _schema(call))


def _schema(text: str) -> dict[str, Json]:
    try:
        return _plain(msgspec.json.decode(text, type=dict[str, object]))
    except msgspec.DecodeError as error:
        raise refused("grammar", "is none that the gateway makes") from error


def _plain(value: dict[str, object]) -> dict[str, Json]:
    """Returns what was decoded from JSON, by the type that says so."""
    return cast("dict[str, Json]", value)
