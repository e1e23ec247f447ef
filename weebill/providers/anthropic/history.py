"""The thinking of other models, taken out of histories in Anthropic's format that are passed through.

A client that changes models sends back what it was given before, Weebill's marks included, and an upstream whose API it
speaks would refuse that. Messages without a mark are not looked into; what cannot be read is left for the upstream to
judge.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.anthropic import Opaque
from weebill.wire.call import Json
from weebill.wire.errors import UNREADABLE

_MARK: Final = b'"weebill:'
_THINKING: Final = frozenset({"thinking", "redacted_thinking"})

_encode: Final = msgspec.json.encode
_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_object: Final = msgspec.json.Decoder(Json).decode


class _Block(Struct, frozen=True):
    """A block of Anthropic's, as far as it may be another's thinking."""

    type: str = ""
    signature: str | None = None
    data: str | UnsetType | None = UNSET


_decode_block: Final = msgspec.json.Decoder(_Block).decode


def own_anthropic(messages: Raw) -> Raw:
    """Anthropic's `messages` without the thinking of other models."""
    if _MARK not in bytes(messages):
        return messages
    try:
        kept = [each for raw in _decode_list(messages) if (each := _own_message(raw)) is not None]
    except UNREADABLE:
        return messages
    return Raw(_encode(kept))


def _own_message(raw: Raw) -> Raw | None:
    """None if nothing is left of it."""
    if _MARK not in bytes(raw):
        return raw
    fields = _decode_object(raw)
    if not bytes(fields["content"]).startswith(b"["):
        return raw
    blocks = [block for block in _decode_list(fields["content"]) if not _is_foreign(block)]
    return Raw(_encode({**fields, "content": blocks})) if blocks else None


def _is_foreign(raw: Raw) -> bool:
    if _MARK not in bytes(raw):
        return False
    block = _decode_block(raw)
    sealed = block.signature if block.type == "thinking" else block.data
    return block.type in _THINKING and isinstance(sealed, str) and Opaque.read(sealed) != Opaque(sealed)
