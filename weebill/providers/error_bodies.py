"""An upstream's words in an error, in whatever shape: for people, and as far as that goes in OpenAI's terms.

Text, an object or a list; inside each other as those write it who check requests by a schema (Mistral, FastAPI) or put
one API before another; and as RFC 9457 has it. What nobody knows is shown as it is.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object, decode_text
from weebill.wire.literals import EMPTY
from weebill.wire.surrogates import as_utf8

_MESSAGE_LIMIT: Final = 2000
# Where words are, the most telling first: OpenAI's and Cohere's, Python's, OAuth's, Amazon's, and in general.
_WORDS: Final = (
    "message", "msg", "error_description", "error", "detail", "errors", "Message", "error_message", "errorMessage",
    "description", "reason", "title",
)  # fmt: skip
SAYS_NOTHING: Final = EMPTY | {b"false"}
"""Values that say that there is none."""
_MAY_TELL: Final = frozenset({b'"', b"[", b"{"})
_MOST_ENTRIES: Final = 8
_MOST_DEEP: Final = 6
_MOST_DIGITS: Final = 9
# What the field's path begins with in a schema's errors: the part of the request.
_PARTS: Final = frozenset({"body", "query"})

_BODY: Final = "body."

_decode_scalar: Final = msgspec.json.Decoder(str | int | float).decode
_decode_path: Final = msgspec.json.Decoder(list[str | int]).decode


class ErrorDetail(Struct, frozen=True):
    """The inner object; `code` may be a word, or repeat a status."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | float | None = None

    @property
    def word(self) -> str | None:
        """The code, if it is a word: a status repeated tells nothing, and a sentence is none."""
        code = self.code
        return code if isinstance(code, str) and not code.isdecimal() and " " not in code else None

    @property
    def number(self) -> float | None:
        """The code, if it is a number, or the text of one."""
        code = self.code
        if isinstance(code, str):
            return int(code) if code.isdecimal() and len(code) <= _MOST_DIGITS else None
        return code


def said_in(body: bytes) -> ErrorDetail:
    """Reads the body of an error. Nothing in it is taken for words that is empty."""
    text = as_utf8(body).strip()
    return said(Raw(text)) if text[:1] in (b"{", b"[", b'"') else ErrorDetail(shown(text))


def said(raw: Raw, deep: int = 0) -> ErrorDetail:
    """Reads a value that stands where an error's words do."""
    text = bytes(raw)
    if text in SAYS_NOTHING:
        return ErrorDetail()
    try:
        if deep <= _MOST_DEEP:
            match text[:1]:
                case b'"':
                    return ErrorDetail(decode_text(text).strip() or None)
                case b"[":
                    return _listed(text, deep)
                case b"{":
                    return _object(text, deep)
    except UNREADABLE:
        pass
    return ErrorDetail(shown(text))


def shown(text: bytes) -> str | None:
    """The beginning of what is shown as it is; None for nothing."""
    return text[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip() or None


def _listed(text: bytes, deep: int) -> ErrorDetail:
    """Several errors as one: what each says, and what the first is about."""
    entries = [said(entry, deep + 1) for entry in decode_list(text)[:_MOST_ENTRIES]]
    telling = [entry for entry in entries if entry.message]
    if not telling:
        return ErrorDetail(shown(text))
    first = telling[0]
    words = "; ".join([entry.message for entry in telling if entry.message])[:_MESSAGE_LIMIT]
    return ErrorDetail(words, first.type, first.param, first.code)


def _object(text: bytes, deep: int) -> ErrorDetail:
    members = decode_object(text)
    where, param = _path(members), _word(members, "param")
    if param is not None:
        param = param.removeprefix(_BODY)  # vLLM puts a schema's path there
    # A schema's errors have types of their own, and those of RFC 9457 are addresses.
    kind = None if "loc" in members or "title" in members else _word(members, "type")
    code = _scalar(members, "code")
    for name in _WORDS:
        if name not in members or bytes(members[name])[:1] not in _MAY_TELL:
            continue
        inner = said(members[name], deep + 1)
        if inner.message is None:
            kind, code = kind or inner.type, inner.code if code is None else code
            continue
        before = where or (_word(members, "title") if name == "detail" else None)
        message = f"{before}: {inner.message}" if before else inner.message
        # What is inside is nearer to the fault.
        code = code if inner.code is None else inner.code
        return ErrorDetail(message, inner.type or kind, inner.param or param or where, code)
    tells = kind is not None or code is not None or all(bytes(value) in SAYS_NOTHING for value in members.values())
    return ErrorDetail(None if tells else shown(text), kind, param, code)


def _path(members: Json) -> str | None:
    """The field that a schema's error is about, as OpenAI writes it: `messages[0].content`."""
    if "loc" not in members:
        return None
    try:
        steps = _decode_path(members["loc"])
    except UNREADABLE:
        return None
    named = steps[1:] if steps and steps[0] in _PARTS else steps
    return "".join([f"[{step}]" if isinstance(step, int) else f".{step}" for step in named]).lstrip(".") or None


def _word(members: Json, name: str) -> str | None:
    value = _scalar(members, name)
    return value if isinstance(value, str) else None


def _scalar(members: Json, name: str) -> str | int | float | None:
    try:
        return _decode_scalar(members[name]) or None if name in members else None
    except UNREADABLE:
        return None
