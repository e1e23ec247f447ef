"""Conversations as requests to the Responses API.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from weebill.catalog.traits import Traits
from weebill.providers.base import Target, Unsupported, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.identifiers import any_of, fitted
from weebill.providers.media import typed
from weebill.providers.model_fit import taken
from weebill.providers.object_schema import parameters_of
from weebill.providers.pairing import paired
from weebill.providers.responses.request_shapes import Request, TextOptions
from weebill.wire.conversation import (
    Audio,
    Conversation,
    Document,
    Effort,
    Image,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningOptions,
    Refusal,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.openai_chat import HINTS, file_data, image_url
from weebill.wire.responses import (
    ORIGIN,
    AudioData,
    Content,
    FunctionCallItem,
    FunctionOutputItem,
    Item,
    MessageItem,
    ReasoningItem,
    annotation,
    output_text,
)
from weebill.wire.responses_request import (
    ENCRYPTED_REASONING,
    TEXT_LOGPROBS,
    NamedTool,
    ReasoningConfig,
    TextFormat,
    ToolChoiceObject,
    ToolEntry,
)

PATH: Final = b"/responses"
SUPPORTED: Final = frozenset(
    {"turns", "tools", "tool_choice", "output", "max_tokens", "temperature", "top_p", "logprobs", "top_logprobs"}
    | {"reasoning", "hints", "extra"}
)
_FEWEST_TOKENS: Final = 16
_CALL_ID: Final = any_of(64)
# Models that do not reason refuse to be asked for their encrypted reasoning ("Encrypted content is not supported with
# this model").
_NOT_REASONING: Final = ("gpt-3.5", "gpt-4", "chatgpt-", "gpt-5-chat", "ft:gpt-3.5", "ft:gpt-4")
# The most tokens that each effort stands for. Source: https://ai.google.dev/gemini-api/docs/openai#thinking
_EFFORT_BUDGETS: Final[tuple[tuple[int, Effort], ...]] = ((1024, "low"), (8192, "medium"))
_NO_PARAMETERS: Final = Raw(b'{"type":"object","properties":{},"additionalProperties":false}')
_ANY_OBJECT: Final = Raw(b"{}")
_NO_NAME: Final = "response"


Number = TypeVar("Number", int, float)
_encode: Final = msgspec.json.encode


def encode_request(conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
    """The request. Tells `fit` of what this API cannot say; raises Unsupported where that is refused."""
    verbosity: Raw | None = None
    for name, value in conversation.extra.items():
        if name == "verbosity":
            verbosity = value
        else:
            fit.unsupported(name, f"the field '{name}'", value)
    max_tokens = conversation.max_tokens
    if max_tokens is not None and max_tokens < _FEWEST_TOKENS:
        fit.hint("max_tokens", f"fewer than {_FEWEST_TOKENS} tokens")
        max_tokens = _FEWEST_TOKENS
    include = [TEXT_LOGPROBS] if conversation.logprobs else []
    if reasons(target):
        include.append(ENCRYPTED_REASONING)
    choice = conversation.tool_choice
    request = Request(
        model=target.model,
        input=[item for turn in paired(conversation.turns) for item in _items(turn, fit)],
        stream=stream or UNSET,
        include=include or UNSET,
        tools=[_function(tool, at, fit) for at, tool in enumerate(conversation.tools)] or UNSET,
        tool_choice=UNSET if choice is None else _choice(choice),
        parallel_tool_calls=UNSET if choice is None or choice.parallel is None else choice.parallel,
        text=_text(conversation.output, verbosity),
        reasoning=_reasoning(conversation.reasoning, target.traits, fit),
        max_output_tokens=_given(max_tokens),
        temperature=_given(conversation.temperature),
        top_p=_given(conversation.top_p),
        top_logprobs=_given(conversation.top_logprobs),
    )
    body = _encode(request)
    fit.hints(conversation.hints, HINTS)
    hints = {name: value for name, value in conversation.hints.items() if name in HINTS}
    return UpstreamRequest(PATH, body[:-1] + b"," + _encode(hints)[1:] if hints else body)


def reasons(target: Target) -> bool:
    """Tells whether a model can be asked for its encrypted reasoning."""
    if target.traits.reasoning is False or "include" in target.quirks.refuse:
        return False
    return not target.model.startswith(_NOT_REASONING)


def _given(value: Number | None) -> Number | UnsetType:
    return UNSET if value is None else value


def _items(turn: Turn, fit: Fit) -> Iterator[Item]:
    """A turn's items: texts next to each other are one message. Reasoning of no use to this family is left out."""
    if turn.name is not None and turn.role != "tool":
        fit.hint("messages.name", "the names of those who speak")
    contents: list[Content] = []
    for part in turn.parts:
        if isinstance(part, Reasoning) and (part.origin != ORIGIN or part.encrypted is None):
            continue
        item = _shown(part) if turn.role == "assistant" and isinstance(part, Image) else _item(part, fit)
        if item is None:
            contents.append(_said(part) if turn.role == "assistant" else _asked(part, fit))
            continue
        if contents:
            yield _message(turn, contents)
            contents = []
        yield item
    if contents:
        yield _message(turn, contents)


