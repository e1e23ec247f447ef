"""Requests of Anthropic's Messages API: their fields as types, and their way into canonical form.

A body is checked in two steps. What decides whom it goes to and how it is metered is checked for all; all else only
where it has to be understood, because an Anthropic target gets it byte for byte. There, what is not known is set aside
for the target to pass over or refuse; what is wrong for every target is an error that names it.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar, cast

from msgspec import Raw

from weebill.apis.anthropic.blocks import messages, system
from weebill.apis.anthropic.options import hints, output, reasoning
from weebill.apis.anthropic.request_shapes import MessagesRequest, PromptRequest
from weebill.apis.anthropic.tolerant import SetAside, read
from weebill.apis.anthropic.tools import tool_choice, tools
from weebill.apis.anthropic.turns import mark_last, message_turns, text
from weebill.apis.cache_marks import CACHE_CONTROL, EPHEMERAL, marked, may_mark
from weebill.wire import anthropic as wire
from weebill.wire.body import invalid_body, take_own, top_level
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation, Text, Turn
from weebill.wire.errors import UNREADABLE, ApiError, invalid_value
from weebill.wire.inbound import GatewayOptions, Json
from weebill.wire.whole_numbers import with_whole_numbers

HEADERS: Final = frozenset({b"anthropic-version", b"anthropic-beta"})
# Those of which all is read elsewhere. `output_format` is the older name of `output_config.format`.
_FIELDS: Final = frozenset(MessagesRequest.__struct_fields__) | {
    "system", "tools", "tool_choice", "thinking", "output_config", "output_format", "cache_control", "metadata",
    "service_tier",
}  # fmt: skip
_MARKED: Final = ("system", "messages", "tools")

Request = TypeVar("Request", bound=PromptRequest)


def decode_prompt(body: bytes, decode: Callable[[bytes], Request]) -> tuple[Request, Json, GatewayOptions]:
    """The request in `body`, its fields, and Weebill's own. Raises ApiError 400 naming the field."""
    try:
        request, fields = decode(body), top_level(body)
    except UNREADABLE as error:
        mended = with_whole_numbers(body, MessagesRequest)
        if mended is not None:
            return decode_prompt(mended, decode)
        raise invalid_body(error) from error
    return request, fields, take_own(fields)


def own_headers(headers: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """Those of the client's headers that belong to this API."""
    return {name: headers[name] for name in HEADERS if name in headers}


def conversation(call: Call) -> Conversation:
    """A request in canonical form. Raises ApiError 400, naming the field, for what is wrong for every target."""
    request = cast(PromptRequest, call.request)
    fields = {name: value for name, value in call.fields.items() if bytes(value) != b"null"}
    generation = request if isinstance(request, MessagesRequest) else None
    if generation is not None and generation.max_tokens == 0:
        raise invalid_value("max_tokens", "only Anthropic models take 0, which fills the prompt cache")
    aside = SetAside()
    turns: list[Turn] = []
    if "system" in fields:
        prompt = system(fields["system"], aside)
        parts = (Text(prompt),) if isinstance(prompt, str) else tuple(text(block) for block in prompt)
        if prompt:
            turns.append(Turn("system", parts))
    for index, message in enumerate(messages(fields["messages"], aside)):
        turns.extend(message_turns(message, f"messages[{index}].content"))
    if "cache_control" in fields:
        _mark_last(turns, fields["cache_control"], aside)
    offered = tools(fields["tools"], aside) if "tools" in fields else ()
    for name, value in fields.items():
        if name not in _FIELDS:
            aside.add(name, value)
    found = hints(fields, aside)
    if _may_mark(fields) and marked(turns, offered):
        found[CACHE_CONTROL] = EPHEMERAL
    return Conversation(
        turns=tuple(turns),
        tools=offered,
        tool_choice=tool_choice(fields["tool_choice"], offered, aside) if "tool_choice" in fields else None,
        output=output(fields, aside),
        reasoning=reasoning(fields, aside),
        max_tokens=generation.max_tokens if generation else None,
        temperature=generation.temperature if generation else None,
        top_p=generation.top_p if generation else None,
        top_k=generation.top_k if generation else None,
        stop=tuple(generation.stop_sequences or ()) if generation else (),
        hints=found,
        extra=aside.found,
    )


def _may_mark(fields: Json) -> bool:
    return CACHE_CONTROL in fields or any(name in fields and may_mark(bytes(fields[name])) for name in _MARKED)


def _mark_last(turns: list[Turn], control: Raw, aside: SetAside) -> None:
    try:
        mark_last(turns, read(wire.CacheControl, control, "cache_control", aside))
    except ApiError:
        aside.add("cache_control", control)
