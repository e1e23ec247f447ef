"""Members of a history's messages that its provider does not know, and answers with an error.

An answer may have what only who made it has: `annotations`, `images`, `executed_tools`. Clients replay it to whichever
provider they ask next. Some pass over what they do not know; the others, of which the quirks say so, get OpenAI's
members and their own.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat_create-messages
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.openai.request_shapes import KnownMessage
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json

_MESSAGE: Final = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "audio"}
)
_CALL: Final = frozenset({"id", "type", "function", "custom"})
_FUNCTION: Final = frozenset({"name", "arguments"})
_CALLS: Final = "tool_calls"
# What is of no worth to others, or is said in another member, too; and of members, what is as good as none.
_UNSAID: Final = frozenset(
    {"reasoning", "reasoning_content", "reasoning_details", "thinking_blocks", "provider_specific_fields"}
    | {"extra_content", "index", "parsed", "parsed_arguments"}
)
_NOTHING: Final = frozenset({b"null", b"[]", b'""', b"{}"})

_encode: Final = msgspec.json.encode
_decode_known: Final = msgspec.json.Decoder(list[KnownMessage]).decode
_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_object: Final = msgspec.json.Decoder(Json).decode


def known_only(messages: Raw, own: Container[str]) -> tuple[Raw, Sequence[str]]:
    """`messages` with OpenAI's members and the provider's `own`, and the names of what was left out of worth.

    What cannot be read stays, for the provider to judge.
    """
    try:
        _decode_known(messages)
    except UNREADABLE:
        pass
    else:
        return messages, ()
    lost: dict[str, None] = {}
    try:
        given = _decode_list(messages)
        kept = [_message(raw, own, lost) for raw in given]
    except UNREADABLE:
        return messages, ()
    return (messages if kept == given else Raw(_encode(kept))), tuple(lost)


def _message(raw: Raw, own: Container[str], lost: dict[str, None]) -> Raw:
    fields = _decode_object(raw)
    kept = _known(fields, _MESSAGE, own, "messages[].", lost)
    calls = kept.get(_CALLS, Raw())
    if bytes(calls)[:1] == b"[":
        given = _decode_list(calls)
        written = [_call(call, own, lost) for call in given]
        if written != given:
            kept[_CALLS] = Raw(_encode(written))
    return raw if kept == fields else Raw(_encode(kept))


def _call(raw: Raw, own: Container[str], lost: dict[str, None]) -> Raw:
    fields = _decode_object(raw)
    kept = _known(fields, _CALL, own, "messages[].tool_calls[].", lost)
    said = kept.get("function", Raw())
    if bytes(said)[:1] == b"{":
        given = _decode_object(said)
        function = _known(given, _FUNCTION, own, "messages[].tool_calls[].function.", lost)
        if function != given:
            kept["function"] = Raw(_encode(function))
    return raw if kept == fields else Raw(_encode(kept))


def _known(fields: Json, known: Container[str], own: Container[str], where: str, lost: dict[str, None]) -> Json:
    kept: Json = {}
    for name, value in fields.items():
        if name in known or name in own:
            kept[name] = value
        elif name not in _UNSAID and bytes(value) not in _NOTHING:
            lost[where + name] = None
    return kept
