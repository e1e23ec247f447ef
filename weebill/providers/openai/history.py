"""The reasoning of other models, taken out of histories in the Chat Completions format that are passed through.

A client that changes models sends back what it was given before, Weebill's marks included, and an upstream whose API it
speaks would refuse that. Messages without a mark are not looked into; what cannot be read is left for the upstream to
judge.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.openai.messages import is_detailed
from weebill.wire.call import Json
from weebill.wire.errors import UNREADABLE
from weebill.wire.openai_chat import ReasoningDetail

_DETAILS: Final = "reasoning_details"
_MARK: Final = b'"reasoning_details"'

_encode: Final = msgspec.json.encode
_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_object: Final = msgspec.json.Decoder(Json).decode
_decode_details: Final = msgspec.json.Decoder(list[ReasoningDetail]).decode


def own_chat(messages: Raw) -> Raw:
    """Chat Completions' `messages` without the reasoning of models that other dialects reached."""
    if bytes(messages).find(_MARK) < 0:  # not `in`, which with bytes raises inside
        return messages
    try:
        return Raw(_encode([_own_chat_message(raw) for raw in _decode_list(messages)]))
    except UNREADABLE:
        return messages


def _own_chat_message(raw: Raw) -> Raw:
    if _MARK not in bytes(raw):
        return raw
    fields = _decode_object(raw)
    if not bytes(fields.get(_DETAILS, b"")).startswith(b"["):
        return raw
    entries = _decode_list(fields[_DETAILS])
    details = _decode_details(fields[_DETAILS])
    kept = [
        entry
        for entry, detail in zip(entries, details, strict=True)
        if detail.format is None or is_detailed(detail.format)
    ]
    if len(kept) == len(entries):
        return raw
    del fields[_DETAILS]
    return Raw(_encode({**fields, _DETAILS: kept} if kept else fields))
