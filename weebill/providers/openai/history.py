"""Mends a history in the Chat Completions format that is passed through, where its upstream would refuse it.

A client that changes models sends back what it was given before: the reasoning of other models, Weebill's marks
included, and ids of tool calls that others made. Messages without such are not looked into; what cannot be read is left
for the upstream to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.base import Quirks
from weebill.providers.openai.messages import is_detailed
from weebill.providers.openai.quirks import call_id
from weebill.providers.openai.request_shapes import Spoken, ThinkingPart
from weebill.providers.openai.sealed import EXTRA, own_blocks, own_detail, own_extra
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object, decode_objects, decode_text
from weebill.wire.literals import EMPTY, has_any
from weebill.wire.marks import SIGN
from weebill.wire.openai_chat import ReasoningDetail
from weebill.wire.openai_chat_request import TextPart

_DETAILS: Final = "reasoning_details"
# Fields of a message that carry reasoning, and that not every provider knows.
_THOUGHT: Final = "reasoning_content"
_REASONING: Final = (_THOUGHT, "reasoning", _DETAILS)
_NULL: Final = Raw(b"null")
_CALLS: Final = "tool_calls"
_ANSWERED: Final = "tool_call_id"
_MARKS: Final = {name: b'"%b"' % name.encode() for name in _REASONING}
_DEVELOPER: Final = b'"developer"'
_SYSTEM: Final = Raw(b'"system"')
# How the signature of a call begins that is of another API's model.
_FOREIGN: Final = b'"weebill:'
# A data URI's beginning; a quote inside text is escaped.
# Where signatures of calls are, and what SDKs write down of every answer and echo though it says nothing; who knows few
# fields refuses even these.
_SIGNED: Final = b'"extra_content"'
_NOTHINGS: Final = tuple([mark + value for value in sorted(EMPTY) for mark in (b":", b": ")])
_MARKED: Final = b'"%b' % SIGN.encode()
_BLOCKS: Final = b'"thinking_blocks"'
_ALWAYS: Final = (_MARKS[_DETAILS], _FOREIGN, _MARKED)
_NO_DEVELOPER: Final = (*_ALWAYS, _DEVELOPER)
_CALL_MARKS: Final = (b'"tool_calls"', b'"tool_call_id"')

_encode: Final = msgspec.json.encode
_decode_content: Final = msgspec.json.Decoder(str | list[Raw] | None).decode
_decode_talk: Final = msgspec.json.Decoder(list[Spoken]).decode
_decode_details: Final = msgspec.json.Decoder(list[ReasoningDetail]).decode


def is_talk(text: bytes) -> bool:
    """Tells whether `messages` are but texts, of which no provider refuses anything, and nothing is another's.

    One reading costs less than the searches for all that there may be in others.
    """
    try:
        _decode_talk(text)
    except UNREADABLE:
        return False
    return True


def own_chat(messages: Raw, text: bytes, quirks: Quirks, maker: str = "") -> Raw:
    """Chat Completions' `messages` without other models' reasoning, nor what the provider refuses in them.

    `text` is the same to be searched, which the caller has anyway: it may be long. `maker` is whose marks are its own.
    Types of images are put in their registered form.
    """
    looked_for = _looked_for(quirks)
    if not has_any(text, looked_for):
        return messages
    try:
        given = decode_list(messages)
        return Raw(_encode([_own(raw, quirks, maker) if has_any(bytes(raw), looked_for) else raw for raw in given]))
    except UNREADABLE:
        return messages


def _looked_for(quirks: Quirks) -> Sequence[bytes]:
    always = _ALWAYS if quirks.developer else _NO_DEVELOPER
    if not quirks.refuse and not quirks.short_call_ids and not quirks.accept:
        return always
    marks = [mark for name, mark in _MARKS.items() if name != _DETAILS and name in quirks.refuse]
    marks += always
    if _is_strict(quirks):
        marks.append(_SIGNED)
    if quirks.accept:
        marks += _NOTHINGS
    return [*marks, *_CALL_MARKS] if quirks.short_call_ids else marks


def _own(raw: Raw, quirks: Quirks, maker: str) -> Raw:
    fields = decode_object(raw)
    kept = {name: value for name, value in fields.items() if not (name in _REASONING and name in quirks.refuse)}
    if not quirks.developer and bytes(kept.get("role", b"")) == _DEVELOPER:
        # Which says the same to who does not know the other.
        kept["role"] = _SYSTEM
    if quirks.accept:
        kept = {name: value for name, value in kept.items() if name == "content" or bytes(value) not in EMPTY}
    strict = _is_strict(quirks)
    if has_any(bytes(kept.get(_CALLS, b"")), (_SIGNED,) if strict else (_FOREIGN, _MARKED)):
        kept[_CALLS] = Raw(_encode([_unsigned(call, strict, maker) for call in decode_objects(kept[_CALLS])]))
    if EXTRA in kept:
        kept = _unsigned(kept, strict, maker)
    if bytes(raw).find(_BLOCKS) >= 0 and bytes(raw).find(_MARKED) >= 0:
        kept = own_blocks(kept, maker)
    if _DETAILS in kept:
        details = _own_details(kept[_DETAILS], maker)
        if details is None:
            del kept[_DETAILS]
        else:
            kept[_DETAILS] = details
    if quirks.short_call_ids:
        if _ANSWERED in kept:
            kept[_ANSWERED] = _short(kept[_ANSWERED], quirks)
        if bytes(kept.get(_CALLS, b"")).startswith(b"["):
            kept[_CALLS] = Raw(_encode([_short_call(call, quirks) for call in decode_objects(kept[_CALLS])]))
    if quirks.reasoning_field == "content" and _THOUGHT in fields:
        kept["content"] = _with_thinking(kept.get("content", _NULL), fields[_THOUGHT])
    return raw if kept == fields else Raw(_encode(kept))


def _own_details(raw: Raw, maker: str) -> Raw | None:
    """The entries that are of an upstream of this dialect, and no other's; None if there are none."""
    if not bytes(raw).startswith(b"["):
        return raw
    entries = decode_objects(raw)
    kept = [
        own
        for entry, detail in zip(entries, _decode_details(raw), strict=True)
        if (detail.format is None or is_detailed(detail.format)) and (own := own_detail(entry, maker)) is not None
    ]
    if kept == entries:
        return raw
    return Raw(_encode(kept)) if kept else None


