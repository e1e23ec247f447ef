"""Leaves out of a history that is passed through what clients replay and strict providers refuse.

That is the result of a tool a second time, as who goes on with a session of theirs sends it; and what OpenAI's SDKs
write into messages for their own use. Of results the first stays, and one that answers no call at all is left for the
upstream to judge. Whether there is any such is seen in what has been read already; other histories stay as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.replayed_shapes import Block, SentMessage
from weebill.wire.errors import UNREADABLE
from weebill.wire.gemini import Content, parts_of
from weebill.wire.json_values import decode_list, decode_object
from weebill.wire.requests import ABSENT, Message

_ANSWERED: Final = b'"tool_call_id"'
_PARSED: Final = b'"parsed"'
_RESPONSES: Final = (b'"functionResponse"', b'"function_response"')
_USED: Final = b'"tool_use_id"'
_USED_ID: Final = re.compile(rb'"tool_use_id"\s*:\s*("(?:[^"\\]|\\.)*")')
_encode: Final = msgspec.json.encode
_decode_block: Final = msgspec.json.Decoder(Block).decode
_decode_messages: Final = msgspec.json.Decoder(list[SentMessage]).decode


class Results:
    """Those of a history's calls, told in their order."""

    def __init__(self) -> None:
        # Calls may share an id, as models make them that count from the same number each time.
        self._unanswered: Counter[str] = Counter()
        self._answered: set[str] = set()

    def come_again(self, identity: str, *, is_call: bool) -> bool:
        """Take in a call or a result by the call's id: whether it is a result that has come before."""
        if is_call:
            self._unanswered[identity] += 1
            return False
        if self._unanswered[identity] > 0:
            self._unanswered[identity] -= 1
            self._answered.add(identity)
            return False
        return identity in self._answered


def is_replayed(text: bytes) -> bool:
    """Tells whether there may be anything of that in Chat Completions' `messages`."""
    return text.find(_ANSWERED) >= 0 or text.find(_PARSED) >= 0


def chat_once(messages: Raw, read: Sequence[Message]) -> tuple[Raw, Sequence[str]]:
    """Chat Completions' `messages`, of which `read` is what has been read, with each result once; where others were."""
    ids = [bytes(message.tool_call_id) for message in read if message.tool_call_id is not ABSENT]
    if len(ids) < 2 or len(set(ids)) == len(ids):
        return messages, ()
    try:
        told = Results()
        again = set()
        for at, message in enumerate(_decode_messages(messages)):
            for call in message.tool_calls or ():
                told.come_again(call.id or "", is_call=True)
            if message.tool_call_id is not None and told.come_again(message.tool_call_id, is_call=False):
                again.add(at)
        kept = [raw for at, raw in enumerate(decode_list(messages)) if at not in again]
    except UNREADABLE:
        return messages, ()
    return (Raw(_encode(kept)), [f"messages[{at}]" for at in sorted(again)]) if again else (messages, ())


def chat_unparsed(messages: Raw, read: Sequence[Message]) -> Raw:
    """Without the objects that an SDK has made of what was said: OpenAI's older models refuse them.

    Source: https://github.com/openai/openai-node/issues/1161
    """
    if all(message.parsed is ABSENT for message in read):
        return messages
    try:
        told = [decode_object(raw) for raw in decode_list(messages)]
    except UNREADABLE:
        return messages
    return Raw(_encode([{name: value for name, value in each.items() if name != "parsed"} for each in told]))


def gemini_once(contents: Raw, text: bytes, read: Sequence[Content | str]) -> tuple[Raw, Sequence[str]]:
    """The same of Google's `contents`, which `text` is; results without an id are not looked at."""
    if sum([text.count(name) for name in _RESPONSES]) < 2:
        return contents, ()
    told = Results()
    again = set()
    for at, content in enumerate(read):
        for of, part in enumerate(parts_of(content)):
            given = part.function_call or part.function_response
            if given is None or not given.id:
                continue
            if told.come_again(given.id, is_call=part.function_call is not None):
                again.add((at, of))
    if not again:
        return contents, ()
    try:
        kept: list[Raw] = []
        for at, raw in enumerate(decode_list(contents)):
            if not any(where == at for where, _ in again):
                kept.append(raw)
                continue
            fields = decode_object(raw)
            parts = [part for of, part in enumerate(decode_list(fields["parts"])) if (at, of) not in again]
            if parts:
                kept.append(Raw(_encode({**fields, "parts": parts})))
    except UNREADABLE:
        return contents, ()
    return Raw(_encode(kept)), [f"contents[{at}].parts[{of}].functionResponse" for at, of in sorted(again)]


def anthropic_once(messages: Raw) -> tuple[Raw, Sequence[str]]:
    """The same of Anthropic's `messages`."""
    text = bytes(messages)
    if text.count(_USED) < 2:
        return messages, ()
    ids = _USED_ID.findall(text)
    if len(set(ids)) == len(ids):
        return messages, ()
    told = Results()
    again: list[str] = []
    kept: list[Raw] = []
    try:
        for at, raw in enumerate(decode_list(messages)):
            fields = decode_object(raw)
            if not bytes(fields.get("content", b"")).startswith(b"["):
                kept.append(raw)
                continue
            given = decode_list(fields["content"])
            repeats = _repeats(given, told)
            again += [f"messages[{at}].content[{of}]" for of in repeats]
            blocks = [block for of, block in enumerate(given) if of not in repeats]
            if blocks or not repeats:
                kept.append(Raw(_encode({**fields, "content": blocks})) if repeats else raw)
    except UNREADABLE:
        return messages, ()
    return (Raw(_encode(kept)), again) if again else (messages, ())


def _repeats(blocks: Sequence[Raw], told: Results) -> Sequence[int]:
    """The blocks of a message that are results that have come before."""
    again: list[int] = []
    for of, raw in enumerate(blocks):
        block = _decode_block(raw)
        if block.type == "tool_use":
            told.come_again(block.id or "", is_call=True)
        elif block.type == "tool_result" and told.come_again(block.tool_use_id or "", is_call=False):
            again.append(of)
    return again
