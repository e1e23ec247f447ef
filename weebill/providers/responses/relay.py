"""Clients of the Responses API to upstreams that speak it: bytes pass through; only the model's name is put in.

What is kept between requests is kept here (`weebill.apis.responses.state`): upstreams are told to keep nothing, and
the answer says of that what the client asked for. Only events that hold a response or an error are looked into, found
by their literal bytes: inside a JSON text a quote is always escaped.
"""

from __future__ import annotations

from math import inf
from typing import Final, cast

import msgspec
from msgspec import Raw

from weebill.providers.base import Answer, AnswerCollector, ByteStream, Target, UpstreamRequest
from weebill.providers.fit import Fit, Unsupported
from weebill.providers.media import plain_urls
from weebill.providers.naming import named, renamed
from weebill.providers.openai.errors import body_error
from weebill.providers.openai.relay import refusal
from weebill.providers.replayed import Results
from weebill.providers.responses.body import ResponseBody, decode_plain, error_detail, is_answer
from weebill.providers.responses.encode import PATH, reasons
from weebill.providers.responses.errors import not_a_response
from weebill.providers.responses.event import bare_error, decode_event, failed, failure
from weebill.providers.responses.plain import response_events
from weebill.providers.responses.relay_calls import event_with_arguments, with_arguments
from weebill.providers.responses.relay_events import EventRepair
from weebill.providers.responses.relay_fit import fitted
from weebill.providers.responses.relay_shapes import RelayedItem
from weebill.providers.usage import estimate
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, cut
from weebill.wire.json_values import decode_object
from weebill.wire.literals import has_any
from weebill.wire.marks import mark_sealed, unmark_sealed, unmarked
from weebill.wire.reply import Usage
from weebill.wire.responses import decode_items, is_foreign
from weebill.wire.responses_request import ENCRYPTED_REASONING, NULL, ResponsesRequest
from weebill.wire.sse import BOM, EventSplitter, event_data, in_one_line
from weebill.wire.sse import NULL as NOTHING_SAID
from weebill.wire.surrogates import as_utf8, mended

_END: Final = b"\n\n"
_DONE: Final = b"[DONE]"
_FALSE: Final = Raw(b"false")

_encode: Final = msgspec.json.encode
_decode_response: Final = msgspec.json.Decoder(ResponseBody).decode
_ENDED: Final = "response.done"
_LAST: Final = frozenset({"response.completed", "response.incomplete", _ENDED})
_RUNNING: Final = _LAST | {"response.queued", "response.in_progress"}
# What an input holds that has items which may say nothing to an upstream.
_SIGNS: Final = (b'"reasoning"', b'"item_reference"', b'"encrypted_content"')
# Items whose ids an upstream that keeps nothing would look for in vain.
_OWN_IDS: Final = frozenset({None, "message", "function_call", "function_call_output"})
_OUTPUT: Final = "_output"


_decode_item: Final = msgspec.json.Decoder(RelayedItem).decode