def _with_thinking(content: Raw, thought: Raw) -> Raw:
    """Content in pieces, as Mistral has it, with what was taken out of it when it was answered."""
    words = _decode_content(thought)
    if not isinstance(words, str) or not words:
        return content
    said = _decode_content(content)
    rest = [TextPart(said)] if isinstance(said, str) and said else said or []
    return Raw(_encode([ThinkingPart((TextPart(words),)), *rest]))


def _is_strict(quirks: Quirks) -> bool:
    """Tells whether the provider refuses members of messages that it does not know."""
    return bool(quirks.accept) or _DETAILS in quirks.refuse


def _unsigned(holder: Json, strict: bool, maker: str) -> Json:
    """A call or a message without a signature that is not of this provider's models; a strict one takes none."""
    if EXTRA not in holder:
        return holder
    own = None if strict or bytes(holder[EXTRA]).find(_FOREIGN) >= 0 else own_extra(holder[EXTRA], maker)
    if own is not None:
        return holder | {EXTRA: own}
    return {name: value for name, value in holder.items() if name != EXTRA}


def _short_call(call: Json, quirks: Quirks) -> Json:
    return call | {"id": _short(call["id"], quirks)} if "id" in call else call


def _short(raw: Raw, quirks: Quirks) -> Raw:
    given = decode_text(raw)
    short = call_id(given, quirks)
    return raw if short == given else Raw(_encode(short))
