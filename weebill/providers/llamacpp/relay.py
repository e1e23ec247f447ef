"""llama.cpp's server: OpenAI's dialect with quirks.

It does not notice that a client has left before it has answered, but for streams, and then when it next says something:
so it is always asked for a stream that tells how far the prompt is read, too, and what it says is collected
(`collected_answer`). A grammar of our own binds an answer to a schema (`llamacpp_grammar`),
so that it ends; and a compact model's text becomes tool calls (`tool_answers`), for which llama.cpp finds no form in
its template.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.base import AnswerCollector, ByteStream, Quirks, Target, Translator, UpstreamRequest
from weebill.providers.fit import Fit, Unsupported
from weebill.providers.llamacpp.bounds import check_bounds, check_choices
from weebill.providers.llamacpp.collected_answer import CollectedAnswer
from weebill.providers.llamacpp.control import as_text
from weebill.providers.llamacpp.created import add_defaults, name_beginning
from weebill.providers.llamacpp.fields import CHAT, COMPLETION, bound_length, check_forms, drop_empty, read_of
from weebill.providers.llamacpp.gbnf import check_grammar
from weebill.providers.llamacpp.grammar import Json, answer_or_call_grammar, json_grammar
from weebill.providers.llamacpp.room import check_room
from weebill.providers.llamacpp.schema_limits import check_schema
from weebill.providers.llamacpp.stream import LlamaCppStream
from weebill.providers.llamacpp.tasks import require_task
from weebill.providers.llamacpp.tool_answers import ToolAnswers, ToolStream
from weebill.providers.openai.history import own_chat
from weebill.providers.openai.model_fields import fitted_to_model
from weebill.providers.openai.quirks import renamed
from weebill.providers.openai.relay import PATHS, OpenAITranslator, with_usage
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.failure import Failure, UpstreamFailure
from weebill.wire.json_values import decode_list, decode_object, decode_objects, decode_text
from weebill.wire.keep_alive import KEEP_ALIVE, keep_alive_of
from weebill.wire.openai_chat_request import FunctionChoice
from weebill.wire.requests import ABSENT, ChatRequest, ContentPart, FunctionDefinition, Tool

_encode = msgspec.json.encode
_FIELD: Final = re.compile(r"Field '(\w+)'")

_QUIRKS: Final = Quirks(rename={"repetition_penalty": "repeat_penalty"})
# What a request goes another way for: fields, roles and parts that llama.cpp does not read, though they can be said to
# it; and calls in a history, which it refuses unless they are as it writes them itself.
_OTHERWISE: Final = frozenset({"functions", "function_call", "reasoning"})
_FORMS: Final = frozenset({"text", "json_object", "json_schema"})
_FUNCTION: Final = Raw(b'"function"')
_TRUE: Final = Raw(b"true")
_ROLES: Final = frozenset({"tool", "function"})
_NOT_TEXT: Final = frozenset({"input_audio", "file", "video_url"})
_IMAGE: Final = "image_url"
_DATA_URI: Final = b'"data:image/'
# What llama.cpp's errors say whose fault is the request's, whatever their status says.
_FAULTS: Final = re.compile(
    r"Failed to parse (?:messages|tools|tool call|tool_choice)|Unknown reasoning format|Cannot use (?:both|custom)"
)
# With it, the last chunk of a choice says which of the words in `stop` it was.
_NO_WORDS: Final = frozenset({b"null", b"[]"})
_TELLS_STOP: Final[dict[str, Raw]] = {"verbose": Raw(b"true"), "response_fields": Raw(b'["stopping_word"]')}

Schema = dict[str, Json]
Fields = dict[str, Raw]
_ANY_OBJECT: Final[Schema] = {"type": "object"}


class LlamaCppTranslator(OpenAITranslator):
    """For the engine hosts of this machine."""

    def takes(self, call: Call, target: Target) -> bool:
        """Tells whether llama.cpp reads all of the conversation as it is."""
        request = call.request
        if not isinstance(request, ChatRequest):
            return True
        fields = call.fields
        if not _OTHERWISE.isdisjoint(fields) or bytes(fields.get("parallel_tool_calls", b"")) == b"false":
            return False
        if isinstance(request.tool_choice, dict) and "function" not in request.tool_choice:
            return False
        for tool in request.tools or ():
            if tool.type is None or tool.type == "custom":
                return False
        for message in request.messages:
            if message.role in _ROLES or (message.content is None and message.role == "assistant"):
                return False
            if isinstance(message.content, list) and not all(map(_is_read, message.content)):
                return False
        messages = bytes(fields["messages"])
        return messages.find(b'"tool_calls"') < 0 and messages.find(b'"function_call"') < 0

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The body, with a grammar for what the answer is bound to. Raises ApiError 400 for what cannot be done, and
        UpstreamFailure for a prompt that cannot fit into the window."""
        require_task(target, "chat")
        check_room(call.fields, target.max_output_tokens)
        fit = Fit(call.on_unsupported(target.on_unsupported))
        keep_s = keep_alive_of(call.fields)
        try:
            fields = _fitted(call, fit)
            fields.pop(KEEP_ALIVE, None)
            check_bounds(fields)
            check_choices(fields, target.slots)
            bound_length(_text_bytes(call, fields), fields, target.max_output_tokens, fit)
            fields = fitted_to_model(fields, target, fit)
        except Unsupported as unsupported:
            raise _unsupported(unsupported.field, unsupported.what) from unsupported
        fields = renamed(fields, _QUIRKS)
        drop_empty(fields)
        schema = _schema(call.request) if isinstance(call.request, ChatRequest) else None
        check_forms(fields, schema is not None)
        if "grammar" in fields:
            check_grammar(decode_text(fields["grammar"]))
        if "json_schema" in fields:
            # Its own way from a schema to a grammar has no bounds.
            fields["grammar"] = Raw(_encode(json_grammar(_plain(fields.pop("json_schema")), "json_schema")))
        if isinstance(call.request, ChatRequest):
            as_text(fields)
            name_beginning(fields, target)
            if bytes(fields.get("stop", b"null")) not in _NO_WORDS:
                fields |= _TELLS_STOP
            bound = _bound_to_tools(call.request)
            free = schema is not None and not bound and _may_call(call.request)
            if schema is None:
                _check_parameters(call.request)
            else:
                fields.pop("response_format", None)
                fields["grammar"] = Raw(_encode(_grammar(call.request, schema, bound, free)))
            if bound or free:
                # The grammar is what makes the call; "none" keeps llama.cpp from looking for one in the text.
                fields["tool_choice"] = Raw(b'"none"')
        add_defaults(fields, target)
        fields["stream"] = _TRUE
        # What it says while it reads a prompt is how it notices that the client has left meanwhile.
        fields["return_progress"] = _TRUE
        fields["model"] = Raw(_encode(target.model))
        return UpstreamRequest(
            PATHS[type(call.request)], _encode(with_usage(fields)), dropped=fit.dropped, keep_s=keep_s
        )

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        """A relay; one that turns text into tool calls where tools are offered."""
        relay = LlamaCppStream(call)
        if isinstance(call.request, ChatRequest) and any(map(_is_function, call.request.tools or ())):
            return ToolStream(relay, _tool_answers(call.request))
        return relay

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector:
        """The answer out of the stream."""
        return CollectedAnswer(call, self.stream(call, sent))

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> UpstreamFailure:
        """llama.cpp's error, with OpenAI's `context_length_exceeded` for a prompt beyond the window."""
        error = super().error(call, status, body, retry_after, upstream)
        if error.type == "exceed_context_size_error":
            param = "messages" if isinstance(call.request, ChatRequest) else "prompt"
            return UpstreamFailure(Failure("context_length", "request", 400), error.message, param=param)
        field = _FIELD.search(error.message)
        if (status == 500 and _FAULTS.search(error.message)) or (field and error.failure.kind == "invalid_request"):
            refused = Failure("invalid_request", "request", 400)
            return UpstreamFailure(refused, error.message, code="invalid_value", param=field[1] if field else None)
        return error


