"""Lists in relayed chunks, as OpenAI's SDKs put them together: each entry has an index.

Their accumulators take no second entry without one. Pieces of the same thought, as OpenRouter writes them, and LiteLLM
those of Anthropic's models, have one index together, and say but once what is not joined.

Sources: https://openrouter.ai/docs/use-cases/reasoning-tokens and https://docs.litellm.ai/docs/reasoning_content
(`thinking_blocks`, which stand in `provider_specific_fields` as well)
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.literals import has_any

_NAMES: Final = ("annotations", "images", "reasoning_details", "thinking_blocks")
_SIGNS: Final = (b'"annotations"', b'"images"', b'"reasoning_details"', b'"thinking_blocks"')
_FURTHER: Final = "provider_specific_fields"
_THOUGHTS: Final = frozenset({"reasoning_details", "thinking_blocks"})
_JOINED: Final = frozenset({b'"reasoning.text"', b'"reasoning.summary"', b'"thinking"'})
_NOTHING: Final = frozenset({b"null", b'""'})
_ONCE: Final = ("id", "format")
_MAX_INDEX: Final = 1 << 20
# What tells a choice's own lists from those further in.
_APART: Final = b"/"
_encode: Final = msgspec.json.encode
_decode_object: Final = msgspec.json.Decoder(Json).decode
_decode_objects: Final = msgspec.json.Decoder(list[Json]).decode
# Some write it as text, or with a fraction.
_decode_index: Final = msgspec.json.Decoder(int, strict=False).decode


def has_lists(data: bytes) -> bool:
    """True where there may be such a list in a chunk."""
    return has_any(data, _SIGNS)


class _Listed:
    """The entries of one list so far: the next index, and where, of what kind and whose the last one is.

    A thought that is `signed` is over.
    """

    __slots__ = ("identity", "kind", "last", "next", "signed")

    def __init__(self) -> None:
        self.next = 0
        self.last = -1
        self.kind = b""
        self.identity = b""
        self.signed = False


class Lists:
    """Those of one stream."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, str], _Listed] = {}

    def chunk(self, data: bytes) -> bytes:
        """A chunk as it came if all entries have an index. What cannot be read passes."""
        try:
            fields = _decode_object(data)
            choices = _decode_objects(fields.get("choices", b"[]"))
            changed = False
            for choice in choices:
                if bytes(choice.get("delta", b"null")) == b"null":
                    continue
                delta = _decode_object(choice["delta"])
                index = bytes(choice.get("index", b"0"))
                written = self._delta(index, delta)
                if written:
                    changed = True
                    choice["delta"] = Raw(_encode({**delta, **written}))
        except UNREADABLE:
            return data
        return _encode({**fields, "choices": choices}) if changed else data

    def _delta(self, choice: bytes, delta: Json) -> Json:
        """The lists of a delta that are to be written anew. Raises what is in `UNREADABLE`."""
        written: Json = {}
        for name in _NAMES:
            given = bytes(delta.get(name, b"null"))
            if given in (b"null", b"[]"):
                continue
            entries = _decode_objects(given)
            known = self._known.get((choice, name))
            if known is None:
                known = self._known[choice, name] = _Listed()
            changed = False
            for entry in entries:
                changed = _put(entry, known, name) or changed
            if changed:
                written[name] = Raw(_encode(entries))
        further = bytes(delta.get(_FURTHER, b"null"))
        if further[:1] == b"{" and has_lists(further):
            fields = _decode_object(further)
            inner = self._delta(choice + _APART, {name: fields[name] for name in _NAMES if name in fields})
            if inner:
                written[_FURTHER] = Raw(_encode({**fields, **inner}))
        return written


def _put(entry: Json, known: _Listed, name: str) -> bool:
    """True where an entry is changed: it lacked its index, or said again what is not joined. Raises `UNREADABLE`."""
    kind, identity = bytes(entry.get("type", b"")), bytes(entry.get("id", b"null"))
    given = bytes(entry.get("index", b"null"))
    if given == b"null":
        joined = kind == known.kind and identity in (b"null", known.identity)
        more = joined and name in _THOUGHTS and known.next > 0 and kind in _JOINED and not known.signed
        index = known.last if more else known.next
    else:
        index = _decode_index(given)
    again = name in _THOUGHTS and index == known.last and kind == known.kind and kind in _JOINED and known.next > 0
    written = Raw(_encode(index))
    changed = bytes(written) != given
    entry["index"] = written
    known.signed = bytes(entry.get("signature", b"null")) not in _NOTHING
    if again:
        for once in _ONCE:
            changed = entry.pop(once, None) is not None or changed
    else:
        known.kind, known.identity, known.last = kind, identity, index
        known.next = max(known.next, min(index, _MAX_INDEX) + 1)
    return changed
