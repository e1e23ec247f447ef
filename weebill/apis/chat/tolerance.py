"""Chat Completions requests as real clients write them, in the shapes that are documented.

What says the same in another shape is rewritten; what has no place is set aside under its path, to be told to whoever
asked; only what nobody could be asked stays as it is, for the types to refuse. Requests that are as documented never
come here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, get_args

import msgspec
from msgspec import Raw

from weebill.apis.chat.parts import Aside, is_empty, json, marked, parts, said
from weebill.apis.chat.request_shapes import ImageEntry, Message
from weebill.wire.conversation import Effort
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object, decode_objects, decode_text
from weebill.wire.lenient import leniently
from weebill.wire.openai_chat import Annotation, ExtraContent, ReasoningDetail
from weebill.wire.openai_chat_request import CustomTool, Function, ToolCall, ToolEntry
from weebill.wire.tool_texts import is_json
from weebill.wire.whole_numbers import whole

_MESSAGE: Final = frozenset(Message.__struct_fields__)
_CALL: Final = frozenset(ToolCall.__struct_fields__)
_TOOL: Final = frozenset(ToolEntry.__struct_fields__)
_FUNCTION: Final = frozenset(Function.__struct_fields__)
_EFFORTS: Final[frozenset[str]] = frozenset(get_args(Effort))
_REASONING: Final = frozenset({"effort", "max_tokens", "exclude", "enabled", "summary"})
# What an assistant's message may bring along from its answer, whatever is in it: of each kind, what can be read.
_ECHOED: Final[Mapping[str, type]] = {
    "reasoning_details": list[ReasoningDetail],
    "annotations": list[Annotation],
    "images": list[ImageEntry],
}
# How the models' vendors, and other APIs, call it that some tool has to be called.
_REQUIRED: Final = frozenset({"any", "required", "tool"})
_FORMATS: Final = frozenset({"text", "json_object", "json_schema"})
_MODALITIES: Final = frozenset({"text", "audio", "image"})
_CHOICES: Final = ("function", "custom")


def tolerated(fields: Json, aside: Aside) -> Json:
    """A request's fields in the documented shapes. Raises what is in `UNREADABLE`, or ApiError 400."""
    fields = dict(fields)
    for name, read in _READERS.items():
        given = fields.get(name)
        if given is None or bytes(given) == b"null":
            continue
        written = read(given, name, aside)
        if written is None:
            del fields[name]
        else:
            fields[name] = written
    return fields


def _messages(raw: Raw, path: str, aside: Aside) -> Raw:
    read: list[Json] = []
    for at, message in enumerate(decode_objects(raw)):
        read += _message(message, f"{path}[{at}]", aside)
    return json(read)


def _message(message: Json, path: str, aside: Aside) -> list[Json]:
    """The messages that one is: what tools gave, where a user's message holds it, is of its own."""
    message = said(message, _MESSAGE, path, aside)
    for name, kind in _ECHOED.items():
        if name in message:
            message[name] = _readable(message[name], kind)
    for name in ("function_call", "audio"):
        if name in message and is_blank(message[name]):
            del message[name]
    if "function_call" in message:
        message["function_call"] = json(_function(decode_object(message["function_call"])))
    if "cache_control" in message:
        marked(message, path, aside)
    for name in ("name", "refusal", "reasoning_content", "reasoning", "tool_call_id"):
        if name in message and not _is_text(message[name]):
            aside(f"{path}.{name}", message.pop(name))
    calls = _calls(message.pop("tool_calls", None), path, aside)
    if bytes(message.get("role", b"")) == b'"tool"' and is_json(bytes(message.get("content", b""))):
        message["content"] = json(bytes(message["content"]).decode())
    found = parts(message, path, aside)
    calls += found.calls
    if calls:
        message["tool_calls"] = json(calls)
    if found.thoughts and "reasoning_details" not in message:
        message["reasoning_details"] = json(found.thoughts)
    if found.results:
        return [*found.results, *([message] if found.is_more else [])]
    return [message]


def _calls(raw: Raw | None, path: str, aside: Aside) -> list[Json]:
    if raw is None or is_empty(raw):
        return []
    calls = []
    for index, call in enumerate(decode_objects(raw)):
        where = f"{path}.tool_calls[{index}]"
        call = said(call, _CALL, where, aside)
        if "function" in call:
            call["function"] = json(_function(decode_object(call["function"])))
        if is_empty(call.get("id", Raw(b"null"))):
            call["id"] = json("")
        if "cache_control" in call:
            marked(call, where, aside)
        if "extra_content" in call:
            call["extra_content"] = _readable(call["extra_content"], ExtraContent)
        call["type"] = json("custom" if "custom" in call else "function")
        call.pop("index", None)
        calls.append(call)
    return calls


def _function(function: Json) -> Json:
    """A call's function with its arguments as text, whatever they are."""
    arguments = function.get("arguments")
    if arguments is not None and bytes(arguments)[:1] != b'"':
        function["arguments"] = json("" if bytes(arguments) == b"null" else bytes(arguments).decode())
    return function


def is_blank(raw: Raw) -> bool:
    """Tells whether an object says nothing: it has no values but empty ones."""
    return is_empty(raw) or (bytes(raw)[:1] == b"{" and all(map(is_empty, decode_object(raw).values())))


def _readable(raw: Raw, kind: type) -> Raw:
    try:
        return json(leniently(bytes(raw), kind))
    except UNREADABLE:
        return Raw(b"null")


def _tools(raw: Raw, path: str, aside: Aside) -> Raw:
    """The tools that are functions, or can be: those that the provider runs itself are set aside."""
    offered = []
    for at, given in enumerate(decode_list(raw)):
        where = f"{path}[{at}]"
        entry = _tool(decode_object(given), where, aside)
        if entry is None:
            aside(where, given)
        else:
            offered.append(entry)
    return json(offered)