LLAMACPP_RELAY: Final[Translator] = LlamaCppTranslator()


def _fitted(call: Call, fit: Fit) -> Fields:
    """The fields that llama.cpp reads, as far as it can do what they say. Raises Unsupported for what must not go."""
    if not isinstance(call.request, ChatRequest):
        return read_of(call.fields, COMPLETION, fit)
    fields = read_of(call.fields, CHAT, fit)
    fields["messages"] = own_chat(fields["messages"], bytes(fields["messages"]), _QUIRKS)
    if any(isinstance(message.content, list) for message in call.request.messages):
        _fit_messages(call.request, fields, fit)
    _fit_tools(call.request, fields, fit)
    if "tools" in fields and bytes(fields.get("logprobs", b"")) == b"true":
        # llama.cpp refuses both in one stream, and streams are all that it is asked for.
        fit.demand("logprobs", "probabilities of tokens where tools are offered")
        for name in ("logprobs", "top_logprobs"):
            fields.pop(name, None)
    form = call.request.response_format
    if form is not None and form.type not in _FORMS:
        if form.type is not None:
            fit.demand("response_format", f"answers of the form '{form.type}'")
        del fields["response_format"]
    return fields


def _fit_tools(request: ChatRequest, fields: Fields, fit: Fit) -> None:
    """Leave out the tools that are no functions, and say of the others that they are. Raises Unsupported."""
    kept = []
    if request.tools:
        for at, (tool, raw) in enumerate(zip(request.tools, decode_objects(fields["tools"]), strict=True)):
            if _is_function(tool):
                kept.append({**raw, "type": _FUNCTION})
            else:
                fit.hint(f"tools[{at}]", f"'{tool.type}' tools")
    if kept:
        fields["tools"] = Raw(_encode(kept))
        return
    if request.tool_choice not in (None, "none", "auto"):
        fit.demand("tool_choice", "being made to call a tool that it does not have")
    for name in ("tools", "tool_choice"):
        fields.pop(name, None)


