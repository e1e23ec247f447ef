"""Members of replayed answers that a provider does not know, and answers with an error.

An answer may have what only who made it has: `annotations`, `images`, `audio`, `executed_tools`. Clients replay it to
whichever provider they ask next. Some pass over what they do not know; the others, of which the quirks say so, get of
these members their own alone.

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
from weebill.wire.json_values import decode_list, decode_object
from weebill.wire.literals import EMPTY

# What providers' answers, and SDKs that keep them, have in a message or in its calls, and OpenAI's requests have not.
# What nobody is known to answer with goes along: it may be new.
_ANSWERED: Final = frozenset(
    {
        "annotations",
        "citations",
        "search_results",
        "grounding_metadata",
        "context",
        "images",
        "audio",
        "videos",
        "tool_plan",
    }
    | {"executed_tools", "code_execution_results", "safety_ratings", "content_filter_results"}
    | {"logprobs", "finish_reason", "native_finish_reason", "stop_reason", "matched_stop", "token_ids"}
)
# The same, of no worth to others, or said in another member, too: that they go without it is the rule.
_UNSAID: Final = frozenset(
    {"reasoning", "reasoning_content", "reasoning_details", "thinking_blocks", "provider_specific_fields"}
    | {"extra_content", "thought_signature", "index", "parsed", "parsed_arguments"}
)
_ASSISTANT: Final = b'"assistant"'
_AUDIO: Final = "audio"
_CALLS: Final = "tool_calls"
_NO_WORDS: Final = Raw(b'""')
_FUNCTION: Final = "function"

_encode: Final = msgspec.json.encode
_decode_known: Final = msgspec.json.Decoder(list[KnownMessage]).decode


def asked_only(messages: Raw, own: Container[str]) -> tuple[Raw, Sequence[str]]:
    """`messages` without others' members of answers, but for the provider's `own`; the names of what was of worth.

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
        given = decode_list(messages)
        kept = [_message(raw, own, lost) for raw in given]
    except UNREADABLE:
        return messages, ()
    return (messages if kept == given else Raw(_encode(kept))), tuple(lost)


def _message(raw: Raw, own: Container[str], lost: dict[str, None]) -> Raw:
    fields = decode_object(raw)
    if bytes(fields.get("role", b"")) != _ASSISTANT:
        return raw
    kept = _asked(fields, own, "messages[].", lost)
    if _AUDIO in fields and _AUDIO not in kept:
        _tell_in_words(kept, fields[_AUDIO], lost)
    calls = kept.get(_CALLS, Raw())
    if bytes(calls)[:1] == b"[":
        given = decode_list(calls)
        written = [_call(call, own, lost) for call in given]
        if written != given:
            kept[_CALLS] = Raw(_encode(written))
    return raw if kept == fields else Raw(_encode(kept))


def _tell_in_words(kept: Json, audio: Raw, lost: dict[str, None]) -> None:
    """Put what was spoken into a message that says nothing else, as far as its words are known."""
    if bytes(audio) in EMPTY or bytes(kept.get("content", b"null")) not in EMPTY:
        return
    words = decode_object(audio).get("transcript", _NO_WORDS) if bytes(audio)[:1] == b"{" else _NO_WORDS
    if bytes(words)[:1] == b'"' and bytes(words) not in EMPTY:
        kept["content"] = words
        lost.pop("messages[]." + _AUDIO, None)
    elif _CALLS not in kept:
        kept["content"] = _NO_WORDS


def _call(raw: Raw, own: Container[str], lost: dict[str, None]) -> Raw:
    fields = decode_object(raw)
    kept = _asked(fields, own, "messages[].tool_calls[].", lost)
    said = kept.get(_FUNCTION, Raw())
    if bytes(said)[:1] == b"{":
        given = decode_object(said)
        function = _asked(given, own, "messages[].tool_calls[].function.", lost)
        if function != given:
            kept[_FUNCTION] = Raw(_encode(function))
    return raw if kept == fields else Raw(_encode(kept))


def _asked(fields: Json, own: Container[str], where: str, lost: dict[str, None]) -> Json:
    """The members that a request may have."""
    kept: Json = {}
    for name, value in fields.items():
        if name in own or (name not in _ANSWERED and name not in _UNSAID):
            kept[name] = value
        elif name in _ANSWERED and bytes(value) not in EMPTY:
            lost[where + name] = None
    return kept
