"""Lists in relayed chunks, as OpenAI's SDKs put them together: each entry has an index.

Their accumulators take no second entry without one. Pieces of the same thought, as OpenRouter writes them, have one
index together, and say but once what is not joined.

Source: https://openrouter.ai/docs/use-cases/reasoning-tokens
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.call import Json
from weebill.wire.errors import UNREADABLE
from weebill.wire.literals import has_any

_THOUGHTS: Final = "reasoning_details"
_NAMES: Final = ("annotations", "images", _THOUGHTS)
_SIGNS: Final = (b'"annotations"', b'"images"', b'"reasoning_details"')
_JOINED: Final = frozenset({b'"reasoning.text"', b'"reasoning.summary"'})
_ONCE: Final = ("id", "format")
_MAX_INDEX: Final = 1 << 20
_encode: Final = msgspec.json.encode
_decode_object: Final = msgspec.json.Decoder(Json).decode
_decode_objects: Final = msgspec.json.Decoder(list[Json]).decode
# Some write it as text, or with a fraction.
_decode_index: Final = msgspec.json.Decoder(int, strict=False).decode


def has_lists(data: bytes) -> bool:
    """True where there may be such a list in a chunk."""
    return has_any(data, _SIGNS)


class _Listed:
    """The entries of one list so far: the next index, and where, of what kind and whose the last one is."""

    __slots__ = ("identity", "kind", "last", "next")

    def __init__(self) -> None:
        self.next = 0
        self.last = -1
        self.kind = b""
        self.identity = b""


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
        return written


def _put(entry: Json, known: _Listed, name: str) -> bool:
    """True where an entry is changed: it lacked its index, or said again what is not joined. Raises `UNREADABLE`."""
    kind, identity = bytes(entry.get("type", b"")), bytes(entry.get("id", b"null"))
    given = bytes(entry.get("index", b"null"))
    if given == b"null":
        joined = kind == known.kind and identity in (b"null", known.identity)
        index = known.last if joined and name == _THOUGHTS and known.next > 0 and kind in _JOINED else known.next
    else:
        index = _decode_index(given)
    again = name == _THOUGHTS and index == known.last and kind == known.kind and kind in _JOINED and known.next > 0
    written = Raw(_encode(index))
    changed = bytes(written) != given
    entry["index"] = written
    if again:
        for once in _ONCE:
            changed = entry.pop(once, None) is not None or changed
    else:
        known.kind, known.identity, known.last = kind, identity, index
        known.next = max(known.next, min(index, _MAX_INDEX) + 1)
    return changed
