"""Marks what of a relayed answer is of worth to its maker alone: signatures and encrypted thoughts.

Clients send them back to whichever provider they ask next. So they go to a client with a mark of who made them; that
provider gets its own without the mark, and others get nothing of them.

Sources: https://openrouter.ai/docs/use-cases/reasoning-tokens (`reasoning_details`),
https://docs.litellm.ai/docs/reasoning_content (`thinking_blocks`) and
https://ai.google.dev/gemini-api/docs/thought-signatures (`extra_content`)
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object, decode_objects, decode_text
from weebill.wire.literals import has_any
from weebill.wire.marks import is_marked, mark_of, unmarked

SIGNATURE: Final = b'"thought_signature"'
DETAILS: Final = "reasoning_details"
BLOCKS: Final = "thinking_blocks"
EXTRA: Final = "extra_content"
FURTHER: Final = "provider_specific_fields"
"""The member in which LiteLLM has its own once more."""
_CALLS: Final = "tool_calls"
_GOOGLE: Final = "google"
_SIGNED: Final = "thought_signature"
_SIGNS: Final = (b'"reasoning_details"', b'"thinking_blocks"', SIGNATURE)
_SEALED: Final = ("signature", "data")
_HOLDERS: Final = ("delta", "message")
_NULL: Final = Raw(b"null")
_APART: Final = b"/"

_encode: Final = msgspec.json.encode


def has_sealed(data: bytes) -> bool:
    """True where there may be any of it in an answer, or in a chunk of one."""
    return has_any(data, _SIGNS)


class Seals:
    """Those of one answer of a provider's."""

    __slots__ = ("_begun", "_mark")

    def __init__(self, provider: str) -> None:
        self._mark = mark_of(provider)
        # Of each choice and member, where it was found last: what is said of the same entry after that goes on there.
        self._begun: dict[tuple[bytes, str], bytes] = {}

    def marked(self, data: bytes) -> bytes:
        """An answer or a chunk with marks. What cannot be read passes."""
        if not self._mark:
            return data
        try:
            fields = decode_object(data)
            choices = decode_objects(fields.get("choices", b"[]"))
            changed = False
            for choice in choices:
                for name in _HOLDERS:
                    if _is_object(choice.get(name, _NULL)):
                        said = decode_object(choice[name])
                        if self._mark_all(said, bytes(choice.get("index", b"0")), whole=name == "message"):
                            choice[name] = Raw(_encode(said))
                            changed = True
        except UNREADABLE:
            return data
        return _encode({**fields, "choices": choices}) if changed else data

    def _mark_all(self, said: Json, choice: bytes, *, whole: bool) -> bool:
        """Mark what a message or a delta holds. True if there was any. Raises what is in `UNREADABLE`."""
        changed = self._mark_extra(said, choice, b"", whole)
        for listed in (DETAILS, BLOCKS):
            if not _is_list(said.get(listed, _NULL)):
                continue
            entries = decode_objects(said[listed])
            found = False
            for entry in entries:
                at = bytes(entry.get("index", b"0"))
                for name in _SEALED:
                    found = self._put(entry, name, choice, at, whole) or found
            if found:
                said[listed] = Raw(_encode(entries))
                changed = True
        if _is_object(said.get(FURTHER, _NULL)) and has_sealed(bytes(said[FURTHER])):
            further = decode_object(said[FURTHER])
            if self._mark_all(further, choice + _APART, whole=whole):
                said[FURTHER] = Raw(_encode(further))
                changed = True
        calls = said.get(_CALLS, _NULL)
        if _is_list(calls) and bytes(calls).find(SIGNATURE) >= 0:
            entries = decode_objects(calls)
            found = False
            for call in entries:
                found = self._mark_extra(call, choice, bytes(call.get("index", b"0")), whole) or found
            if found:
                said[_CALLS] = Raw(_encode(entries))
                changed = True
        return changed

    def _mark_extra(self, holder: Json, choice: bytes, at: bytes, whole: bool) -> bool:
        if not _is_object(holder.get(EXTRA, _NULL)):
            return False
        extra = decode_object(holder[EXTRA])
        if not _is_object(extra.get(_GOOGLE, _NULL)):
            return False
        google = decode_object(extra[_GOOGLE])
        if not self._put(google, _SIGNED, choice, at, whole):
            return False
        extra[_GOOGLE] = Raw(_encode(google))
        holder[EXTRA] = Raw(_encode(extra))
        return True

    def _put(self, entry: Json, name: str, choice: bytes, at: bytes, whole: bool) -> bool:
        """Put the mark before a member, if it is a text that begins here."""
        given = bytes(entry.get(name, b"null"))
        if given[:1] != b'"' or given == b'""':
            return False
        text = decode_text(given)
        if is_marked(text):
            return False
        if not whole:
            if self._begun.get((choice, name)) == at:
                return False
            self._begun[choice, name] = at
        entry[name] = Raw(_encode(self._mark + text))
        return True


def own_detail(entry: Json, provider: str) -> Json | None:
    """An entry of such a list for a provider; None if another has sealed it. Raises what is in `UNREADABLE`."""
    own = entry
    for name in _SEALED:
        given = bytes(entry.get(name, b"null"))
        if given[:1] == b'"':
            text = decode_text(given)
            theirs = unmarked(text, provider)
            if theirs is None:
                return None
            if theirs != text:
                own = own | {name: Raw(_encode(theirs))}
    return own


def own_blocks(holder: Json, provider: str) -> Json:
    """A message without `thinking_blocks` that another provider has sealed. Raises what is in `UNREADABLE`."""
    own = dict(holder)
    if _is_list(own.get(BLOCKS, _NULL)):
        kept = [block for each in decode_objects(own[BLOCKS]) if (block := own_detail(each, provider)) is not None]
        if kept:
            own[BLOCKS] = Raw(_encode(kept))
        else:
            del own[BLOCKS]
    if _is_object(own.get(FURTHER, _NULL)):
        own[FURTHER] = Raw(_encode(own_blocks(decode_object(own[FURTHER]), provider)))
    return own


def own_extra(extra: Raw, provider: str) -> Raw | None:
    """`extra_content` for a provider; None if another has sealed it. Raises what is in `UNREADABLE`."""
    if not _is_object(extra):
        return extra
    fields = decode_object(extra)
    if not _is_object(fields.get(_GOOGLE, _NULL)):
        return extra
    google = decode_object(fields[_GOOGLE])
    given = bytes(google.get(_SIGNED, b"null"))
    if given[:1] != b'"':
        return extra
    text = decode_text(given)
    theirs = unmarked(text, provider)
    if theirs is None or theirs == text:
        return None if theirs is None else extra
    return Raw(_encode(fields | {_GOOGLE: Raw(_encode(google | {_SIGNED: Raw(_encode(theirs))}))}))


def _is_object(raw: Raw) -> bool:
    return bytes(raw)[:1] == b"{"


def _is_list(raw: Raw) -> bool:
    return bytes(raw)[:1] == b"["