def _is_read(part: ContentPart | str) -> bool:
    """Tells whether it is text as llama.cpp reads it, or what it is known not to read."""
    if isinstance(part, str):
        return False
    return part.text is not None if part.type == "text" else part.type in _NOT_TEXT


def _is_function(tool: Tool) -> bool:
    """Tells whether it is one that the client runs; the type goes without saying for some clients."""
    return tool.function is not None and tool.type in ("function", None)


def _fit_messages(request: ChatRequest, fields: Fields, fit: Fit) -> None:
    """Leave out parts that are no text, where they may go. Raises Unsupported."""
    messages = msgspec.json.decode(fields["messages"], type=list[Fields])
    changed = False
    for at, message in enumerate(request.messages):
        if not isinstance(message.content, list):
            continue
        kept = []
        raws = decode_list(messages[at]["content"])
        for part_at, (part, raw) in enumerate(zip(message.content, raws, strict=True)):
            if isinstance(part, str) or part.type in ("text", None):
                kept.append(raw if bytes(raw).find(b'"type"') >= 0 else _as_text(raw))
            elif part.type == _IMAGE and bytes(raw).find(_DATA_URI) >= 0:
                kept.append(raw)  # prepared for the model, as `takes` lets no other pass
            else:
                fit.demand(f"messages[{at}].content[{part_at}].type", f"'{part.type}' input")
        if kept != raws:
            messages[at]["content"] = Raw(_encode(kept))
            changed = True
    if changed:
        fields["messages"] = Raw(_encode(messages))


def _text_bytes(call: Call, fields: Fields) -> int:
    """Returns the size of the prompt without its images, whose data say nothing of their tokens."""
    size = call.prompt_bytes()
    if isinstance(call.request, ChatRequest) and bytes(fields["messages"]).find(_DATA_URI) >= 0:
        for message in decode_objects(fields["messages"]):
            content = message.get("content", ABSENT)
            if bytes(content)[:1] == b"[":
                size -= sum([len(part) for part in map(bytes, decode_list(content)) if part.find(_DATA_URI) >= 0])
    return size


