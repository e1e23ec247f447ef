"""The thoughts and signatures of other models, taken out of histories in Google's format that are passed through.

A client that changes models sends back what it was given before, Weebill's marks included, and an upstream whose API it
speaks would refuse that. Messages without a mark are not looked into; what cannot be read is left for the upstream to
judge.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.gemini.encode import UNSIGNED_CALL, is_first_generation
from weebill.wire.call import Json
from weebill.wire.errors import UNREADABLE
from weebill.wire.gemini import ORIGIN
from weebill.wire.gemini_parts import ENCODED_MARK, opened

_MARK: Final = b'"' + ENCODED_MARK.encode()
_SIGNATURES: Final = ("thoughtSignature", "thought_signature")

_encode: Final = msgspec.json.encode
_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_object: Final = msgspec.json.Decoder(Json).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


def own_gemini(contents: Raw, model: str) -> Raw:
    """Google's `contents` for `model`, without the thoughts and signatures of other models."""
    if _MARK not in bytes(contents):
        return contents
    call_signature = None if is_first_generation(model) else UNSIGNED_CALL
    try:
        kept = [each for raw in _decode_list(contents) if (each := _own_content(raw, call_signature)) is not None]
    except UNREADABLE:
        return contents
    return Raw(_encode(kept))


def _own_content(raw: Raw, call_signature: str | None) -> Raw | None:
    if _MARK not in bytes(raw):
        return raw
    fields = _decode_object(raw)
    parts: list[Json] = []
    for part in map(_decode_object, _decode_list(fields["parts"])):
        name = next((name for name in _SIGNATURES if name in part), None)
        if name is not None and opened(_decode_text(part[name])).origin != ORIGIN:
            del part[name]
            if bytes(part.get("thought", b"")) == b"true" or bytes(part.get("text", b"")) == b'""':
                continue
        parts.append(part)
    calls = [part for part in parts if "functionCall" in part or "function_call" in part]
    if calls and call_signature is not None and not any(name in calls[0] for name in _SIGNATURES):
        calls[0][_SIGNATURES[0]] = Raw(_encode(call_signature))
    return Raw(_encode({**fields, "parts": parts})) if parts else None
