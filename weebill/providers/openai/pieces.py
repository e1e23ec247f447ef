"""Answers whose content comes in pieces, as Mistral's do when its models think, as OpenAI's clients read them.

OpenAI's answers have text alone, so that its SDKs cannot take a list: the text of the pieces becomes `content`, the
thinking `reasoning_content`.

Source: https://docs.mistral.ai/capabilities/reasoning/
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.openai.decode import Message
from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_object, decode_objects
from weebill.wire.lenient import leniently

# A list of log probabilities is named so as well; its entries begin otherwise. Some servers have one piece, or texts.
_PIECES: Final = re.compile(rb'"content"\s*:\s*(?:\[\s*(?:"|\{\s*"(?!(?:token|logprob|bytes|top_logprobs)"))|\{)')
_LISTS: Final = (b"[", b"{")
_encode: Final = msgspec.json.encode
_decode_message: Final = msgspec.json.Decoder(Message).decode
_TYPE: Final = b'"type"'


def has_pieces(body: bytes) -> bool:
    """Tells whether any content in a chunk is in pieces; most have nothing with a type at all."""
    return body.find(_TYPE) >= 0 and is_in_pieces(body)


def is_in_pieces(body: bytes) -> bool:
    """Tells whether any content in a completion is."""
    return _PIECES.search(body) is not None


def joined(body: bytes) -> bytes:
    """A completion or a chunk with its content as text. Raises what is in `UNREADABLE`."""
    fields = decode_object(body)
    choices = decode_objects(fields.get("choices", b"[]"))
    for choice in choices:
        for name in ("message", "delta"):
            if name in choice:
                choice[name] = _joined(choice[name])
    return _encode({**fields, "choices": choices})


def _joined(raw: Raw) -> Raw:
    fields = decode_object(raw)
    if not bytes(fields.get("content", b"")).startswith(_LISTS):
        return raw
    text, thought = _read(raw).texts()
    fields["content"] = Raw(_encode(text))
    if thought:
        fields["reasoning_content"] = Raw(_encode(thought))
    return Raw(_encode(fields))


def _read(raw: Raw) -> Message:
    try:
        return _decode_message(raw)
    except UNREADABLE:
        return leniently(bytes(raw), Message)
