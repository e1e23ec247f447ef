"""llama.cpp's server: OpenAI's dialect with quirks.

It does not notice that a client has left before it has answered, but for streams: so it is always asked for one, and
what it says is collected (`collected_answer`). A grammar of our own binds an answer to a schema (`llamacpp_grammar`),
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
from weebill.providers.llamacpp.collected_answer import CollectedAnswer
from weebill.providers.llamacpp.grammar import Json, json_grammar
from weebill.providers.llamacpp.tool_answers import ToolAnswers, ToolStream
from weebill.providers.openai.model_fields import fitted_to_model
from weebill.providers.openai.quirks import renamed
from weebill.providers.openai.relay import PATHS, OpenAITranslator, with_usage
from weebill.providers.openai.relay_stream import OpenAIStream
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.reply import Usage
from weebill.wire.requests import ChatRequest, CompletionRequest, FunctionDefinition, Tool

_encode = msgspec.json.encode
_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_FIELD: Final = re.compile(r"Field '(\w+)'")

# Fields that llama.cpp would pass over without a word.
_UNSUPPORTED: Final = {
    "audio": "answers in speech",
    "best_of": "best_of",
    "echo": "echo",
    "function_call": "function_call; use tool_choice",
    "functions": "functions; use tools",
    "prediction": "predicted outputs",
    "suffix": "suffix",
    "web_search_options": "web search",
}
_QUIRKS: Final = Quirks(rename={"repetition_penalty": "repeat_penalty"})
# Those that change what is asked for, beyond what do so everywhere.
_DEMANDS: Final = frozenset({"function_call", "functions"})
_HARMLESS: Final = {b"null", b"false", b"1", b'""', b"[]"}

Schema = dict[str, Json]
Fields = dict[str, Raw]
_ANY_OBJECT: Final[Schema] = {"type": "object"}


class LlamaCppTranslator(OpenAITranslator):
    """For the engine hosts of this machine."""

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The body, with a grammar for what the answer is bound to. Raises ApiError 400 for what cannot be done."""
        fit = Fit(call.on_unsupported(target.on_unsupported))
        try:
            fields = fitted_to_model(_fitted(call, fit), target, fit)
        except Unsupported as unsupported:
            raise _unsupported(unsupported.field, unsupported.what) from unsupported
        fields = renamed(fields, _QUIRKS)
        if isinstance(call.request, ChatRequest):
            bound = _bound_to_tools(call.request)
            schema = _schema(call.request)
            if schema is not None:
                fields.pop("response_format", None)
                fields["grammar"] = Raw(_encode(json_grammar(schema, "tools" if bound else "response_format")))
            if bound:
                # The grammar is what makes the call; "none" keeps llama.cpp from looking for one in the text.
                fields["tool_choice"] = Raw(b'"none"')
        fields["stream"] = Raw(b"true")
        fields["model"] = Raw(_encode(target.model))
        return UpstreamRequest(PATHS[type(call.request)], _encode(with_usage(fields)), dropped=fit.dropped)

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        """A relay; one that turns text into tool calls where tools are offered."""
        relay = LlamaCppStream(call)
        if isinstance(call.request, ChatRequest) and any(map(_is_function, call.request.tools or ())):
            return ToolStream(relay, _tool_answers(call.request))
        return relay

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector:
        """The answer out of the stream."""
        return CollectedAnswer(call, self.stream(call, sent))

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> ApiError:
        """llama.cpp's error, with OpenAI's `context_length_exceeded` for a prompt beyond the window."""
        error = super().error(call, status, body, retry_after, upstream)
        if error.detail.type == "exceed_context_size_error":
            param = "messages" if isinstance(call.request, ChatRequest) else "prompt"
            return ApiError(400, error.detail.message, code="context_length_exceeded", param=param)
        field = _FIELD.search(error.detail.message)
        if field and error.status == 400:
            return ApiError(400, error.detail.message, code="invalid_value", param=field[1])
        return error


LLAMACPP_RELAY: Final[Translator] = LlamaCppTranslator()


class LlamaCppStream(OpenAIStream):
    """llama.cpp reports the usage of each choice, and of each prompt, in a chunk of its own."""

    __slots__ = ()

    def _total(self, reported: Usage) -> Usage:
        before = self._reported or Usage(measured=True)
        # Choices share a prompt; several prompts do not.
        add = sum if _has_many_prompts(self._call) else max
        return Usage(
            add((before.prompt_tokens, reported.prompt_tokens)),
            add((before.cached_tokens, reported.cached_tokens)),
            before.completion_tokens + reported.completion_tokens,
            measured=True,
            reasoning_tokens=before.reasoning_tokens + reported.reasoning_tokens,
        )


