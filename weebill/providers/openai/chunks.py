"""Relayed chunks and answers as OpenAI's clients can read them.

Their SDKs take no chunk without its kind and no choice without its delta, and join what is said twice: a role that
comes with every delta becomes `assistantassistant`, one that never comes is none. Agents go by why an answer ended.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object, decode_objects
from weebill.wire.literals import SILENT
from weebill.wire.sse import event

KIND: Final = b'"chat.completion.chunk"'
ROLE: Final = b'"role"'
_KIND: Final = Raw(KIND)
_ASSISTANT: Final = Raw(b'"assistant"')
_NONE: Final = frozenset({b"null", b"[]"})
_STOP: Final = Raw(b'"stop"')
_CALLED: Final = Raw(b'"tool_calls"')
_FIRST: Final = Raw(b"0")
_NULL: Final = Raw(b"null")
_encode: Final = msgspec.json.encode


def as_chunk(data: bytes, told: set[bytes]) -> bytes:
    """A chunk of Chat Completions as it came if it is as it should be. What cannot be read passes.

    `told` are the choices, by their index in JSON, whose role the client knows; those that it is told now are added.
    """
    changes: Json = {}
    try:
        fields = decode_object(data)
        if "choices" not in fields:
            return data
        if bytes(fields.get("object", b"")) != KIND:
            changes["object"] = _KIND
        choices = decode_objects(fields["choices"])
        if sum([_complete(choice, told) for choice in choices]):
            changes["choices"] = Raw(_encode(choices))
    except UNREADABLE:
        return data
    return _encode({**fields, **changes}) if changes else data


def ending(last: bytes, choices: set[bytes], *, called: bool) -> bytes:
    """The event that says why the `choices` ended, where none did; `last` is the data of one before. b"" for none."""
    try:
        fields = decode_object(last)
    except UNREADABLE:
        fields = {}
    kept = {name: fields[name] for name in ("id", "created", "model") if name in fields}
    reason = _CALLED if called else _STOP
    ends = [{"index": Raw(index), "delta": Raw(b"{}"), "finish_reason": reason} for index in sorted(choices)]
    return event(_encode({**kept, "object": _KIND, "choices": ends})) if ends else b""


def as_messages(body: bytes) -> bytes:
    """A completion each of whose choices has a message, itself if they do: some servers put it elsewhere.

    What cannot be read passes.
    """
    try:
        fields = decode_object(body)
        choices = decode_objects(fields.get("choices", b"[]"))
        if not sum([_place(choice) for choice in choices]):
            return body
    except UNREADABLE:
        return body
    return _encode({**fields, "choices": choices})


def _place(choice: Json) -> bool:
    """Put what a choice says elsewhere into its message. True if there is such."""
    if bytes(choice.get("message", b"null")) != b"null":
        return False
    delta, text = choice.get("delta", _NULL), choice.get("text", _NULL)
    if bytes(delta)[:1] == b"{":
        said = {"role": _ASSISTANT, **decode_object(delta)}
    elif bytes(text)[:1] == b'"':
        said = {"role": _ASSISTANT, "content": text}
    else:
        return False
    for name in ("delta", "text"):
        choice.pop(name, None)
    choice["message"] = Raw(_encode(said))
    return True


def ended(body: bytes) -> bytes:
    """A completion each of whose messages says why it ended, itself if they do. What cannot be read passes."""
    try:
        fields = decode_object(body)
        choices = decode_objects(fields.get("choices", b"[]"))
        silent = [each for each in choices if "message" in each and bytes(each.get("finish_reason", b'""')) in SILENT]
        for choice in silent:
            calls = bytes(decode_object(choice["message"]).get("tool_calls", b"[]"))
            choice["finish_reason"] = _STOP if calls in _NONE else _CALLED
    except UNREADABLE:
        return body
    return _encode({**fields, "choices": choices}) if silent else body


def _complete(choice: Json, told: set[bytes]) -> bool:
    """Tells whether a choice had to be changed, which it is: it has a number, a delta, and its role once."""
    changed = "index" not in choice or bytes(choice.get("delta", b"null")) == b"null"
    # Some send a whole answer in an event, or a text as Completions do.
    given = choice.get("delta", _NULL)
    if bytes(given) == b"null":
        given = choice.pop("message", _NULL)
    delta = {} if bytes(given) == b"null" else decode_object(given)
    if changed and not delta and bytes(choice.get("text", b"null"))[:1] == b'"':
        delta["content"] = choice.pop("text")
    index = bytes(choice.setdefault("index", _FIRST))
    if index in told:
        changed = delta.pop("role", None) is not None or changed
    else:
        told.add(index)
        if bytes(delta.get("role", b"null")) in SILENT:
            delta["role"] = _ASSISTANT
            changed = True
    if changed:
        choice["delta"] = Raw(_encode(delta))
    return changed
