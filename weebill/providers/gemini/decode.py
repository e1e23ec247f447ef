"""Answers in Google's generateContent format, whole; a whole answer is read as a stream of one piece.

Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

from secrets import token_hex
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from weebill.providers.gemini.errors import status_error
from weebill.providers.gemini.metadata import citations, openai_logprobs
from weebill.providers.gemini.partial import PartialArguments
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.arguments import as_text
from weebill.wire.conversation import Audio, Citation, Image, Maker
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import Failure, UpstreamFailure, cut, invalid_answer
from weebill.wire.gemini import (
    FAILED_REASONS,
    FINISH_REASONS,
    NUMBERED_REASONS,
    ORIGIN,
    Candidate,
    FunctionCall,
    GenerateContentResponse,
    UsageMetadata,
    given,
    parts_of,
)
from weebill.wire.gemini import Part as WirePart
from weebill.wire.gemini_parts import Inexpressible, canonical_media, ran_code
from weebill.wire.json_values import decode_list, decode_text
from weebill.wire.lenient import BOM, reader
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Failed,
    Finished,
    FinishReason,
    Logprobs,
    PassedOver,
    ReasoningDelta,
    Reply,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    UsageReported,
    WholePart,
)
from weebill.wire.surrogates import mended

_format: Final = msgspec.json.format

# A part of which no member is known.
_UNKNOWN: Final = (WirePart(), WirePart(thought=True), WirePart(thought=False))
# Members of a part that say what Google's own tools were asked and gave.
_SERVER_TOOLS: Final = (("tool_call", "toolCall"), ("tool_response", "toolResponse"))


read_response: Final = reader(GenerateContentResponse)
"""One response, read as far as it can be. Raises what is in `UNREADABLE`."""


def responses(data: bytes) -> list[GenerateContentResponse]:
    """The responses in JSON: one, or a list of them, without members that are not as they should be.

    Raises UpstreamFailure if it is none.
    """
    try:
        if data[:1] == b"{":
            return [read_response(data)]
        text = data.removeprefix(BOM).lstrip()
        if text[:1] == b"[":
            return [read_response(bytes(each)) for each in decode_list(mended(text))]
        return [read_response(text)]
    except UNREADABLE as error:
        raise not_an_answer(str(error)) from error


def decode_reply(body: bytes, origin: Maker = ORIGIN) -> Reply:
    """The answer in a whole body; a list is a stream's pieces. Raises UpstreamFailure for an error, or for none."""
    reader = AnswerReader(origin)
    events: list[Event] = []
    for response in responses(body):
        reader.read(response, events)
    reader.end(events, whole=True)
    builder = ReplyBuilder()
    for event in events:
        builder.add(event)
    return builder.reply()


def not_an_answer(why: str) -> UpstreamFailure:
    """For what an upstream sent instead of an answer."""
    return invalid_answer(f"The upstream's answer is not a generateContent response: {why}.")


class AnswerReader:
    """Reads an answer's pieces, of which a whole answer is one. Ends are told last: some models name one in each.

    `premature` is whether anything was said after a reason for the end; `settled` whether that was said of a candidate
    which had gone on without one, and what was used with it or later.
    """

    __slots__ = ("_blocked", "_gradual", "_origin", "_readers", "_started", "failed", "premature", "settled")

    def __init__(self, origin: Maker) -> None:
        self._origin = origin
        self._readers: dict[int, CandidateReader] = {}
        self._started = False
        self._blocked = False
        self.failed = False
        self.premature = False
        self._gradual = False
        self.settled = False

    @property
    def ended(self) -> bool:
        """Tells whether all candidates have named a reason for their end, or it was said that there will be none."""
        if not self._readers:
            return self._blocked
        return all(candidate.finish is not None for candidate in self._readers.values())

    def read(self, response: GenerateContentResponse, events: list[Event]) -> None:
        """Append the events of one piece. After a failure there are none."""
        if self.failed:
            return
        if response.error is not None:
            self._fail(status_error(response.error), events)
            return
        if not self._started:
            self._started = True
            events.append(Started(response.response_id or "", response.model_version or ""))
        failure: UpstreamFailure | None = None
        for at, candidate in enumerate(response.candidates or ()):
            index = at if candidate.index is None else candidate.index
            known = self._readers.get(index)
            if known is None:
                known = self._readers[index] = CandidateReader(index, self._origin)
            elif known.finish is not None and candidate.content is not None:
                self.premature = True
            known.read(candidate, events)
            failure = failure or known.failure
        if response.prompt_feedback is not None:
            self._blocked = True
        ended = self.ended
        self._gradual = self._gradual or not ended
        if response.usage_metadata is not None:
            self.settled = ended and self._gradual
            self._report(response, response.usage_metadata, events)
        if failure is not None:
            self._fail(failure, events)

    def end(self, events: list[Event], *, whole: bool) -> None:
        """Append the ends of all candidates. Raises UpstreamFailure if one has none, unless the answer is `whole`."""
        if self.failed:
            return
        candidates = [self._readers[index] for index in sorted(self._readers)]
        for candidate in candidates:
            if candidate.finish is None and not whole:
                raise cut()
            candidate.end(events)
        if not candidates:
            if not self._blocked:
                raise not_an_answer("it has no candidates") if whole else cut()
            events.append(Finished("content_filter"))

    def _report(self, response: GenerateContentResponse, told: UsageMetadata, events: list[Event]) -> None:
        usage = told.usage()
        if not usage.completion_tokens:
            ended = response.prompt_feedback is not None or any(
                each.finish_reason is not None for each in response.candidates or ()
            )
            # Early events say only what the prompt was; and what was said, did not cost nothing.
            if not ended or any(candidate.said for candidate in self._readers.values()):
                usage = msgspec.structs.replace(usage, measured=False)
        events.append(UsageReported(usage))

    def _fail(self, error: UpstreamFailure, events: list[Event]) -> None:
        self.failed = True
        events.append(Failed(error))


