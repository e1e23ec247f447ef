"""Translates any client API to any dialect: bytes are relayed if both speak the same format, else the canonical form is
between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from time import sleep
from typing import Final

import msgspec

from weebill.apis.base import Api, is_beyond
from weebill.gateway.bridge_stream import FURTHER_CHOICE, BridgeStream, unreadable
from weebill.gateway.field_names import called
from weebill.gateway.for_client import ForClient
from weebill.gateway.image_parts import with_images
from weebill.gateway.one_call import FirstCalls, wants_one_call
from weebill.gateway.origins import MakerNames
from weebill.gateway.stops import UntilStop
from weebill.gateway.tool_names import NO_TOOLS, fit_names
from weebill.providers.base import (
    Answer,
    AnswerCollector,
    ByteStream,
    Dialect,
    ReadsByRequest,
    SaysItsFailure,
    SaysWhenOver,
    StreamDecoder,
    Target,
    Translator,
    Unsupported,
    UpstreamRequest,
)
from weebill.providers.fit import Fit
from weebill.providers.made_media import SHOWN_BY, fit_made
from weebill.providers.model_fit import fit_to_model, may_stop
from weebill.providers.part_relay import PartRelay, TakesSome
from weebill.providers.present_schema import with_present_schemas
from weebill.providers.registry import STREAMS_ONLY, relay
from weebill.providers.registry import dialect as registry_dialect
from weebill.providers.usage import estimate
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation, Reasoning, Text, ToolResult, ToolUse
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Event, Reply, Usage
from weebill.wire.surrogates import as_utf8

# Fields of a conversation without which it would be another request; they are never dropped.
_SUBSTANCE: Final = frozenset({"turns", "tools"})
_ALWAYS_SUPPORTED: Final = frozenset({"turns", "hints", "extra"})
# A few dozen: one for each API and kind of upstream.
_TRANSLATORS: Final[dict[tuple[str, str, frozenset[str]], Translator]] = {}
# Every piece of an answer is searched for each of them.
_MOST_STOPS: Final = 64
_NOTHING_ASKED: Final = Conversation(turns=())
# The most rewrites of a request without a field that its dialect cannot write: one for each field.
_MAX_TRIES: Final = len(Conversation.__struct_fields__) + 8
_DEFAULTS: Final = {field: getattr(_NOTHING_ASKED, field) for field in Conversation.__struct_fields__}


def translator(api: Api, dialect: str, spoken: frozenset[str]) -> Translator:
    """Returns the translator from an API to a deployment of `dialect`, whose upstream also speaks `spoken`."""
    key = (api.name, dialect, spoken)
    known = _TRANSLATORS.get(key)
    if known is None:
        known = _TRANSLATORS[key] = _translator(api, dialect, spoken)
    return known


def _translator(api: Api, dialect: str, spoken: frozenset[str]) -> Translator:
    found = relay(api.native, _relayed(api, dialect, spoken))
    if found is None:
        return _bridge(api, dialect)
    return PartRelay(found, _bridge(api, dialect)) if isinstance(found, TakesSome) else found


def _relayed(api: Api, dialect: str, spoken: frozenset[str]) -> str:
    """Returns the dialect to which the API's requests can be relayed unchanged; else `dialect`."""
    names = (dialect, *sorted(spoken - {dialect}))
    return next((name for name in names if relay(api.native, name) is not None), dialect)


def from_events(
    translate: Translator,
    api: Api,
    dialect: str,
    spoken: frozenset[str],
    call: Call,
    sent: UpstreamRequest,
    body: bytes,
) -> Answer:
    """Returns the complete answer from the events of an upstream that streams unasked. Raises UpstreamFailure if there
    is none.

    `translate` encoded the request; the other arguments are those of `translator`.
    """
    if isinstance(translate, Bridge):
        bridge = translate
    else:
        bridge = _bridge(api, _relayed(api, dialect, spoken) if sent.asked is None else dialect)
    collector = _Collector(bridge, call, bridge._decoder(sent), bridge._for_client(sent))
    try:
        collector.feed(as_utf8(body))
        if collector.error is not None:
            raise collector.error
        return collector.finish()
    except UNREADABLE as error:
        raise unreadable(error) from error


def _bridge(api: Api, dialect: str) -> Bridge:
    return Bridge(api, registry_dialect(dialect), dialect, streams_only=dialect in STREAMS_ONLY)


