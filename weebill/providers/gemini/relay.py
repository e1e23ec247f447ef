"""Clients of the Gemini API to upstreams that speak it: bytes pass through; the model is in the path.

Upstreams are always asked for server-sent events; a client that asked for a JSON array gets their data as its items.
Only events that hold an end or an error are looked into, and the last one with a usage, found by their literal bytes:
inside a JSON text a quote is always escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.base import (
    LATE_S,
    LINGER_S,
    SETTLE_S,
    Answer,
    AnswerCollector,
    ByteStream,
    Target,
    Unsupported,
    UpstreamRequest,
)
from weebill.providers.fit import Fit
from weebill.providers.gemini.decode import not_an_answer
from weebill.providers.gemini.errors import body_error, status_error
from weebill.providers.gemini.history import marked, own_gemini
from weebill.providers.gemini.paths import Path, gemini_path, generating
from weebill.providers.gemini.relay_shapes import Piece, Whole
from weebill.providers.gemini.stream import DONE, PieceSplitter, piece_data
from weebill.providers.gemini.thinking import fit_thinking, is_first_generation
from weebill.providers.gemini.whole import joined
from weebill.providers.media import plainly_typed
from weebill.providers.naming import MODEL_VERSION, named, renamed
from weebill.providers.replayed import gemini_once
from weebill.providers.usage import estimate
from weebill.wire.call import Call
from weebill.wire.conversation import Maker
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.failure import UpstreamFailure, cut
from weebill.wire.gemini import NUMBERED_REASONS, ORIGIN, given
from weebill.wire.gemini_request import GeminiRequest, ThinkingConfig, listed, wants_array
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object
from weebill.wire.lenient import reader
from weebill.wire.literals import CR, LF
from weebill.wire.reply import Usage
from weebill.wire.sse import NULL

_END: Final = b"\r\n\r\n"
# For a comment, which Google's SDKs take for JSON.
_ALIVE: Final = b"\r\n"
_encode: Final = msgspec.json.encode


_decode_piece: Final = reader(Piece)
_decode_whole: Final = reader(Whole)
_format: Final = msgspec.json.format

_CONFIG: Final = "generationConfig"
_REASON: Final = b'"finishReason"'
_LONGEST_REASON: Final = 64
_BETWEEN: Final = b": \t\r\n"
_NUMBERED: Final = re.compile(rb'("finishReason"\s*:\s*)(\d{1,3})(?=[\s,}])')
# What fields that are fitted to a model are called here.
_NAMES: Final = {"reasoning": f"{_CONFIG}.thinkingConfig", "max_tokens": f"{_CONFIG}.maxOutputTokens"}
_THINKING: Final = frozenset(field.encode_name for field in msgspec.structs.fields(ThinkingConfig))


def _reasons_by_name(data: bytes) -> bytes:
    """JSON with the names of reasons whose numbers some write: Google's SDKs die of a number."""
    # A search for plain bytes costs a tenth of the expression's.
    at = data.find(_REASON)
    while at >= 0:
        if data[at + len(_REASON) : at + _LONGEST_REASON].lstrip(_BETWEEN)[:1].isdigit():
            return _NUMBERED.sub(_by_name, data)
        at = data.find(_REASON, at + len(_REASON))
    return data


def _by_name(found: re.Match[bytes]) -> bytes:
    number = int(found[2])
    name = NUMBERED_REASONS[number] if number < len(NUMBERED_REASONS) else "OTHER"
    return found[1] + f'"{name}"'.encode()