def _fitted(call: Call, fit: Fit) -> Fields:
    """The fields without what would be ignored or answered with 500. Raises Unsupported for what must not go."""
    fields = dict(call.fields)
    for name, what in _UNSUPPORTED.items():
        value = fields.get(name)
        if value is None or bytes(value) in _HARMLESS:
            continue
        if name in _DEMANDS:
            fit.demand(name, what)
        else:
            fit.unsupported(name, what)
        del fields[name]
    if not isinstance(call.request, ChatRequest):
        return fields
    if any(isinstance(message.content, list) for message in call.request.messages):
        _fit_messages(call.request, fields, fit)
    tools = call.request.tools or ()
    if any(not _is_function(tool) for tool in tools):
        kept = []
        for at, (tool, raw) in enumerate(zip(tools, _decode_list(fields["tools"]), strict=True)):
            if _is_function(tool):
                kept.append(raw)
            else:
                fit.hint(f"tools[{at}]", f"'{tool.type}' tools")
        fields["tools"] = Raw(_encode(kept))
        if not kept:
            if call.request.tool_choice not in (None, "none", "auto"):
                fit.demand("tool_choice", "being made to call a tool that it does not have")
            for name in ("tools", "tool_choice"):
                fields.pop(name, None)
    return fields


def _is_function(tool: Tool) -> bool:
    """Whether it is one that the client runs; the type goes without saying for some clients."""
    return tool.function is not None and tool.type in ("function", None)


def _fit_messages(request: ChatRequest, fields: Fields, fit: Fit) -> None:
    """Leave out parts that are no text, where they may go. Raises Unsupported."""
    messages = msgspec.json.decode(fields["messages"], type=list[Fields])
    changed = False
    for at, message in enumerate(request.messages):
        if not isinstance(message.content, list):
            continue
        kept = []
        raws = _decode_list(messages[at]["content"])
        for part_at, (part, raw) in enumerate(zip(message.content, raws, strict=True)):
            if isinstance(part, str) or part.type in ("text", None):
                kept.append(raw)
            else:
                fit.demand(f"messages[{at}].content[{part_at}].type", f"'{part.type}' input")
        if len(kept) < len(raws):
            messages[at]["content"] = Raw(_encode(kept))
            changed = True
    if changed:
        fields["messages"] = Raw(_encode(messages))


def _unsupported(param: str, what: str) -> ApiError:
    return ApiError(400, f"This model does not support {what}.", code="unsupported_parameter", param=param)


def _has_many_prompts(call: Call) -> bool:
    prompt = call.request.prompt if isinstance(call.request, CompletionRequest) else ""
    return isinstance(prompt, list) and len(prompt) > 1 and not isinstance(prompt[0], int)


def _bound_to_tools(request: ChatRequest) -> bool:
    """Whether the answer must be a tool call."""
    return any(map(_is_function, request.tools or ())) and request.tool_choice not in (None, "none", "auto")


def _schema(request: ChatRequest) -> Schema | None:
    """What the answer is bound to; None if to nothing."""
    if _bound_to_tools(request):
        return _call_schema(_callable(request))
    form = request.response_format
    if form is None or form.type == "text":
        return None
    if form.json_schema is None or form.json_schema.schema is None:
        return _ANY_OBJECT
    return _plain(form.json_schema.schema)


def _callable(request: ChatRequest) -> list[FunctionDefinition]:
    """The functions that `tool_choice` leaves. Raises ApiError 400 if it names another."""
    functions = [tool.function for tool in request.tools or () if tool.function is not None and _is_function(tool)]
    if request.tool_choice in ("required", "any"):
        return functions
    try:
        choice = msgspec.convert(_plain(request.tool_choice), _NamedChoice)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"Invalid tool_choice: {error}.", code="invalid_value", param="tool_choice") from error
    named = [function for function in functions if function.name == choice.function.name]
    if not named:
        message = f"tool_choice names '{choice.function.name}', which is not among the tools."
        raise ApiError(400, message, code="invalid_value", param="tool_choice")
    return named


class _Named(msgspec.Struct, frozen=True):
    name: str


class _NamedChoice(msgspec.Struct, frozen=True):
    """`tool_choice` as an object; other types than "function" are not for this model."""

    function: _Named


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
    names = frozenset(
        tool.function.name for tool in request.tools or () if tool.function is not None and _is_function(tool)
    )
    return ToolAnswers(names, bound=_bound_to_tools(request), offered=request.tool_choice != "none")
