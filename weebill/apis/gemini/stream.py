"""Streams in Google's generateContent format: server-sent events, or the items of one JSON array.

Text goes out as it comes, a call once its arguments are complete, since Google has them whole; what is opaque about a
thought goes out at the thought's end, on a part without text. The last piece has the reasons and the usage.

Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.apis.gemini.answer import FINISH_REASONS, GroundingWriter, logprobs_result, response_id, usage_metadata
from weebill.apis.gemini.errors import error_body
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Citation, Document, Image, Reasoning, ToolUse
from weebill.wire.errors import ApiError
from weebill.wire.gemini import ORIGIN, Candidate, Content, GenerateContentResponse, GroundingMetadata, Part
from weebill.wire.gemini_parts import call_part, media_part, seal
from weebill.wire.gemini_request import wants_array
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Finished,
    FinishReason,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    UsageReported,
    WholePart,
)
from weebill.wire.reply import Usage as CanonicalUsage

_encode: Final = msgspec.json.encode
_EVENT: Final = b"data: "
_EVENT_END: Final = b"\r\n\r\n"
_NOTHING: Final = Part(text="")


class _Thought:
    """A reasoning part under way: what has been said of it apart from its text."""

    def __init__(self, block: int, origin: str) -> None:
        self.block = block
        self.origin = origin
        self.has_text = False
        self.signature: str | None = None
        self.encrypted: str | None = None
        self.id: str | None = None


class _Call:
    """A tool call under way."""

    def __init__(self, started: ToolStarted) -> None:
        self.started = started
        self.arguments: list[str] = []


class _Choice:
    """A choice under way. `texts` are the pieces of each text block, for the offsets of citations."""

    def __init__(self) -> None:
        self.under_way: _Thought | _Call | None = None
        self.texts: dict[int, list[str]] = {}
        self.citations: list[tuple[int, Citation]] = []
        self.finish: FinishReason = "stop"


class GeminiStreamEncoder:
    """Writes one answer's events for a Gemini client."""

    __slots__ = ("_array", "_choices", "_id", "_model", "_sent", "_tails", "_usage")

    def __init__(self, call: Call) -> None:
        self._array = wants_array(call)
        self._model = call.model
        self._id = ""
        self._sent = False
        self._choices: dict[int, _Choice] = {}
        self._tails: dict[int, bytes] = {}
        self._usage = CanonicalUsage()

    def feed(self, events: list[Event]) -> bytes:
        """The bytes to send for `events`."""
        out: list[bytes] = []
        for event in events:
            if type(event) is TextDelta:
                self._say(event, out)
            elif isinstance(event, Started):
                self._id = self._id or response_id(event.id)
                self._model = event.model or self._model
            elif isinstance(event, UsageReported):
                self._usage = event.usage
            elif hasattr(event, "choice"):
                self._take(event, self._choice(event.choice), out)
        return b"".join(out)

    def finish(self) -> bytes:
        """The last piece, and the array's end."""
        out: list[bytes] = []
        candidates = []
        for index in sorted(self._choices or {0: self._choice(0)}):
            choice = self._choices[index]
            self._close(choice, index, out)
            reason, message = FINISH_REASONS[choice.finish]
            candidates.append(
                Candidate(
                    content=Content(parts=[_NOTHING], role="model"),
                    finish_reason=reason,
                    finish_message=message,
                    index=index,
                    grounding_metadata=_grounding(choice),
                )
            )
        self._send(self._response(candidates, last=True), out)
        if self._array:
            out.append(b"]")
        return b"".join(out)

    def fail(self, error: ApiError) -> bytes:
        """The end of a stream that failed; in an array the error is its last item."""
        out: list[bytes] = []
        self._send(error_body(error), out)
        if self._array:
            out.append(b"]")
        return b"".join(out)

    def _choice(self, index: int) -> _Choice:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice()
        return choice

    def _say(self, event: TextDelta, out: list[bytes]) -> None:
        """The usual piece: all but the text is the same each time."""
        index = event.choice
        choice = self._choice(index)
        if choice.under_way is not None:
            self._close(choice, index, out)
        choice.texts.setdefault(event.block, []).append(event.text)
        tail = self._tails.get(index)
        if tail is None:
            whole = self._response([Candidate(content=Content(parts=[_NOTHING], role="model"), index=index)])
            tail = self._tails[index] = whole.partition(b'{"text":""')[2]
        self._send(b'{"candidates":[{"content":{"parts":[{"text":' + _encode(event.text) + tail, out)

    def _take(self, event: Event, choice: _Choice, out: list[bytes]) -> None:
        if isinstance(event, ToolArguments):
            if isinstance(choice.under_way, _Call):
                choice.under_way.arguments.append(event.json)
        elif isinstance(event, ReasoningDelta):
            self._think(event, choice, out)
        elif isinstance(event, CitationAdded):
            choice.citations.append((event.block, event.citation))
        elif isinstance(event, Logprobs):
            self._send_candidate(
                Candidate(
                    content=Content(parts=[_NOTHING], role="model"),
                    index=event.choice,
                    logprobs_result=logprobs_result(event.entries),
                ),
                out,
            )
        elif isinstance(event, ToolStarted):
            self._close(choice, event.choice, out)
            choice.under_way = _Call(event)
        elif isinstance(event, RefusalDelta):
            self._close(choice, event.choice, out)
            self._send_part(Part(text=event.text), event.choice, out)
        elif isinstance(event, WholePart):
            self._close(choice, event.choice, out)
            if isinstance(event.part, Image | Audio | Document):
                self._send_part(media_part(event.part, to_client=True), event.choice, out)
        elif isinstance(event, Finished):
            self._close(choice, event.choice, out)
            choice.finish = event.reason

    def _think(self, event: ReasoningDelta, choice: _Choice, out: list[bytes]) -> None:
        thought = choice.under_way
        if not isinstance(thought, _Thought) or thought.block != event.block:
            self._close(choice, event.choice, out)
            thought = choice.under_way = _Thought(event.block, event.origin)
        thought.origin = event.origin or thought.origin
        thought.signature = event.signature or thought.signature
        thought.encrypted = event.encrypted or thought.encrypted
        thought.id = event.id or thought.id
        if event.text:
            thought.has_text = True
            self._send_part(Part(text=event.text, thought=True), event.choice, out)

    def _close(self, choice: _Choice, index: int, out: list[bytes]) -> None:
        """End the thought or the call under way."""
        ending, choice.under_way = choice.under_way, None
        if isinstance(ending, _Call):
            call = ending.started
            use = ToolUse(call.id, call.name, "".join(ending.arguments), call.signature, call.origin)
            self._send_part(call_part(use, to_client=True), index, out)
        elif ending is not None:
            token = seal(Reasoning("", ending.signature, ending.encrypted, ending.id, ending.origin))
            if token is not None:
                thought = True if ending.has_text or ending.origin != ORIGIN else None
                self._send_part(Part(text="", thought=thought, thought_signature=token), index, out)

    def _send_part(self, part: Part, index: int, out: list[bytes]) -> None:
        self._send_candidate(Candidate(content=Content(parts=[part], role="model"), index=index), out)

    def _send_candidate(self, candidate: Candidate, out: list[bytes]) -> None:
        self._send(self._response([candidate]), out)

    def _response(self, candidates: list[Candidate], *, last: bool = False) -> bytes:
        self._id = self._id or response_id("")
        return _encode(
            GenerateContentResponse(
                candidates=candidates,
                usage_metadata=usage_metadata(self._usage) if last else None,
                model_version=self._model,
                response_id=self._id,
            )
        )

    def _send(self, piece: bytes, out: list[bytes]) -> None:
        if self._array:
            out.append(b",\r\n" if self._sent else b"[")
            self._sent = True
            out.append(piece)
        else:
            out.append(_EVENT + piece + _EVENT_END)


def _grounding(choice: _Choice) -> GroundingMetadata | None:
    """The citations; a client puts the text of the pieces together, so that is what offsets count in."""
    if not choice.citations:
        return None
    writer = GroundingWriter()
    before, starts = "", {}
    for block, pieces in choice.texts.items():
        starts[block] = len(before)
        before += "".join(pieces)
    for block, citation in choice.citations:
        start = starts.get(block, 0)
        if start and citation.start is not None and citation.end is not None:
            moved = (citation.start + start, citation.end + start)
            citation = msgspec.structs.replace(citation, start=moved[0], end=moved[1])
        writer.add(citation, before)
    return writer.metadata()