def _tool(entry: Json, path: str, aside: Aside) -> Json | None:
    kind = _text(entry.get("type"))
    if "custom" in entry:
        entry = said(entry, _TOOL, path, aside)
        entry["custom"] = _readable(entry["custom"], CustomTool)
        return {**entry, "type": json("custom")}
    if "function" not in entry and "name" in entry and kind in (None, "function", "custom"):
        # As the Responses API has it, or Anthropic's.
        function = {name: value for name, value in entry.items() if name not in ("type", "cache_control")}
        if "input_schema" in function:
            function["parameters"] = function.pop("input_schema")
        entry = {name: value for name, value in entry.items() if name == "cache_control"} | {"function": json(function)}
    elif "function" not in entry or kind not in (None, "function"):
        return None
    entry = said(entry, _TOOL, path, aside)
    function = said(decode_object(entry["function"]), _FUNCTION, f"{path}.function", aside)
    if is_empty(function.get("parameters", Raw(b"null"))):
        function.pop("parameters", None)
    for where, holder in ((f"{path}.function", function), (path, entry)):
        if "cache_control" in holder:
            marked(holder, where, aside)
    return {**entry, "function": json(function), "type": json("function")}


def _functions(raw: Raw, path: str, aside: Aside) -> Raw:
    read = []
    for at, function in enumerate(decode_objects(raw)):
        function = said(function, _FUNCTION, f"{path}[{at}]", aside)
        if is_empty(function.get("parameters", Raw(b"null"))):
            function.pop("parameters", None)
        read.append(function)
    return json(read)


def _tool_choice(raw: Raw, path: str, aside: Aside) -> Raw | None:
    word = _text(raw)
    if word is not None:
        return _chosen(word, raw, path, aside)
    if bytes(raw)[:1] != b"{":
        return raw
    choice = decode_object(raw)
    kind = _text(choice.get("type"))
    if kind == "allowed_tools":
        return raw
    for name in _CHOICES:
        if name in choice and kind in (None, name):
            return json({"type": name, name: choice[name]})
    if "name" in choice and kind in (None, "tool", "function", "custom"):
        return json({"type": "function", "function": {"name": choice["name"]}})
    # Of a tool that the provider runs: it is asked for, so it is not passed over.
    return raw if kind is None else _chosen(kind, raw, path, aside)


def _chosen(word: str, raw: Raw, path: str, aside: Aside) -> Raw | None:
    word = word.lower()
    if word in ("auto", "none"):
        return json(word)
    if word in _REQUIRED:
        return json("required")
    aside(path, raw)
    return None


def _function_call(raw: Raw, path: str, aside: Aside) -> Raw | None:
    return None if is_blank(raw) else raw


def _response_format(raw: Raw, path: str, aside: Aside) -> Raw | None:
    form = decode_object(raw)
    kind = _text(form.get("type"))
    if kind is None and is_blank(raw):
        return None
    if kind not in _FORMATS:
        aside(path, raw)
        return None
    if "schema" in form and is_empty(form.get("json_schema", Raw(b"null"))):
        # As those have it who were there before OpenAI had schemas.
        form = {"type": json("json_schema"), "json_schema": json({"schema": form["schema"]})}
    return json(form)


def _effort(raw: Raw, path: str, aside: Aside) -> Raw | None:
    if is_empty(raw):
        return None
    word = _text(raw)
    if word is not None and word.lower() in _EFFORTS:
        return json(word.lower())
    aside(path, raw)
    return None


def _reasoning(raw: Raw, path: str, aside: Aside) -> Raw | None:
    if bytes(raw)[:1] != b"{":
        aside(path, raw)
        return None
    options = said(decode_object(raw), _REASONING, path, aside)
    if "effort" in options:
        effort = _effort(options.pop("effort"), f"{path}.effort", aside)
        if effort is not None:
            options["effort"] = effort
    if "max_tokens" in options:
        options["max_tokens"] = whole(options["max_tokens"]) or options["max_tokens"]
    return json(options) if options else None


def _modalities(raw: Raw, path: str, aside: Aside) -> Raw | None:
    known = bytes(raw)[:1] == b"[" and all(_text(each) in _MODALITIES for each in decode_list(raw))
    if known:
        return raw
    aside(path, raw)
    return None


def _audio(raw: Raw, path: str, aside: Aside) -> Raw | None:
    if is_blank(raw):
        return None
    audio = decode_object(raw)
    if all(_text(audio.get(name)) is not None for name in ("voice", "format")):
        return raw
    aside(path, raw)
    return None


def _logit_bias(raw: Raw, path: str, aside: Aside) -> Raw | None:
    if is_empty(raw):
        return None
    try:
        msgspec.json.decode(raw, type=dict[str, float])
    except UNREADABLE:
        aside(path, raw)
        return None
    return raw


def _text(raw: Raw | None) -> str | None:
    return decode_text(raw) if raw is not None and bytes(raw)[:1] == b'"' else None


def _is_text(raw: Raw) -> bool:
    return bytes(raw)[:1] in (b'"', b"n")


_READERS: Final[Mapping[str, Callable[[Raw, str, Aside], Raw | None]]] = {
    "messages": _messages,
    "tools": _tools,
    "functions": _functions,
    "tool_choice": _tool_choice,
    "function_call": _function_call,
    "response_format": _response_format,
    "reasoning_effort": _effort,
    "reasoning": _reasoning,
    "modalities": _modalities,
    "audio": _audio,
    "logit_bias": _logit_bias,
}