class GeminiRelay:
    """From the Gemini API to one of Google's: `origin` marks what is opaque, `path` is where its models are."""

    def __init__(self, origin: Maker, path: Path) -> None:
        self._origin = origin
        self._path = path

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The body as it came, but for what other models want back, and what the model is known to refuse."""
        fields = call.fields
        again: Sequence[str] = ()
        if "contents" in fields:
            signs = not is_first_generation(target.traits)
            contents = fields["contents"]
            text = bytes(contents)
            if isinstance(call.request, GeminiRequest):
                contents, again = gemini_once(contents, text, listed(call.request.body.contents))
            if again:
                text = bytes(contents)
            typed = plainly_typed(text)
            if typed is not text:
                contents, text = Raw(typed), typed
            contents = own_gemini(contents, text, target.maker or self._origin, signs)
            if contents is not fields["contents"]:
                fields = {**fields, "contents": contents}
        dropped: tuple[str, ...] = ()
        if again or _CONFIG in fields:
            fit = Fit(call.on_unsupported(target.on_unsupported))
            try:
                for where in again:
                    fit.hint(where, "a function's result that comes twice")
                if _CONFIG in fields:
                    fields = _fitted(fields, call, target, fit)
            except Unsupported as unsupported:
                raise _refusal(unsupported, target) from unsupported
            if fit.dropped:
                dropped = tuple([_NAMES.get(name, name) for name in fit.dropped])
        path = self._path(target, generating(call.stream))
        return UpstreamRequest(path, _encode(fields), dropped=dropped, maker=target.maker)

    def decode(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        """The body as it came, but for the model's name and whose its signatures are, and its usage."""
        try:
            body = joined(body)
            whole = _decode_whole(body)
        except UNREADABLE as error:
            raise not_an_answer(str(error)) from error
        if whole.error is not None:
            raise status_error(whole.error)
        if not whole.candidates and given(whole.prompt_feedback) is None:
            raise not_an_answer("it has no candidates")
        body = renamed(_reasons_by_name(body), whole.model_version, call.answer_name, MODEL_VERSION)
        body = marked(body, sent.maker)
        usage = None if whole.usage_metadata is None else whole.usage_metadata.usage()
        if usage is not None and _says_something(usage):
            return Answer(body, usage)
        return Answer(body, estimate(call, completion_bytes=sum(len(memoryview(c)) for c in whole.candidates or ())))

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        return GeminiRelayStream(call, sent.maker)

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector | None:
        return None

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> UpstreamFailure:
        """Google's own error, under a status that blames whom it should."""
        return body_error(status, body, upstream).after(retry_after)


def _fitted(fields: Json, call: Call, target: Target, fit: Fit) -> Json:
    """The request's fields as the model takes them. Raises Unsupported."""
    config = call.request.body.generation_config if isinstance(call.request, GeminiRequest) else None
    if config is None:
        return fields
    changes: dict[str, Raw | None] = {}
    limit, asked = target.max_output_tokens, config.max_output_tokens
    if limit is not None and asked is not None and asked > limit:
        fit.hint("max_tokens", f"more than {limit} tokens")
        changes["maxOutputTokens"] = Raw(_encode(limit))
    thinking = config.thinking_config
    if thinking is not None:
        fitted = fit_thinking(thinking, target.traits, fit)
        if fitted is not thinking:
            raw = decode_object(decode_object(fields[_CONFIG])["thinkingConfig"])
            rest = {name: value for name, value in raw.items() if name not in _THINKING}
            known = {} if fitted is None else decode_object(_encode(fitted))
            changes["thinkingConfig"] = None if fitted is None else Raw(_encode({**rest, **known}))
    if not changes:
        return fields
    written = {name: raw for name, raw in decode_object(fields[_CONFIG]).items() if name not in changes}
    written |= {name: raw for name, raw in changes.items() if raw is not None}
    return {**fields, _CONFIG: Raw(_encode(written))}


def _refusal(unsupported: Unsupported, target: Target) -> ApiError:
    param = _NAMES.get(unsupported.field, unsupported.field)
    message = f"'{target.model}' does not support {unsupported.what}."
    return ApiError(400, message, code="unsupported_parameter", param=param)


def _says_something(usage: Usage) -> bool:
    """Tells whether a report is one: no prompt is of no tokens."""
    return usage.prompt_tokens > 0 or usage.completion_tokens > 0


GEMINI_RELAY: Final = GeminiRelay(ORIGIN, gemini_path)