class ResponsesRelay:
    """A `Translator` from the Responses API to itself."""

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The body as it came, but for the model's name, what is about keeping it, and what its model refuses."""
        request = cast(ResponsesRequest, call.request)
        fit = Fit(call.on_unsupported(target.on_unsupported))
        given = call.fields.get("input", NULL)
        try:
            fields = {**fitted(call.fields, request, target, fit), "model": Raw(_encode(target.model)), "store": _FALSE}
            text = bytes(given)
            typed = plain_urls(text)
            if typed is not text:
                fields["input"] = given = Raw(typed)
            # The fewest requests have items that say nothing to this upstream, or ids of ours.
            if isinstance(request.input, list) and (request.stored or has_any(bytes(given), _SIGNS)):
                given = Raw(unmark_sealed(bytes(given), target.maker))
                fields["input"] = _input(given, request.stored, fit)
        except Unsupported as unsupported:
            raise refusal(unsupported, target) from unsupported
        if request.stored and reasons(target) and ENCRYPTED_REASONING not in (request.include or ()):
            # Without it, what is kept of the answer could not be sent to this upstream again.
            fields["include"] = Raw(_encode([*(request.include or ()), ENCRYPTED_REASONING]))
        return UpstreamRequest(PATH, _encode(fields), dropped=fit.dropped, maker=target.maker)

    def decode(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        """The body as it came, but for the model's name, and its usage."""
        body = with_arguments(mended(body.removeprefix(BOM)))
        plain = decode_plain(body)
        usage = None if plain is None else plain.usage.usage()
        if plain is None or usage is None:
            return self._decode_odd(call, sent, body)
        if plain.model != call.model:
            body = renamed(body, plain.model, call.answer_name)
        return Answer(mark_sealed(_with_state(call, body), sent.maker), usage)

    def _decode_odd(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        try:
            response = _decode_response(body)
        except UNREADABLE as error:
            raise not_a_response(str(error)) from error
        if response.failed:
            raise failed(response)
        if not is_answer(response):
            raise not_a_response("no output")
        answered = mark_sealed(named(_with_state(call, body), call.answer_name), sent.maker)
        usage = response.reported()
        if usage is not None:
            return Answer(answered, usage)
        return Answer(answered, estimate(call, completion_bytes=len(memoryview(response.output))))

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        return ResponsesRelayStream(call, sent.maker)

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector | None:
        return None

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> UpstreamFailure:
        """The upstream's own error, under a status that blames whom it should."""
        return body_error(status, body, upstream).after(retry_after)


RESPONSES_RELAY: Final = ResponsesRelay()


class ResponsesRelayStream:
    """A `ByteStream` from the Responses API to itself.

    `response` is the Response's JSON once it has come; `failed` the event that says that it failed, if one has.
    """

    __slots__ = (
        "_before", "_call", "_deltas", "_provider", "_repair", "_reported", "_splitter", "error", "failed", "response",
    )  # fmt: skip

    def __init__(self, call: Call, provider: str = "") -> None:
        self._call = call
        self._provider = provider
        self._splitter = EventSplitter()
        self._before = b""
        self._repair = EventRepair(call.model)
        self._deltas = 0
        self._reported: Usage | None = None
        self.error: UpstreamFailure | None = None
        self.failed = b""
        self.response = b""

    @property
    def usage(self) -> Usage:
        """As reported; else estimated at a token for each piece."""
        return self._reported or estimate(self._call, completion_tokens=self._deltas)

    @property
    def begun(self) -> bool:
        """Tells whether a piece of content has come, or the end."""
        return bool(self._deltas) or bool(self.response)

    @property
    def owed_s(self) -> float:
        """Nothing after the event that holds all of the response."""
        return 0.0 if self.response else inf

    def feed(self, data: bytes) -> bytes:
        """The whole events in `data` and what was left of earlier data."""
        return b"".join([self._pass(block) for block in self._splitter.feed(data)])

    def finish(self) -> bytes:
        """The last event. Raises UpstreamFailure unless the response has ended."""
        rest = self._splitter.rest()
        try:
            last = self._whole(rest) if self._splitter.plain else self._pass(rest) if rest else b""
        except UpstreamFailure as error:
            raise cut() from error
        if self.error is not None:
            raise self.error
        if not self.response:
            raise cut()
        return last

    def _whole(self, body: bytes) -> bytes:
        """The bytes to send on for an answer that came in one piece, or for an error that did."""
        try:
            response = _decode_response(body)
            if error_detail(response.error) is not None or not is_answer(response):
                return self._pass(body)
            self._splitter = EventSplitter()
            return self.feed(response_events(with_arguments(body)))
        except UNREADABLE as error:
            raise cut() from error

    def _pass(self, block: bytes) -> bytes:
        """The bytes to send on for one event."""
        if self.error is not None or self.response:
            return b""
        block = event_with_arguments(mark_sealed(in_one_line(block), self._provider), self._before)
        self._before = block
        if block.find(b'"response":') < 0 and block.find(b'error"') < 0:
            if block.find(b'.delta"') >= 0:
                self._deltas += 1
                if self._repair.passes(block):
                    return block + _END
            data = event_data(block)
            if data == NOTHING_SAID:
                return b""
            if data == _DONE and self._repair.complete:
                # As servers of Chat Completions end theirs, when all has been said.
                ended = b'{"type":"response.completed","response":%b}' % self._repair.ended()
                return self._look_into(b"event: response.completed\ndata: " + ended, ended)
            return self._repair.event(block, data) if data.startswith(b"{") else block + _END
        data = event_data(block)
        if not data:
            if block.startswith(b"{"):
                self.error = bare_error(block)
                return b""
            return block + _END
        return self._look_into(block, data)

    def _look_into(self, block: bytes, data: bytes) -> bytes:
        event = decode_event(data)
        response = event.response
        if response is not None:
            self._reported = response.reported() or self._reported
        self.error = failure(event)
        if response is None:
            return block + _END if self.error is None else b""
        shown = self._shown(block, data, event.type)
        if self.error is None:
            return shown
        self.failed = shown
        return b""

    def _shown(self, block: bytes, data: bytes, kind: str) -> bytes:
        """An event that holds a response, as the client is to see it."""
        try:
            fields = decode_object(data)
            body = as_utf8(bytes(fields["response"]))  # all of it is read from here on
            shown = named(_with_state(self._call, with_arguments(body)), self._call.answer_name)
        except UNREADABLE as error:
            raise not_a_response(str(error)) from error
        before = b""
        if kind == "response.created":
            self._repair.begin(shown)
        elif not self._repair.begun and kind in _RUNNING:
            before = self._repair.announced(shown)
        shown = self._repair.called(shown)
        if kind in _LAST:
            self.response = shown
        if kind == _ENDED:
            # What some servers call it; the SDKs do not know that.
            kind = "response.completed"
            fields["type"] = Raw(_encode(kind))
        elif shown is body:
            return before + block + _END
        fields["response"] = Raw(shown)
        return before + b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(fields))


def _with_state(call: Call, body: bytes) -> bytes:
    """A Response that says of what is kept what the client asked for, not what the upstream was told."""
    request = cast(ResponsesRequest, call.request)
    if not request.stored and request.previous_response_id is None:
        return body
    response = decode_object(body)
    response["store"] = Raw(_encode(request.stored))
    response["previous_response_id"] = Raw(_encode(request.previous_response_id))
    return _encode(response)


def _input(given: Raw, stored: bool, fit: Fit) -> Raw:
    """The items without the reasoning of other models and, where they would be `stored`, without ids.

    References lead nowhere: nothing is kept at the target, and those to what is kept here have been replaced.
    """
    sent: list[Raw] = []
    results = Results()
    for raw in decode_items(given):
        try:
            item = _decode_item(raw)
        except UNREADABLE:
            # The upstream says what is wrong with it.
            sent.append(raw)
            continue
        if item.type == "item_reference":
            fit.hint("input.item_reference", "references to items")
            continue
        if item.type == "reasoning" and _is_useless(item):
            continue
        if item.encrypted_content is not None and _is_others(item.encrypted_content):
            fit.hint(f"input.{item.type}", "what another provider has encrypted")
            continue
        if item.call_id is not None and results.come_again(
            item.call_id, is_call=not (item.type or "").endswith(_OUTPUT)
        ):
            fit.hint(f"input.{item.type}", "a tool's result that comes twice")
            continue
        if stored and item.id is not None and item.type in _OWN_IDS:
            fields = decode_object(raw)
            del fields["id"]
            raw = Raw(_encode(fields))
        sent.append(raw)
    return Raw(_encode(sent))


def _is_useless(item: RelayedItem) -> bool:
    """Tells whether an upstream could do nothing with a piece of reasoning: it is another's, or there is but its id."""
    if item.encrypted_content is not None:
        return _is_others(item.encrypted_content)
    return bytes(item.content) in (b"null", b"[]")


def _is_others(content: str) -> bool:
    """Tells whether encrypted content, which bears no mark of the upstream's own any more, is another's."""
    return is_foreign(content) or unmarked(content, "") is None