class CandidateReader:
    """Reads the pieces of one candidate.

    A signature on plain text or media becomes a reasoning part without text after it. `finish` is set once Google has
    said why the candidate ended, `failure` if that leaves no answer, `said` once there is something of one.
    """

    __slots__ = (
        "_block", "_called", "_cited", "_ids", "_kind", "_origin", "_signature", "_streamed", "_text", "failure",
        "finish", "index", "said",
    )  # fmt: skip

    def __init__(self, index: int, origin: Maker) -> None:
        self.index = index
        self.finish: FinishReason | None = None
        self.failure: UpstreamFailure | None = None
        self.said = False
        self._origin = origin
        self._block = -1
        self._kind = ""
        self._called = False
        self._ids: set[str] = set()
        self._streamed: PartialArguments | None = None
        self._text: list[str] = []
        self._cited: set[Citation] = set()
        self._signature: str | None = None

    def read(self, candidate: Candidate, events: list[Event]) -> None:
        """Append the events of one piece."""
        for part in parts_of(candidate.content):
            if self._signature is not None:
                self._sign(events)
            if part.function_call is not None:
                self._read_call(part.function_call, part.thought_signature, events)
            elif part.text is not None:
                self._read_text(part, part.text, events)
            elif part.inline_data is not None or part.file_data is not None:
                self._read_media(part, events)
            else:
                self._read_other(part, events)
        if candidate.logprobs_result is not None:
            entries = openai_logprobs(candidate.logprobs_result)
            if entries:
                events.append(Logprobs(entries, self.index))
        if candidate.grounding_metadata is not None or candidate.citation_metadata is not None:
            self._cite(candidate, events)
        if self._signature is not None:
            self._sign(events)
        if candidate.finish_reason is not None:
            self._end(candidate.finish_reason, candidate.finish_message, events)

    def end(self, events: list[Event]) -> None:
        """Append the end."""
        self._close_call(events)
        events.append(Finished(self.finish or ("tool_calls" if self._called else "stop"), None, self.index))

    def _open(self, kind: str, events: list[Event]) -> None:
        self._close_call(events)
        self._block += 1
        self._kind = kind
        self._text = []

    def _read_text(self, part: WirePart, text: str, events: list[Event]) -> None:
        signature = part.thought_signature
        if not part.thought:
            self._say(text, signature, events)
            return
        if not text and signature is None:
            return
        if self._kind != "thought":
            self._open("thought", events)
        self.said = self.said or bool(text)
        events.append(ReasoningDelta(text, signature, None, None, self._origin, self._block, self.index))
        if signature is not None:
            self._kind = ""

    def _say(self, text: str, signature: str | None, events: list[Event]) -> None:
        if text:
            if self._kind != "text":
                self._open("text", events)
            self.said = True
            self._text.append(text)
            events.append(TextDelta(text, self._block, self.index))
        self._signature = signature

    def _sign(self, events: list[Event]) -> None:
        """Tell the signature of the part just before."""
        self._open("", events)
        events.append(ReasoningDelta("", self._signature, None, None, self._origin, self._block, self.index))
        self._signature = None

    def _read_other(self, part: WirePart, events: list[Event]) -> None:
        """Reads the calls and results of Google's own tools: as text where it is any, and said to be passed over.

        So is a part that says nothing known.
        """
        text = ran_code(part)
        if part.executable_code is not None:
            events.append(PassedOver("executableCode"))
        elif part.code_execution_result is not None:
            events.append(PassedOver("codeExecutionResult"))
        elif part.function_response is not None:
            events.append(PassedOver("functionResponse"))
        elif part in _UNKNOWN:
            events.append(PassedOver("content.parts"))
        for field, name in _SERVER_TOOLS:
            if getattr(part, field) is not UNSET:
                events.append(PassedOver(name))
        self._say(text, part.thought_signature, events)

    def _read_call(self, call: FunctionCall, signature: str | None, events: list[Event]) -> None:
        """A whole call, or a piece of one whose arguments are streamed: only the first has a name."""
        streamed = self._streamed
        if not call.name and streamed is not None:
            streamed.add(call.partial_args or ())
            if not call.will_continue:
                self._close_call(events)
            return
        if not call.name:
            # A call of nothing; or the end of one that has ended.
            if given(call.args) is not None or call.partial_args:
                events.append(PassedOver("functionCall"))
            return
        self._open("", events)
        self._called = self.said = True
        # Older models give calls no ids; theirs are matched to results by name and order.
        name = call.id if call.id and call.id not in self._ids else f"call_{token_hex(12)}"
        self._ids.add(name)
        origin = "" if signature is None else self._origin
        events.append(ToolStarted(name, call.name, self._block, self.index, signature, origin))
        if call.will_continue or call.partial_args:
            self._streamed = PartialArguments(given(call.args))
            self._streamed.add(call.partial_args or ())
            if not call.will_continue:
                self._close_call(events)
            return
        events.append(ToolArguments(_arguments(given(call.args)), self._block, self.index))

    def _close_call(self, events: list[Event]) -> None:
        """Tell the arguments of the call whose pieces were gathered."""
        if self._streamed is not None:
            events.append(ToolArguments(self._streamed.json(), self._block, self.index))
            self._streamed = None

    def _read_media(self, part: WirePart, events: list[Event]) -> None:
        try:
            media = canonical_media(part)
        except Inexpressible:
            media = None
        if not isinstance(media, Image | Audio):
            events.append(PassedOver("inlineData" if part.inline_data is not None else "fileData"))
            self._signature = part.thought_signature
            return
        self._open("", events)
        self.said = True
        events.append(WholePart(media, self._block, self.index))
        self._signature = part.thought_signature

    def _cite(self, candidate: Candidate, events: list[Event]) -> None:
        grounding = candidate.grounding_metadata
        if grounding is not None and given(grounding.search_entry_point) is not None:
            events.append(PassedOver("groundingMetadata.searchEntryPoint"))
        text = "".join(self._text) if self._kind == "text" else ""
        for citation in citations(candidate, text):
            if citation in self._cited:
                continue
            self._cited.add(citation)
            if self._kind != "text":
                # The text is over, and what came after it too; the citation still has to be of some text.
                self._open("text", events)
                events.append(TextDelta("", self._block, self.index))
            events.append(CitationAdded(citation, self._block, self.index))

    def _end(self, reason: str | int, message: str | None, events: list[Event]) -> None:
        if isinstance(reason, int):
            reason = NUMBERED_REASONS[reason] if 0 <= reason < len(NUMBERED_REASONS) else str(reason)
        if reason.upper() in FAILED_REASONS:
            if self.said:
                # What was said is paid for; that it is not all is the reason's name.
                events.append(PassedOver(f"finishReason.{reason}"))
                self.finish = "tool_calls" if self._called else "content_filter"
                return
            said = f"The model's answer could not be used ({reason}){f': {message}' if message else '.'}"
            self.failure = UpstreamFailure(Failure("invalid_answer", "model", 200), said, code=reason.lower())
            return
        # A reason that is not known yet is no reason to call the answer complete.
        finish = FINISH_REASONS.get(reason.upper(), "content_filter")
        self.finish = "tool_calls" if finish == "stop" and self._called else finish


def _arguments(args: Raw | None) -> str:
    """A call's arguments as JSON text. Some who speak this format write the text itself, as Chat Completions has it."""
    if args is None:
        return "{}"
    text = bytes(args)
    if text.startswith(b'"'):
        written = decode_text(text)
        return written if written.lstrip().startswith("{") else text.decode()
    return as_text(_format(text, indent=-1))