class GeminiRelayStream:
    """A `ByteStream` from the Gemini API to itself."""

    __slots__ = (
        "_array",
        "_call",
        "_choices",
        "_done",
        "_events",
        "_gradual",
        "_name",
        "_open",
        "_pieces",
        "_premature",
        "_provider",
        "_sent",
        "_settled",
        "_usage",
        "error",
    )  # fmt: skip

    def __init__(self, call: Call, provider: Maker = "") -> None:
        self._call = call
        self._provider = provider
        self._array = wants_array(call)
        self._name = call.answer_name
        self._choices = call.request.choices
        self._pieces = PieceSplitter()
        self._events = 0
        self._sent = False
        self._done = False
        self._premature = False  # whether anything was said after a reason for the end
        self._open: dict[int, bool] = {}
        self._gradual = False  # whether a candidate went on without a reason for the end
        self._settled = False  # whether what was used came with such a candidate's end, or later
        self._usage = b""
        self.error: UpstreamFailure | None = None

    @property
    def usage(self) -> Usage:
        """As last reported; else estimated at a token for each event."""
        if self._usage:
            try:
                reported = _decode_piece(self._usage).usage_metadata
            except UNREADABLE:
                reported = None
            usage = None if reported is None else reported.usage()
            if usage is not None and _says_something(usage):
                return usage
        return estimate(self._call, completion_tokens=self._events)

    @property
    def begun(self) -> bool:
        """Tells whether a candidate has come, or word that there will be none."""
        return bool(self._open)

    @property
    def owed_s(self) -> float:
        """These streams have no last event, and some models name a reason for the end in every piece."""
        if self._done:
            return 0.0
        if self._premature or not self._open or any(self._open.values()):
            return inf
        if len(self._open) < self._choices:
            return LATE_S
        return SETTLE_S if self._settled else LINGER_S

    def feed(self, data: bytes) -> bytes:
        """The whole events in `data` and what was left of earlier data."""
        return b"".join([self._pass(block) for block in self._pieces.feed(data)])

    def finish(self) -> bytes:
        """The end of an array. Raises UpstreamFailure unless every candidate has ended."""
        last = b"".join([self._pass(block) for block in self._pieces.rest()])
        if self.error is not None:
            return last
        if not self._open or (any(self._open.values()) and not self._done):
            raise cut()
        return last + b"]" if self._array else last

    def _pass(self, block: bytes) -> bytes:
        """The bytes to send on for one event."""
        if self.error is not None:
            return b""
        data = piece_data(block)
        if not data or data == NULL:
            return _ALIVE
        if data == DONE:
            self._done = True
            return b""
        if data[:1] == b"[":
            try:
                return b"".join([self._pass_on(bytes(item), b"") for item in decode_list(data)])
            except UNREADABLE as error:
                raise not_an_answer(str(error)) from error
        return self._pass_on(data, block)

    def _pass_on(self, data: bytes, block: bytes) -> bytes:
        """The bytes to send on for one response, whose event is `block`, if it is one."""
        if self.error is not None:
            return b""
        self._events += 1
        ended = self._open and not any(self._open.values()) and len(self._open) >= self._choices
        if ended and data.find(b'"parts"') >= 0:
            self._premature = True
        if data.find(b'"usageMetadata"') >= 0:
            self._usage = data
        ends = data.find(b'"finishReason"') >= 0
        if (
            ends
            or self._choices > 1
            or not self._open
            or data.find(b'"error"') >= 0
            or data.find(b'"promptFeedback"') >= 0
        ):
            error = self._inspect(data)
            if error is not None:
                self.error = error
                return b""
        if self._usage is data:
            self._settled = self._gradual and not any(self._open.values())
        whole = _reasons_by_name(data) if ends else data
        written = marked(named(whole, self._name, MODEL_VERSION), self._provider)
        if LF in written or CR in written:
            # Clients read an event's data line by line.
            written = _format(written, indent=-1)
        if self._array:
            start, self._sent = (b",\r\n" if self._sent else b"["), True
            return start + written
        if written is data and block.startswith(b"data:"):
            return block + _END if LF not in block else block.replace(b"\n", b"\r\n") + _END
        return b"data: " + written + _END

    def _inspect(self, data: bytes) -> UpstreamFailure | None:
        """Take note of which candidates are under way and which have ended; the error that the event is, if it is."""
        try:
            piece = _decode_piece(data)
        except UNREADABLE as error:
            raise not_an_answer(str(error)) from error
        if piece.error is not None:
            return status_error(piece.error)
        if given(piece.prompt_feedback) is not None and not piece.candidates:
            self._open.setdefault(0, False)
        for candidate in piece.candidates or ():
            if candidate.finish_reason is not None:
                self._open[candidate.index] = False
            else:
                self._open.setdefault(candidate.index, True)
                self._gradual = True
        return None