def _as_text(raw: Raw) -> Raw:
    """A part that leaves it to the reader what it is."""
    return Raw(_encode({**decode_object(raw), "type": "text"})) if bytes(raw)[:1] == b"{" else raw


def _unsupported(param: str, what: str) -> ApiError:
    return ApiError(400, f"This model does not support {what}.", code="unsupported_parameter", param=param)


def _bound_to_tools(request: ChatRequest) -> bool:
    """Tells whether the answer must be a tool call."""
    return any(map(_is_function, request.tools or ())) and request.tool_choice not in (None, "none", "auto")


def _may_call(request: ChatRequest) -> bool:
    """Tells whether the answer may be a tool call."""
    return any(map(_is_function, request.tools or ())) and request.tool_choice != "none"


def _check_parameters(request: ChatRequest) -> None:
    """Raises ApiError 400 for what llama.cpp, which makes grammars of all tools, could not compile in due time."""
    for at, tool in enumerate(request.tools or ()):
        if tool.function is not None and tool.function.parameters and _is_function(tool):
            check_schema(_plain(tool.function.parameters), f"tools[{at}].function.parameters")


def _grammar(request: ChatRequest, schema: Schema, bound: bool, free: bool) -> str:
    """The grammar that holds the answer to `schema`, or if it is `free` to call a tool, to that or a call."""
    if free:
        call = _call_schema(_functions(request))
        return answer_or_call_grammar(schema, call, "response_format", "tools")
    return json_grammar(schema, "tools" if bound else "response_format")


def _schema(request: ChatRequest) -> Schema | None:
    """The schema that the answer is bound to; None if to none."""
    if _bound_to_tools(request):
        return _call_schema(_callable(request))
    form = request.response_format
    if form is None or form.type == "text" or form.type not in _FORMS:
        return None
    if form.json_schema is None or form.json_schema.schema is None:
        return _ANY_OBJECT
    return _plain(form.json_schema.schema)


def _callable(request: ChatRequest) -> list[FunctionDefinition]:
    """The functions that `tool_choice` leaves. Raises ApiError 400 if it names another."""
    functions = _functions(request)
    if request.tool_choice in ("required", "any"):
        return functions
    try:
        choice = msgspec.convert(_plain(request.tool_choice), FunctionChoice)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"Invalid tool_choice: {error}.", code="invalid_value", param="tool_choice") from error
    named = [function for function in functions if function.name == choice.function.name]
    if not named:
        message = f"tool_choice names '{choice.function.name}', which is not among the tools."
        raise ApiError(400, message, code="invalid_value", param="tool_choice")
    return named


def _functions(request: ChatRequest) -> list[FunctionDefinition]:
    return [tool.function for tool in request.tools or () if tool.function is not None and _is_function(tool)]


def _call_schema(functions: list[FunctionDefinition]) -> Schema:
    """The schema of `{"name", "arguments"}` for any one of `functions`."""
    definitions: Schema = {}
    calls: list[Json] = []
    for function in functions:
        parameters = _plain(function.parameters or {"type": "object"})
        for table in ("$defs", "definitions"):
            # References start at the root, and so must what they refer to.
            moved = parameters.pop(table, None)
            if isinstance(moved, dict):
                known = definitions.setdefault(table, {})
                assert isinstance(known, dict)  # noqa: S101 - set above
                if any(name in known and known[name] != each for name, each in moved.items()):
                    message = (
                        f"The tools define '{table}' of the same name differently, which this model cannot keep apart."
                    )
                    raise ApiError(400, message, code="unsupported_parameter", param="tools")
                known.update(moved)
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": function.name}, "arguments": parameters},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    body: Schema = {"anyOf": calls} if len(calls) > 1 else dict(calls[0]) if isinstance(calls[0], dict) else {}
    return {**body, **definitions}


def _plain(value: object) -> Schema:
    """Raw fields as plain values."""
    decoded: Schema = msgspec.json.decode(_encode(value), type=dict[str, object])
    return decoded


def _tool_answers(request: ChatRequest) -> ToolAnswers:
    names = frozenset(function.name for function in _functions(request))
    return ToolAnswers(names, bound=_bound_to_tools(request), offered=request.tool_choice != "none")
