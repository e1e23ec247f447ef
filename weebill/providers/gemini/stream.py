"""Streams in Google's generateContent format: server-sent events, each a piece of the answer.

There is no end marker: a stream is complete if every candidate has said why it ended. A stream that fails ends in an
error, as an event or as bare JSON.

Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import msgspec

from weebill.providers.base import LINGER_S
from weebill.providers.gemini.decode import CandidateReader, decode_response, not_an_answer
from weebill.providers.gemini.errors import status_error
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.gemini import GenerateContentResponse
from weebill.wire.reply import Event, Failed, Finished, Started, UsageReported
from weebill.wire.sse import EventSplitter, event_data


class GeminiStream:
    """A `StreamDecoder`. Ends are told last: some models name a reason in every piece."""

    __slots__ = ("_blocked", "_failed", "_premature", "_readers", "_splitter", "_started")

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._readers: dict[int, CandidateReader] = {}
        self._started = False
        self._blocked = False
        self._premature = False  # whether anything was said after a reason for the end
        self._failed = False

    @property
    def owed_s(self) -> float:
        """These streams have no last event, and some models name a reason for the end in every piece."""
        readers = self._readers.values()
        ended = self._blocked or (bool(readers) and all(reader.finish is not None for reader in readers))
        return LINGER_S if ended and not self._premature else inf

    def feed(self, data: bytes) -> Sequence[Event]:
        """The events that `data` completes."""
        events: list[Event] = []
        for block in self._splitter.feed(data):
            self._read(block, events)
        return events

    def finish(self) -> Sequence[Event]:
        """The ends of all candidates. Raises ApiError 502 if one has none."""
        events: list[Event] = []
        rest = self._splitter.rest()
        if rest:
            self._read(rest, events)
        if self._failed:
            return events
        readers = [self._readers[index] for index in sorted(self._readers)]
        for reader in readers:
            if reader.finish is None:
                raise cut()
            events.append(Finished(reader.finish, None, reader.index))
        if not readers:
            if not self._blocked:
                raise cut()
            events.append(Finished("content_filter"))
        return events

    def _read(self, block: bytes, events: list[Event]) -> None:
        payload = event_data(block)
        if not payload:
            if block[:1] not in (b"{", b"["):
                return
            payload = block
        try:
            decoded = decode_response(payload)
        except UNREADABLE as error:
            raise not_an_answer(str(error)) from error
        for response in decoded if isinstance(decoded, list) else (decoded,):
            if self._failed:
                return
            self._take(response, events)

    def _take(self, response: GenerateContentResponse, events: list[Event]) -> None:
        if response.error is not None:
            self._fail(status_error(response.error), events)
            return
        if not self._started:
            self._started = True
            events.append(Started(response.response_id or "", response.model_version or ""))
        for at, candidate in enumerate(response.candidates or ()):
            index = at if candidate.index is None else candidate.index
            reader = self._readers.get(index)
            if reader is None:
                reader = self._readers[index] = CandidateReader(index)
            self._premature = self._premature or (reader.finish is not None and bool(candidate.content))
            reader.read(candidate, events)
        if response.prompt_feedback is not None:
            self._blocked = True
        if response.usage_metadata is not None:
            usage = response.usage_metadata.usage()
            if response.usage_metadata.candidates_token_count is None and not _has_ended(response):
                # Early events say only what the prompt was.
                usage = msgspec.structs.replace(usage, measured=False)
            events.append(UsageReported(usage))
        for reader in self._readers.values():
            if reader.failure is not None:
                self._fail(reader.failure, events)
                return

    def _fail(self, error: ApiError, events: list[Event]) -> None:
        self._failed = True
        events.append(Failed(error))


def cut() -> ApiError:
    """For a stream that ended before its answer did."""
    return ApiError(502, "The upstream ended its stream before the answer was complete.", code="upstream_cut")


def _has_ended(response: GenerateContentResponse) -> bool:
    """Whether an event says why generating has stopped."""
    return response.prompt_feedback is not None or any(each.finish_reason for each in response.candidates or ())
