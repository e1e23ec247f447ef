"""Mends a history in Anthropic's format that is passed through, where its upstream would refuse it.

A client that changes models sends back what it was given before: the thinking of other providers, under Weebill's
marks. It replays what no API takes, too: thinking without a signature, texts of white space, messages of nothing.
Messages that show no sign of such are not looked into; what cannot be read is left for the upstream to judge.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.anthropic import Opaque
from weebill.wire.conversation import Maker
from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_list, decode_object, decode_text

_MARK: Final = b'"weebill:'
_THINKING: Final = frozenset({"thinking", "redacted_thinking"})
_THOUGHT: Final = b'"thinking"'
# A text of white space alone, and content that is nothing.
_BLANK: Final = re.compile(rb'"(?:text|content)"\s*:\s*(?:"(?:[ \t]|\\[nrt])*"|\[\s*\]|null)')
_ASSISTANT: Final = re.compile(rb'"role"\s*:\s*"assistant"')
# White space at the end of a text, at the end of a message.
_TRAILING: Final = re.compile(rb'(?:[ \t]|\\[nrt])+"[\s}\]]*(?:,\s*"role"\s*:\s*"assistant"\s*\}\s*)?$')

_encode: Final = msgspec.json.encode


class _Block(Struct, frozen=True):
    """A block of Anthropic's, as far as it may have to be mended."""

    type: str = ""
    text: str | UnsetType | None = UNSET
    signature: str | UnsetType | None = UNSET
    data: str | UnsetType | None = UNSET


_decode_block: Final = msgspec.json.Decoder(_Block).decode


def mended(messages: Raw, own: Maker, *, signed: bool) -> Raw:
    """Anthropic's `messages` as the provider `own` takes them; `signed` is whether thinking must bear its signature.

    Raises nothing: what cannot be read stays as it is.
    """
    text = bytes(messages)
    begun = _is_assistant(text)
    if not _has_trouble(text, signed) and not (begun and _TRAILING.search(text.rstrip(b"] \r\n\t"))):
        return messages
    try:
        raws = decode_list(messages)
        kept = [each for raw in raws if (each := _message(raw, own, signed)) is not None]
        if begun and kept:
            kept[-1] = _stripped(kept[-1])
    except UNREADABLE:
        return messages
    return messages if not kept or kept == raws else Raw(_encode(kept))


def mended_system(system: Raw) -> Raw | None:
    """A system prompt without blocks of white space alone; None if nothing is left. Raises nothing."""
    text = bytes(system)
    if not text.startswith(b"[") or _BLANK.search(text) is None:
        return system
    try:
        given = decode_list(system)
        kept = [block for block in given if not _is_blank(block)]
    except UNREADABLE:
        return system
    if kept == given:
        return system
    return Raw(_encode(kept)) if kept else None


def _has_trouble(text: bytes, signed: bool) -> bool:
    return text.find(_MARK) >= 0 or (signed and text.find(_THOUGHT) >= 0) or _BLANK.search(text) is not None


def _is_assistant(text: bytes) -> bool:
    """Tells whether the last message seems to be the model's."""
    at = text.rfind(b'"role"')
    return at >= 0 and _ASSISTANT.match(text, at) is not None


def _message(raw: Raw, own: Maker, signed: bool) -> Raw | None:
    """None if nothing is left of it."""
    if not _has_trouble(bytes(raw), signed):
        return raw
    fields = decode_object(raw)
    content = bytes(fields.get("content", b"null"))
    if content.startswith(b'"'):
        return raw if decode_text(content).strip() else None
    if not content.startswith(b"["):
        return None if content == b"null" else raw
    given = decode_list(content)
    blocks = [each for block in given if (each := _block(block, own, signed)) is not None]
    if blocks == given and blocks:
        return raw
    return Raw(_encode({**fields, "content": blocks})) if blocks else None


def _block(raw: Raw, own: Maker, signed: bool) -> Raw | None:
    if not _has_trouble(bytes(raw), signed):
        return raw
    block = _decode_block(raw)
    if block.type == "text":
        return raw if isinstance(block.text, str) and block.text.strip() else None
    if block.type == "tool_result":
        return _tool_result(raw)
    if block.type not in _THINKING:
        return raw
    name = "signature" if block.type == "thinking" else "data"
    sealed = block.signature if block.type == "thinking" else block.data
    if not sealed:
        return None if signed else raw
    opaque = Opaque.read(sealed)
    if opaque == Opaque(sealed):
        return raw
    if opaque.origin != own or opaque.kind or opaque.id is not None or not opaque.value:
        return None
    return Raw(_encode({**decode_object(raw), name: opaque.value}))


def _tool_result(raw: Raw) -> Raw:
    """A tool's result without the texts in it that are nothing, and without content if nothing is left."""
    fields = decode_object(raw)
    content = bytes(fields.get("content", b""))
    if content.startswith(b"["):
        given = decode_list(content)
        kept = [block for block in given if not _is_blank(block)]
        if kept == given and kept:
            return raw
        if kept:
            return Raw(_encode({**fields, "content": kept}))
    elif content != b"null":
        return raw
    return Raw(_encode({name: value for name, value in fields.items() if name != "content"}))


def _is_blank(raw: Raw) -> bool:
    block = _decode_block(raw)
    return block.type == "text" and not (isinstance(block.text, str) and block.text.strip())


def _stripped(raw: Raw) -> Raw:
    """A message of the model's without white space at its end, which Anthropic refuses where an answer has begun."""
    fields = decode_object(raw)
    content = bytes(fields.get("content", b""))
    if decode_text(fields.get("role", Raw(b'""'))) != "assistant":
        return raw
    if content.startswith(b'"'):
        return Raw(_encode({**fields, "content": decode_text(content).rstrip()}))
    blocks = decode_list(content)
    last = _decode_block(blocks[-1])
    if last.type != "text" or not isinstance(last.text, str):
        return raw
    blocks[-1] = Raw(_encode({**decode_object(blocks[-1]), "text": last.text.rstrip()}))
    return Raw(_encode({**fields, "content": blocks}))
