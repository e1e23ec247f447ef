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
from weebill.providers.llamacpp.collected_answer import CollectedAnswer
from weebill.providers.llamacpp.grammar import Json, json_grammar
from weebill.providers.llamacpp.tool_answers import ToolAnswers, ToolStream
from weebill.providers.openai.quirks import renamed
from weebill.providers.openai.relay import PATHS, OpenAITranslator, with_usage
from weebill.providers.openai.relay_stream import OpenAIStream
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.reply import Usage
from weebill.wire.requests import ChatRequest, CompletionRequest, FunctionDefinition

_encode = msgspec.json.encode
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
_HARMLESS: Final = {b"null", b"false", b"1", b'""', b"[]"}

Schema = dict[str, Json]
_ANY_OBJECT: Final[Schema] = {"type": "object"}


class LlamaCppTranslator(OpenAITranslator):
    """For the engine hosts of this machine."""

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The body, with a grammar for what the answer is bound to. Raises ApiError 400 for what cannot be done."""
        _refuse(call)
        fields = renamed(dict(call.fields), _QUIRKS)
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
        return UpstreamRequest(PATHS[type(call.request)], _encode(with_usage(fields)))

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        """A relay; one that turns text into tool calls where tools are offered."""
        relay = LlamaCppStream(call)
        if isinstance(call.request, ChatRequest) and call.request.tools:
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


def _refuse(call: Call) -> None:
    """Raise ApiError 400 for what would be ignored or answered with 500."""
    for name, what in _UNSUPPORTED.items():
        if bytes(call.fields.get(name, b"null")) not in _HARMLESS:
            raise _unsupported(name, what)
    if not isinstance(call.request, ChatRequest):
        return
    for at, message in enumerate(call.request.messages):
        for part_at, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if not isinstance(part, str) and part.type != "text":
                raise _unsupported(f"messages[{at}].content[{part_at}].type", f"'{part.type}' input")
    for at, tool in enumerate(call.request.tools or ()):
        if tool.type != "function" or tool.function is None:
            raise _unsupported(f"tools[{at}].type", f"'{tool.type}' tools")


def _unsupported(param: str, what: str) -> ApiError:
    return ApiError(400, f"This model does not support {what}.", code="unsupported_parameter", param=param)


def _has_many_prompts(call: Call) -> bool:
    prompt = call.request.prompt if isinstance(call.request, CompletionRequest) else ""
    return isinstance(prompt, list) and len(prompt) > 1 and not isinstance(prompt[0], int)


def _bound_to_tools(request: ChatRequest) -> bool:
    """Whether the answer must be a tool call."""
    return bool(request.tools) and request.tool_choice not in (None, "none", "auto")


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
    functions = [tool.function for tool in request.tools or () if tool.function is not None]
    if request.tool_choice == "required":
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
    names = frozenset(tool.function.name for tool in request.tools or () if tool.function is not None)
    return ToolAnswers(names, bound=_bound_to_tools(request), offered=request.tool_choice != "none")
