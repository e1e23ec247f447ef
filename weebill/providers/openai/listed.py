"""Lists in relayed chunks, as OpenAI's SDKs put them together: each entry has an index.

Their accumulators take no second entry of any list of objects without one, however far in. Pieces of the same thought,
as OpenRouter writes them, and LiteLLM those of Anthropic's models, have one index together, and say but once what is
not joined.

Sources: https://openrouter.ai/docs/use-cases/reasoning-tokens, https://docs.litellm.ai/docs/reasoning_content
(`thinking_blocks`, which stand in `provider_specific_fields` as well) and
https://console.groq.com/docs/compound (`executed_tools`, whose entries hold lists of their own)
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object, decode_objects
from weebill.wire.literals import BRACKET, SILENT

# A list of objects, but for those that nearly every chunk has, or that others see to.
_OTHERS: Final = (b'"choices":[', b'"tool_calls":[', b'"top_logprobs":[', b'"logprobs":{"content":[')
_LISTS: Final = re.compile(
    rb"\["
    + b"".join(
        [b"(?<!%b)" % re.escape(each) for other in _OTHERS for each in (other, other.replace(b":", b": "))],
    )
    + rb"\s*\{"
)
# Those are put in order by `CallRepair`.
_CALLS: Final = "tool_calls"
_THOUGHTS: Final = frozenset({"reasoning_details", "thinking_blocks"})
_JOINED: Final = frozenset({b'"reasoning.text"', b'"reasoning.summary"', b'"thinking"'})
_ONCE: Final = ("id", "format")
_MAX_INDEX: Final = 1 << 20
_MAX_DEPTH: Final = 8
# How many lists of one stream are kept account of; further ones pass as they come.
_MAX_LISTS: Final = 1024
_MAX_PLACED: Final = 256
# What tells a choice's own lists from those further in.
_APART: Final = b"/"
_encode: Final = msgspec.json.encode
# Some write it as text, or with a fraction.
_decode_index: Final = msgspec.json.Decoder(int, strict=False).decode


def has_lists(data: bytes) -> bool:
    """True where there may be such a list in a chunk."""
    return _LISTS.search(data) is not None


class _Listed:
    """The entries of one list so far: the next index, and where, of what kind and whose the last one is.

    A thought that is `signed` is over. Thoughts of two kinds may come under one index, and are two entries.
    """

    __slots__ = ("_placed", "identity", "kind", "last", "next", "signed")

    def __init__(self) -> None:
        self.next = 0
        self.last = -1
        self.kind = b""
        self.identity = b""
        self.signed = False
        self._placed: dict[tuple[int, bytes], int] = {}

    def place(self, index: int, kind: bytes) -> int:
        """The index of a thought that came under `index`: that one, unless what it has is of another kind."""
        if not kind or (index, kind) in self._placed:
            return self._placed.get((index, kind), index)
        at = self.next if index in self._placed.values() else index
        if len(self._placed) < _MAX_PLACED:
            self._placed[index, kind] = at
        return at


class Lists:
    """Those of one stream."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, _Listed] = {}

    def chunk(self, data: bytes) -> bytes:
        """A chunk as it came if all entries have an index. What cannot be read passes."""
        try:
            fields = decode_object(data)
            choices = decode_objects(fields.get("choices", b"[]"))
            changed = False
            for choice in choices:
                delta = choice.get("delta", Raw(b"null"))
                if not has_lists(bytes(delta)):
                    continue
                written = self._members(bytes(choice.get("index", b"0")), decode_object(delta), 0)
                if written is not None:
                    changed = True
                    choice["delta"] = Raw(_encode(written))
        except UNREADABLE:
            return data
        return _encode({**fields, "choices": choices}) if changed else data

    def _members(self, at: bytes, holder: Json, depth: int) -> Json | None:
        """An object with its lists written anew; None where none is. Raises what is in `UNREADABLE`."""
        written: Json = {}
        for name, given in holder.items():
            text = bytes(given)
            if BRACKET not in text or name == _CALLS:
                continue
            place = b"%b/%b" % (at, name.encode())
            if text[:1] == b"[":
                entries = self._entries(place, text, name, depth)
                if entries is not None:
                    written[name] = Raw(_encode(entries))
            elif text[:1] == b"{" and depth < _MAX_DEPTH:
                inner = self._members(place, decode_object(given), depth + 1)
                if inner is not None:
                    written[name] = Raw(_encode(inner))
        return holder | written if written else None

    def _entries(self, at: bytes, given: bytes, name: str, depth: int) -> list[Json] | None:
        """The entries of a list, written anew; None where they are fine, or no objects. Raises `UNREADABLE`."""
        raws = decode_list(given)
        if not raws or any(bytes(raw)[:1] != b"{" for raw in raws):
            return None
        known = self._known.get(at)
        if known is None:
            if len(self._known) >= _MAX_LISTS:
                return None
            known = self._known[at] = _Listed()
        changed = False
        entries: list[Json] = []
        for raw in raws:
            entry = decode_object(raw)
            changed = _put(entry, known, name) or changed
            if depth < _MAX_DEPTH and BRACKET in bytes(raw):
                inner = self._members(b"%b/%b" % (at, bytes(entry["index"])), entry, depth + 1)
                if inner is not None:
                    entry, changed = inner, True
            entries.append(entry)
        return entries if changed else None


def _put(entry: Json, known: _Listed, name: str) -> bool:
    """True where an entry is changed: it lacked its index, or said again what is not joined."""
    kind, identity = bytes(entry.get("type", b"")), bytes(entry.get("id", b"null"))
    given = bytes(entry.get("index", b"null"))
    index = _index(given)
    if index < 0:
        joined = kind == known.kind and identity in (b"null", known.identity)
        more = joined and name in _THOUGHTS and known.next > 0 and kind in _JOINED and not known.signed
        index = known.last if more else known.next
    elif name in _THOUGHTS:
        index = known.place(index, kind)
    again = name in _THOUGHTS and index == known.last and kind == known.kind and kind in _JOINED and known.next > 0
    written = Raw(_encode(index))
    changed = bytes(written) != given
    entry["index"] = written
    known.signed = bytes(entry.get("signature", b"null")) not in SILENT
    if again:
        for once in _ONCE:
            changed = entry.pop(once, None) is not None or changed
    else:
        known.kind, known.identity, known.last = kind, identity, index
        known.next = max(known.next, min(index, _MAX_INDEX) + 1)
    return changed


def _index(given: bytes) -> int:
    """An index that a list can have; -1 for anything else."""
    try:
        return max(-1, _decode_index(given))
    except UNREADABLE:
        return -1
