"""Requests to generate in canonical form.

What only Ollama has goes by its bare name, as an Ollama upstream and llama.cpp know it; errors and reports use the path
that it has here (`FIELDS`).

Sources: https://docs.ollama.com/api/chat, https://docs.ollama.com/api/generate and
https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx#valid-parameters-and-values
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast, get_args

import msgspec
from msgspec import Raw

from weebill.apis.anthropic.tolerant import SetAside
from weebill.apis.ollama.members import list_at, object_at, read
from weebill.apis.ollama.messages import read_messages, shown_parts
from weebill.apis.ollama.request_shapes import (
    ChatBody,
    Count,
    Function,
    GenerateBody,
    OllamaRequest,
    Options,
    ToolHead,
)
from weebill.apis.ollama.request_shapes import Tool as OfferedTool
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation, Effort, OutputFormat, ReasoningOptions, Text, Tool, Turn
from weebill.wire.errors import UNREADABLE, invalid_value
from weebill.wire.idle import asks_nothing
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_text
from weebill.wire.keep_alive import keep_alive_of

# Members of `options` that only Ollama has, or llama.cpp besides: those of the model's run, and those of its loading.
_RUN: Final = ("num_keep", "repeat_last_n", "typical_p", "mirostat", "mirostat_tau", "mirostat_eta")
_LOAD: Final = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict")
_OWN_OPTIONS: Final = frozenset({*_RUN, *_LOAD})
FIELDS: Final[Mapping[str, str]] = {
    "turns": "messages",
    "output": "format",
    "reasoning": "think",
    "max_tokens": "options.num_predict",
    "temperature": "options.temperature",
    "top_p": "options.top_p",
    "top_k": "options.top_k",
    "min_p": "options.min_p",
    "seed": "options.seed",
    "stop": "options.stop",
    "repetition_penalty": "options.repeat_penalty",
    "presence_penalty": "options.presence_penalty",
    "frequency_penalty": "options.frequency_penalty",
    **{name: f"options.{name}" for name in (*_RUN, *_LOAD)},
}
"""The name that each field of Conversation, and of `extra`, has here."""
GENERATE_FIELDS: Final[Mapping[str, str]] = {**FIELDS, "turns": "prompt"}
_READ: Final = frozenset(ChatBody.__struct_fields__)
_GENERATE_READ: Final = frozenset(GenerateBody.__struct_fields__)
_EFFORTS: Final = frozenset(get_args(Effort))
_NO_OPTIONS: Final = Options()
_NULL: Final = b"null"

_decode_tools: Final = msgspec.json.Decoder(list[OfferedTool]).decode


def chat(call: Call) -> Conversation:
    """A request of `/api/chat`. Raises ApiError 400 that names the field."""
    body = cast(ChatBody, cast(OllamaRequest, call.request).body)
    aside = SetAside()
    turns = read_messages(body.messages, aside)
    tools = () if bytes(body.tools) == _NULL else _tools(body.tools, aside)
    return _conversation(call, body, turns, tools, _READ, aside)


def generate(call: Call) -> Conversation:
    """A request of `/api/generate`: what the user says, and what the system says before. Raises ApiError 400."""
    body = cast(GenerateBody, cast(OllamaRequest, call.request).body)
    said = Turn("user", tuple(shown_parts(body.prompt, body.images)))
    turns = (Turn("system", (Text(body.system),)), said) if body.system else (said,)
    return _conversation(call, body, turns, (), _GENERATE_READ, SetAside())


def _conversation(
    call: Call,
    body: ChatBody | GenerateBody,
    turns: tuple[Turn, ...],
    tools: tuple[Tool, ...],
    known: frozenset[str],
    aside: SetAside,
) -> Conversation:
    for name, value in call.fields.items():
        if name not in known:
            aside.add(name, value)
    options = _options(body.options, aside)
    limit, seed = _whole(options.num_predict), _whole(options.seed)
    return Conversation(
        turns=turns,
        tools=tools,
        output=_output(body.format),
        # None of these says how long an answer may be, nor that it shall be empty.
        max_tokens=limit if limit is not None and limit > 0 else None,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=_whole(options.top_k),
        min_p=options.min_p,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        repetition_penalty=options.repeat_penalty,
        stop=_stops(options.stop),
        # Ollama's default, and its word for any.
        seed=None if seed == -1 else seed,
        logprobs=body.logprobs,
        top_logprobs=body.top_logprobs if body.logprobs else None,
        reasoning=_reasoning(body.think),
        extra=aside.found,
    )


def _options(raw: Raw, aside: SetAside) -> Options:
    """The options that others have too; Ollama's own are set aside by their names, unknown ones by their paths."""
    if bytes(raw) == _NULL:
        return _NO_OPTIONS
    shared: Json = {}
    for name, value in object_at(raw, "options").items():
        if name in _OWN_OPTIONS:
            aside.add(name, value)
        elif bytes(value) != _NULL:
            shared[name] = value
    return read(Options, Raw(msgspec.json.encode(shared)), "options", aside) if shared else _NO_OPTIONS


def _whole(value: Count) -> int | None:
    return None if value is None else int(value)


def _stops(stop: list[str] | str | None) -> tuple[str, ...]:
    given = [stop] if isinstance(stop, str) else stop or ()
    return tuple([text for text in given if text])


def _output(given: Raw) -> OutputFormat | None:
    """The form of the answer: "json", or a JSON Schema. Raises ApiError 400 for anything else."""
    text = bytes(given)
    if text.startswith(b"{"):
        return OutputFormat("json_schema", given)
    if text in (_NULL, b'""'):
        return None
    try:
        if decode_text(text) == "json":
            return OutputFormat("json_object")
    except UNREADABLE:
        pass
    raise invalid_value("format", 'expected "json" or a JSON schema')


def _reasoning(think: bool | str | None) -> ReasoningOptions | None:
    """The thinking that is asked for; Ollama shows what was thought."""
    if think is None:
        return None
    if isinstance(think, str):
        if think not in _EFFORTS:
            raise invalid_value("think", "expected true, false, or one of low, medium, high, max")
        return ReasoningOptions(enabled=think != "none", effort=cast(Effort, think), include=True)
    return ReasoningOptions(enabled=True, include=True) if think else ReasoningOptions(enabled=False)


def _tools(raw: Raw, aside: SetAside) -> tuple[Tool, ...]:
    try:
        return tuple([_tool(tool.function) for tool in _decode_tools(raw)])
    except UNREADABLE:
        pass
    return tuple([_tool(_function(each, f"tools[{at}]", aside)) for at, each in enumerate(list_at(raw, "tools"))])


def _function(raw: Raw, path: str, aside: SetAside) -> Function:
    return read(Function, read(ToolHead, raw, path, aside).function, f"{path}.function", aside)


def _tool(function: Function) -> Tool:
    parameters = None if bytes(function.parameters) == _NULL else function.parameters
    return Tool(function.name, function.description or None, parameters)


def asks_for_nothing(call: Call) -> bool:
    """Tells whether a request has no words: Ollama then only loads the model, or lets it go."""
    body = cast(OllamaRequest, call.request).body
    if isinstance(body, GenerateBody):
        return not body.prompt and not body.images
    return asks_nothing("messages", body.messages)


def keeps_nothing(call: Call) -> bool:
    """Tells whether the model is not to be kept in memory. Raises ApiError 400 for what is no time."""
    return keep_alive_of(call.fields) == 0.0