def _message(turn: Turn, contents: list[Content]) -> MessageItem:
    if turn.role == "tool":
        raise Unsupported("turns", "anything but results in a tool's turn")
    return MessageItem(turn.role, contents)


def _shown(part: Image) -> Item:
    """An image that a model made: it is shown to it."""
    return MessageItem("user", [_image(part)])


def _item(part: Part, fit: Fit) -> Item | None:
    """The item that a part is by itself; None for part of a message."""
    match part:
        case ToolUse():
            return FunctionCallItem(fitted(part.id, _CALL_ID), part.name, part.arguments)
        case ToolResult():
            return FunctionOutputItem(fitted(part.call_id, _CALL_ID), _output(part, fit))
        case Reasoning():
            summary = [Content("summary_text", part.text)] if part.text else []
            own = part.id if part.id and part.id.startswith("rs_") else None
            return ReasoningItem(summary, None, part.encrypted, own)
    return None


def _output(result: ToolResult, fit: Fit) -> str | list[Content]:
    """The result of a call. There is no field for its having failed, so the words have to say it."""
    parts: Sequence[Part] = result.content
    if result.is_error:
        parts = (Text("Error:"), *parts)
    if not result.is_error and len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [_asked(part, fit) for part in parts]


def _said(part: Part) -> Content:
    """A part of what a model said."""
    match part:
        case Text():
            cited = [annotation(each) for each in part.citations if each.origin == ORIGIN or each.url is not None]
            return output_text(part.text, cited)
        case Refusal():
            return Content("refusal", refusal=part.text)
    raise Unsupported("turns", f"{type(part).__name__.lower()} parts that a model made")


def _image(image: Image) -> Content:
    return Content(
        "input_image", image_url=image_url(typed(image)), file_id=image.file_id, detail=image.detail or "auto"
    )


def _asked(part: Part, fit: Fit) -> Content:
    """A part of what a model is told. Cache marks have no effect: OpenAI keeps every prompt of some length."""
    match part:
        case Text():
            return Content("input_text", part.text)
        case Image():
            return _image(part)
        case Audio():
            return Content("input_audio", input_audio=AudioData(part.data, part.format))
        case Document():
            return _document(part, fit)
    raise Unsupported("turns", f"{type(part).__name__.lower()} parts in a message to the model")


def _document(document: Document, fit: Fit) -> Content:
    if document.cite:
        fit.hint("citations", "citations of documents")
    if document.file_id is not None or document.url is not None:
        # A name belongs to data alone.
        return Content("input_file", file_id=document.file_id, file_url=document.url)
    if document.text is not None:
        data = b64encode(document.text.encode()).decode()
        media_type = document.media_type or "text/plain"
        return Content(
            "input_file", file_data=f"data:{media_type};base64,{data}", filename=document.name or "document.txt"
        )
    return Content("input_file", file_data=file_data(document), filename=document.name or "document.pdf")


def _function(tool: Tool, at: int, fit: Fit) -> ToolEntry:
    schema = _NO_PARAMETERS if tool.parameters is None else parameters_of(tool, at, fit)
    # `strict` is always said: left out it means true here, and false everywhere else.
    return ToolEntry("function", tool.name, tool.description, schema, bool(tool.strict))


def _choice(choice: ToolChoice) -> str | NamedTool:
    if not choice.names or choice.mode == "none":
        return choice.mode
    if choice.mode == "required" and len(choice.names) == 1:
        return NamedTool("function", choice.names[0])
    tools = [NamedTool("function", name) for name in choice.names]
    return ToolChoiceObject("allowed_tools", mode=choice.mode, tools=tools)


def _text(output: OutputFormat | None, verbosity: Raw | None) -> TextOptions | UnsetType:
    if output is None:
        return UNSET if verbosity is None else TextOptions(verbosity=verbosity)
    if output.type == "json_object":
        return TextOptions(TextFormat("json_object"), verbosity)
    form = TextFormat(
        "json_schema", output.name or _NO_NAME, output.schema or _ANY_OBJECT, output.description, output.strict
    )
    return TextOptions(form, verbosity)


def _reasoning(options: ReasoningOptions | None, traits: Traits, fit: Fit) -> ReasoningConfig | UnsetType:
    if options is None:
        return UNSET
    effort: str | None = options.effort
    if options.enabled is False:
        effort = "none"
    elif effort is None and options.budget_tokens is not None:
        meant: Effort = next((name for most, name in _EFFORT_BUDGETS if options.budget_tokens <= most), "high")
        effort = taken(meant, traits, fit)
    # The thinking itself is never shown here, so who wants to see it gets words about it.
    summary = options.summary or ("auto" if options.include and effort != "none" else None)
    return UNSET if effort is None and summary is None else ReasoningConfig(effort, summary)