class Bridge:
    """A `Translator` through the canonical form.

    `name` is the dialect's. With `streams_only`, the upstream is asked for a stream even if the client is not.
    """

    def __init__(self, api: Api, dialect: Dialect, name: str = "", *, streams_only: bool = False) -> None:
        self._api = api
        self._dialect = dialect
        self._dialect_name = name
        self._names = api.fields()
        self._shows_images = name in SHOWN_BY
        self._takes_extra = "extra" in dialect.supported
        self._takes_hints = "hints" in dialect.supported
        words = dialect.supported | _ALWAYS_SUPPORTED
        self._lacking = tuple((field, default) for field, default in _DEFAULTS.items() if field not in words)
        self._stops = "stop" in words
        self._streams_only = streams_only
        self._by_request = dialect if isinstance(dialect, ReadsByRequest) else None

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """Returns the request for the upstream. Raises ApiError 400, naming the client's field, if the target cannot do
        it, or UpstreamFailure if it is known to fail.
        """
        fit = Fit(call.on_unsupported(target.on_unsupported))
        stream = call.stream or self._streams_only
        try:
            if fit.policy == "drop" and not call.drop_params:
                # The API's own decoding then drops as much.
                call = call.replaced(own=msgspec.structs.replace(call.own, drop_params=True))
            asked = with_present_schemas(self._conversation(call))
            if call.images:
                asked = with_images(asked, call.images)
            if call.big:
                sleep(0)  # lets the event loop take its turn
            shows = self._shows_images or target.quirks.model_images
            asked = fit_made(asked, self._dialect_name, fit, shows=shows)
            stops: tuple[str, ...] = ()
            if asked.stop and not (self._stops and may_stop(target)):
                asked, stops = msgspec.structs.replace(asked, stop=()), _ended_at(asked.stop)
            replays = _replays(asked)
            if replays:
                asked = MakerNames(self._dialect.family, target.maker).conversation(asked)
            conversation, tools = self._fit(asked, target, fit), NO_TOOLS
            if replays or conversation.tools:
                conversation, tools = fit_names(conversation, self._dialect_name, replays=replays)
            if call.big:
                sleep(0)
            for _ in range(_MAX_TRIES):
                try:
                    sent = self._dialect.encode(conversation, target, fit, stream=stream)
                except Unsupported as unsupported:
                    if unsupported.field == "stop" and conversation.stop:
                        stops = _ended_at(conversation.stop)
                        conversation = msgspec.structs.replace(conversation, stop=())
                    else:
                        conversation = _without(conversation, unsupported, fit)
                except ApiError as error:  # names a canonical field
                    name = error.detail.param
                    raise error if name is None else error.about(called(name, self._names, call)) from error
                except UpstreamFailure as failure:  # known beforehand
                    raise self._about_clients(failure) from failure
                else:
                    return self._sent(call, sent, conversation, fit, tools, target.maker, stops)
            raise Unsupported("extra", "that many fields")
        except Unsupported as unsupported:
            raise self._refusal(call, unsupported, target) from unsupported

    def decode(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        """Returns the answer in the client's format. Raises UpstreamFailure if `body` is none."""
        try:
            reply = self._for_client(sent).reply(self._decoded(sent, as_utf8(body)))
            return self._render(call, reply)
        except UNREADABLE as error:
            raise unreadable(error) from error

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        return BridgeStream(call, self._decoder(sent), self._api.stream(call), self._for_client(sent))

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector | None:
        return _Collector(self, call, self._decoder(sent), self._for_client(sent)) if self._streams_only else None

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> UpstreamFailure:
        """Returns the upstream's error, about the client's field."""
        return self._about_clients(self._dialect.error(status, body, upstream).after(retry_after))

    def _about_clients(self, error: UpstreamFailure) -> UpstreamFailure:
        name = self._names.get(error.param or "")
        return error if name is None else error.about(name)

    def _conversation(self, call: Call) -> Conversation:
        return self._api.conversation(call)

    def _for_client(self, sent: UpstreamRequest) -> ForClient:
        return ForClient(self._dialect.family, sent, self._api.unsaid)

    def _decoder(self, sent: UpstreamRequest) -> StreamDecoder:
        if self._by_request is None or sent.asked is None:
            decoder = self._dialect.stream()
        else:
            decoder = self._by_request.stream_for(sent.asked)
        if sent.stops:
            decoder = UntilStop(decoder, sent.stops)
        return FirstCalls(decoder) if wants_one_call(sent) else decoder

    def _decoded(self, sent: UpstreamRequest, body: bytes) -> Reply:
        if self._by_request is None or sent.asked is None:
            return self._dialect.decode(body)
        return self._by_request.decode_for(sent.asked, body)

    def _render(self, call: Call, reply: Reply) -> Answer:
        if not reply.usage.measured or (not reply.usage.completion_tokens and _says_anything(reply)):
            reply = msgspec.structs.replace(reply, usage=_estimated(call, reply))
        reply = self._shown(reply)
        if not call.as_served:
            reply = msgspec.structs.replace(reply, model=call.model)
        dropped = reply.dropped
        if len(reply.choices) > 1 and is_beyond(len(reply.choices) - 1, self._api):
            dropped = (*dropped, FURTHER_CHOICE)
        return Answer(self._api.answer(call, reply), reply.usage, dropped)

    def _shown(self, reply: Reply) -> Reply:
        """Returns what the client is shown of a complete answer."""
        return reply

    def _fit(self, conversation: Conversation, target: Target, fit: Fit) -> Conversation:
        """Returns the conversation without what the dialect or the model cannot express. Raises Unsupported."""
        changes: dict[str, object] = {}
        if conversation.extra and not self._takes_extra:
            for name, raw in conversation.extra.items():
                fit.unsupported(name, f"the field '{name}'", raw)
            changes["extra"] = {}
        if conversation.hints and not self._takes_hints:
            fit.hints(conversation.hints)
        for field, default in self._lacking:
            value = getattr(conversation, field)
            if value == default:
                continue
            if field in _SUBSTANCE:
                raise Unsupported(field, self._names.get(field, field))
            fit.unsupported(field, self._names.get(field, field), value)
            changes[field] = default
        fitted = msgspec.structs.replace(conversation, **changes) if changes else conversation
        return fit_to_model(fitted, target, fit)

    def _sent(
        self,
        call: Call,
        sent: UpstreamRequest,
        conversation: Conversation,
        fit: Fit,
        tools: Mapping[str, str],
        maker: str,
        stops: tuple[str, ...],
    ) -> UpstreamRequest:
        """Returns the request, with what reading the answer needs."""
        dropped = (
            tuple(dict.fromkeys([called(field, self._names, call) for field in fit.dropped])) if fit.dropped else ()
        )
        if tools:
            tools = {**tools, **sent.tools}
        tools = tools or sent.tools
        return UpstreamRequest(
            sent.path, sent.body, sent.headers, dropped, conversation, tools, maker, stops, keep_s=sent.keep_s
        )

    def _refusal(self, call: Call, unsupported: Unsupported, target: Target) -> ApiError:
        field = unsupported.field
        where = f"'{target.model}' at '{target.provider}'" if target.provider else f"'{target.model}'"
        advice = "" if field in _SUBSTANCE else ' "drop_params": true does without it.'
        return ApiError(
            400,
            f"{where} does not support {unsupported.what}.{advice}",
            code="unsupported_parameter",
            param=called(field, self._names, call),
        )


def _ended_at(stops: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the stop sequences at which the gateway ends the answer. Raises Unsupported if there are too many."""
    if len(stops) > _MOST_STOPS:
        raise Unsupported("stop", f"more than {_MOST_STOPS} stop sequences")
    return tuple([stop for stop in stops if stop])


def _replays(conversation: Conversation) -> bool:
    """True if the history holds more than text: calls, their results, or reasoning."""
    for turn in conversation.turns:
        for part in turn.parts:
            kind = type(part)
            if kind is not Text and (kind is ToolUse or kind is ToolResult or kind is Reasoning):
                return True
    return False


def _without(conversation: Conversation, unsupported: Unsupported, fit: Fit) -> Conversation:
    """Returns the conversation without a field that its dialect cannot write. Raises Unsupported if it must not be
    dropped.
    """
    field = unsupported.field
    if field in conversation.extra:
        fit.unsupported(field, unsupported.what, conversation.extra[field])
        extra = {name: value for name, value in conversation.extra.items() if name != field}
        return msgspec.structs.replace(conversation, extra=extra)
    if field in _SUBSTANCE or getattr(conversation, field, None) == _DEFAULTS.get(field):
        raise unsupported
    fit.unsupported(field, unsupported.what)
    return msgspec.structs.replace(conversation, **{field: _DEFAULTS[field]})


def failure(api: Api, stream: ByteStream, error: ApiError) -> bytes:
    """Returns the end of a client's stream that has begun and failed: the upstream's own error event if it sent one."""
    if isinstance(stream, BridgeStream):
        return stream.fail(error)
    return (stream.failed if isinstance(stream, SaysItsFailure) else b"") or api.error_event(error)


class _Collector:
    """Collects an upstream's stream into one answer."""

    def __init__(self, bridge: Bridge, call: Call, decoder: StreamDecoder, for_client: ForClient) -> None:
        self._bridge = bridge
        self._call = call
        self._decoder = decoder
        self._over = decoder if isinstance(decoder, SaysWhenOver) else None
        self._for_client = for_client
        self._builder = ReplyBuilder()
        self.error: UpstreamFailure | None = None

    @property
    def usage(self) -> Usage:
        usage = self._builder.usage
        return usage if usage.measured else _estimated(self._call, self._builder.reply())

    @property
    def owed_s(self) -> float:
        return self._over.owed_s if self._over is not None else inf

    def feed(self, data: bytes) -> None:
        self._add(self._decoder.feed(data))

    def finish(self) -> Answer:
        self._add(self._decoder.finish())
        if self.error is not None:
            raise self.error
        return self._bridge._render(self._call, self._for_client.reply(self._builder.reply()))

    def _add(self, events: Sequence[Event]) -> None:
        try:
            for event in events:
                self._builder.add(event)
        except UpstreamFailure as error:
            self.error = error


def _says_anything(reply: Reply) -> bool:
    return any(choice.parts for choice in reply.choices)


def _estimated(call: Call, reply: Reply) -> Usage:
    """Estimates the usage of an answer that does not report it."""
    return estimate(call, completion_bytes=sum(len(msgspec.json.encode(choice.parts)) for choice in reply.choices))
