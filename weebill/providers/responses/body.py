"""A Response object as upstreams write it: whatever a field holds, no answer is lost for the sake of it.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec
from msgspec import Raw, Struct

from weebill.providers.error_bodies import ErrorDetail, said
from weebill.wire.errors import UNREADABLE
from weebill.wire.reply import FinishReason, Started, Usage
from weebill.wire.responses_items import is_given, is_object, list_of, members_of, text_of
from weebill.wire.responses_request import NULL


class ResponseBody(Struct, frozen=True):
    """The part of a Response that is read."""

    id: Raw = NULL
    model: Raw = NULL
    created_at: Raw = NULL
    status: Raw = NULL
    output: Raw = NULL
    output_text: Raw = NULL
    error: Raw = NULL
    incomplete_details: Raw = NULL
    usage: Raw = NULL

    @property
    def failed(self) -> bool:
        """Tells whether it says that it failed."""
        return text_of(self.status) in _FAILED or error_detail(self.error) is not None

    def started(self) -> Started:
        """The beginning that it is."""
        return Started(text_of(self.id), text_of(self.model), number(self.created_at))

    def finish(self, called: bool, refused: bool) -> FinishReason:
        """The reason for its end; `called` is whether it holds calls, `refused` whether a refusal."""
        if text_of(self.status) == "incomplete":
            return _INCOMPLETE.get(text_of(members_of(self.incomplete_details).get("reason", NULL)), "length")
        if called:
            return "tool_calls"
        return "refusal" if refused else "stop"

    def reported(self) -> Usage | None:
        """The usage that it reports; None where it says nothing, or nothing but zeros."""
        return _usage(self.usage)


class _PlainRead(Struct, frozen=True, gc=False):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class _PlainWritten(Struct, frozen=True, gc=False):
    reasoning_tokens: int = 0


class _PlainUsage(Struct, frozen=True, gc=False):
    """`usage` as OpenAI writes it."""

    input_tokens: int
    output_tokens: int
    input_tokens_details: _PlainRead | None = None
    output_tokens_details: _PlainWritten | None = None

    def usage(self) -> Usage | None:
        """The same in our words; None where there is nothing but zeros."""
        if not self.input_tokens and not self.output_tokens:
            return None
        read, written = self.input_tokens_details, self.output_tokens_details
        cached, cache_write = (read.cached_tokens, read.cache_write_tokens) if read is not None else (0, 0)
        reasoning = written.reasoning_tokens if written is not None else 0
        return Usage.reported(
            self.input_tokens, self.output_tokens, cached=cached, cache_write=cache_write, reasoning=reasoning
        )


class PlainBody(Struct, frozen=True, gc=False):
    """A Response that is complete, and as OpenAI writes it."""

    model: str
    status: Literal["completed", "incomplete"]
    output: Raw
    usage: _PlainUsage
    error: None = None


NOTHING: Final = ResponseBody()
_FAILED: Final = frozenset({"failed", "cancelled"})
_INCOMPLETE: Final[dict[str, FinishReason]] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "content_filter",
}
_ENDED: Final = frozenset({"completed", "complete", "incomplete"})
_MOST: Final = 2**53
_decode_number: Final = msgspec.json.Decoder(float, strict=False).decode
_decode_plain: Final = msgspec.json.Decoder(PlainBody).decode
_decode_usage: Final = msgspec.json.Decoder(_PlainUsage).decode


def number(raw: Raw) -> int:
    """A count that may be written as a fraction or as text; 0 for anything else."""
    try:
        value = _decode_number(raw)
    except UNREADABLE:
        return 0
    return int(value) if math.isfinite(value) and 0 <= value <= _MOST else 0


def error_detail(raw: Raw) -> ErrorDetail | None:
    """An error in whichever form; None for null and for what is empty."""
    return None if bytes(raw) in (b"null", b"{}", b'""', b"false") else said(raw)


def decode_plain(data: bytes) -> PlainBody | None:
    """A Response that can be passed on as it is; None where something may have to be seen to."""
    try:
        return _decode_plain(data)
    except UNREADABLE:
        return None


def _usage(raw: Raw) -> Usage | None:
    if not is_object(raw):
        return None
    try:
        return _decode_usage(raw).usage()
    except UNREADABLE:
        return _odd_usage(raw)


def _odd_usage(raw: Raw) -> Usage | None:
    """The usage in counts of other types, or under other names."""
    fields = members_of(raw)
    prompt = number(fields.get("input_tokens", fields.get("prompt_tokens", NULL)))
    completion = number(fields.get("output_tokens", fields.get("completion_tokens", NULL)))
    if not prompt and not completion:
        return None
    read, written = _details(fields, "input_tokens_details"), _details(fields, "output_tokens_details")
    return Usage.reported(
        prompt,
        completion,
        cached=number(read.get("cached_tokens", NULL)),
        cache_write=number(read.get("cache_write_tokens", NULL)),
        reasoning=number(written.get("reasoning_tokens", NULL)),
    )


def _details(fields: dict[str, Raw], name: str) -> dict[str, Raw]:
    return members_of(fields.get(name, NULL))


def is_answer(body: ResponseBody) -> bool:
    """Tells whether there is an answer in it, rather than the promise of one."""
    status = text_of(body.status)
    if list_of(body.output) or text_of(body.output_text) or status in _ENDED:
        return True
    return not status and is_given(body.output)
