"""Histories in Google's format that are passed through: without the thoughts and signatures of other models.

A client that changes models sends back what it was given before, Weebill's marks included, and an upstream whose API it
speaks would refuse that. So signatures are marked with the provider on their way out, and without the mark on their way
back. From Gemini 3 on the first call of each step needs a signature: where another model made it,
and so there is none, it gets the one that Google documents for that. Messages with nothing to change keep every byte;
what cannot be read is left for the upstream to judge.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.gemini.contents import UNSIGNED_CALL
from weebill.wire.conversation import Maker
from weebill.wire.errors import UNREADABLE
from weebill.wire.gemini import ORIGIN
from weebill.wire.gemini_parts import ENCODED_MARK, opened, sealed
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object, decode_text
from weebill.wire.literals import SILENT

_MARK: Final = b'"' + ENCODED_MARK.encode()
_SIGNATURES: Final = ("thoughtSignature", "thought_signature")
_CALLS: Final = ("functionCall", "function_call")
_CALL_MARKS: Final = (b'"functionCall"', b'"function_call"')
_MODEL: Final = b'"model"'
_SIGNATURE: Final = b'"thoughtSignature"'
_SIGNED: Final = re.compile(rb'("thoughtSignature"\s*:\s*")([A-Za-z0-9+/=_-]+)"')

_encode: Final = msgspec.json.encode


def own_gemini(contents: Raw, text: bytes, origin: Maker, signs_calls: bool) -> Raw:
    """Google's `contents`, which `text` is, for the provider that marks its own with `origin`.

    `signs_calls` is whether the model refuses calls without a signature.
    """
    # `find`, since `in` first takes what is sought for a number.
    looks = signs_calls and (text.find(_CALL_MARKS[0]) >= 0 or text.find(_CALL_MARKS[1]) >= 0)
    if not looks and text.find(_MARK) < 0:
        return contents
    changed = False
    step_called = False
    kept: list[Raw] = []
    try:
        for raw in decode_list(text):
            data = bytes(raw)
            marked = _MARK in data
            called = any(mark in data for mark in _CALL_MARKS)
            if not marked and not called:
                step_called = step_called and _is_models(raw)
                kept.append(raw)
                continue
            fields = decode_object(raw)
            by_model = bytes(fields.get("role", b"")) == _MODEL
            parts, other = _own_parts(fields["parts"], origin) if marked else (_parts(fields["parts"]), False)
            calls = [part for part in parts if any(name in part for name in _CALLS)]
            if signs_calls and by_model and calls and not step_called and not _signed(calls[0]):
                calls[0][_SIGNATURES[0]] = Raw(_encode(UNSIGNED_CALL))
                other = True
            step_called = by_model and (step_called or bool(calls))
            changed = changed or other
            if parts:
                kept.append(Raw(_encode({**fields, "parts": parts})) if other else raw)
    except (*UNREADABLE, KeyError):
        return contents
    return Raw(_encode(kept)) if changed else contents


def marked(data: bytes, provider: Maker) -> bytes:
    """An answer whose signatures bear the mark of the very provider that made them; the Gemini API's own need none.

    >>> marked(b'{"thoughtSignature": "QUJD"}', "vertex")
    b'{"thoughtSignature": "d2VlYmlsbDp2ZXJ0ZXg6UVVKRA=="}'
    """
    if provider in ("", ORIGIN) or data.find(_SIGNATURE) < 0:
        return data
    return _SIGNED.sub(lambda found: found[1] + sealed(provider, found[2].decode()).encode() + b'"', data)


def _is_models(raw: Raw) -> bool:
    return bytes(decode_object(raw).get("role", b"")) == _MODEL


def _signed(part: Json) -> bool:
    return any(name in part and bytes(part[name]) not in SILENT for name in _SIGNATURES)


def _parts(raw: Raw) -> list[Json]:
    return [decode_object(part) for part in decode_list(raw)]


def _own_parts(raw: Raw, origin: Maker) -> tuple[list[Json], bool]:
    """The parts without what is opaque of others, and whether that changes them."""
    parts: list[Json] = []
    changed = False
    for part in _parts(raw):
        name = next((name for name in _SIGNATURES if name in part), None)
        if name is not None:
            text = decode_text(part[name])
            held = opened(text)
            if held.origin == origin and held.signature is not None and held.signature != text:
                part[name] = Raw(_encode(held.signature))
                changed = True
            elif held.origin not in (ORIGIN, origin):
                del part[name]
                changed = True
                if bytes(part.get("thought", b"")) == b"true" or bytes(part.get("text", b"")) == b'""':
                    continue
        parts.append(part)
    return parts, changed
