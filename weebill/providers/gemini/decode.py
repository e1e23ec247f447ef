"""Answers in Google's generateContent format, whole; a whole answer is read as a stream of one piece.

Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

from secrets import token_hex
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.gemini.errors import status_error
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import Audio, Citation, Image
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.gemini import (
    FAILED_REASONS,
    FINISH_REASONS,
    ORIGIN,
    Candidate,
    FunctionCall,
    GenerateContentResponse,
    LogprobsResult,
    Source,
    TokenLogprob,
    given,
    parts_of,
)
from weebill.wire.gemini import Part as WirePart
from weebill.wire.gemini_parts import Inexpressible, canonical_media
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Finished,
    FinishReason,
    Logprobs,
    ReasoningDelta,
    Reply,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    UsageReported,
    WholePart,
)

decode_response: Final = msgspec.json.Decoder(GenerateContentResponse | list[GenerateContentResponse]).decode
_encode: Final = msgspec.json.encode
_format: Final = msgspec.json.format


def decode_reply(body: bytes) -> Reply:
    """The answer in a whole body. Raises ApiError for an error in it, 502 if it is no answer."""
    try:
        response = decode_response(body)
    except UNREADABLE as error:
        raise not_an_answer(str(error)) from error
    if isinstance(response, list):
        if len(response) != 1:
            raise not_an_answer("it is a list")
        response = response[0]
    if response.error is not None:
        raise status_error(response.error)
    builder = ReplyBuilder()
    events: list[Event] = [Started(response.response_id or "", response.model_version or "")]
    for at, candidate in enumerate(response.candidates or ()):
        reader = CandidateReader(at if candidate.index is None else candidate.index)
        reader.read(candidate, events)
        if reader.failure is not None:
            raise reader.failure
        events.append(Finished(reader.finish or "stop", None, reader.index))
    if len(events) == 1:
        if response.prompt_feedback is None:
            raise not_an_answer("it has no candidates")
        events.append(Finished("content_filter"))
    if response.usage_metadata is not None:
        events.append(UsageReported(response.usage_metadata.usage()))
    for event in events:
        builder.add(event)
    return builder.reply()


def not_an_answer(why: str) -> ApiError:
    """For what an upstream sent instead of an answer."""
    return ApiError(
        502, f"The upstream's answer is not a generateContent response: {why}.", code="upstream_invalid_answer"
    )


class CandidateReader:
    """Reads the pieces of one candidate.

    A signature on plain text or media becomes a reasoning part without text after it. `finish` is set once Google has
    said why the candidate ended, `failure` if that leaves no answer.
    """

    __slots__ = ("_block", "_called", "_cited", "_kind", "_signature", "_text", "failure", "finish", "index")

    def __init__(self, index: int) -> None:
        self.index = index
        self.finish: FinishReason | None = None
        self.failure: ApiError | None = None
        self._block = -1
        self._kind = ""
        self._called = False
        self._text: list[str] = []
        self._cited: set[Citation] = set()
        self._signature: str | None = None

    def read(self, candidate: Candidate, events: list[Event]) -> None:
        """Append the events of one piece."""
        for part in parts_of(candidate.content):
            if self._signature is not None:
                self._sign(events)
            if part.text is not None:
                self._read_text(part, part.text, events)
            elif part.function_call is not None:
                self._read_call(part.function_call, part.thought_signature, events)
            elif part.inline_data is not None or part.file_data is not None:
                self._read_media(part, events)
            elif part.executable_code is not None:
                code = part.executable_code
                self._say(f"\n```{code.language.lower()}\n{code.code.strip()}\n```\n", part.thought_signature, events)
            elif part.code_execution_result is not None:
                printed = part.code_execution_result.output.strip()
                self._say(f"\n```\n{printed}\n```\n", part.thought_signature, events)
            elif part.thought_signature is not None:
                self._signature = part.thought_signature
        if candidate.logprobs_result is not None:
            entries = openai_logprobs(candidate.logprobs_result)
            if entries:
                events.append(Logprobs(entries, self.index))
        if candidate.grounding_metadata is not None or candidate.citation_metadata is not None:
            self._cite(candidate, events)
        if self._signature is not None:
            self._sign(events)
        if candidate.finish_reason is not None:
            self._end(candidate.finish_reason, candidate.finish_message)

    def _open(self, kind: str) -> None:
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
            self._open("thought")
        events.append(ReasoningDelta(text, signature, None, None, ORIGIN, self._block, self.index))
        if signature is not None:
            self._kind = ""

    def _say(self, text: str, signature: str | None, events: list[Event]) -> None:
        if text:
            if self._kind != "text":
                self._open("text")
            self._text.append(text)
            events.append(TextDelta(text, self._block, self.index))
        self._signature = signature

    def _sign(self, events: list[Event]) -> None:
        """Tell the signature of the part just before."""
        self._open("")
        events.append(ReasoningDelta("", self._signature, None, None, ORIGIN, self._block, self.index))
        self._signature = None

    def _read_call(self, call: FunctionCall, signature: str | None, events: list[Event]) -> None:
        self._open("")
        self._called = True
        # Older models give calls no ids; theirs are matched to results by name and order.
        name = call.id or f"call_{token_hex(12)}"
        origin = "" if signature is None else ORIGIN
        args = given(call.args)
        try:
            arguments = "{}" if args is None else _format(bytes(args), indent=-1).decode()
        except UNREADABLE as error:
            self.failure = not_an_answer(str(error))
            return
        events.append(ToolStarted(name, call.name, self._block, self.index, signature, origin))
        events.append(ToolArguments(arguments, self._block, self.index))

    def _read_media(self, part: WirePart, events: list[Event]) -> None:
        try:
            media = canonical_media(part)
        except Inexpressible as error:
            self.failure = not_an_answer(f"{error} in an answer")
            return
        if not isinstance(media, Image | Audio):
            self.failure = not_an_answer("a file in an answer")
            return
        self._open("")
        events.append(WholePart(media, self._block, self.index))
        self._signature = part.thought_signature

    def _cite(self, candidate: Candidate, events: list[Event]) -> None:
        text = "".join(self._text) if self._kind == "text" else ""
        for citation in citations(candidate, text):
            if citation in self._cited:
                continue
            self._cited.add(citation)
            if self._kind != "text":
                # The text is over, and what came after it too; the citation still has to be of some text.
                self._open("text")
                events.append(TextDelta("", self._block, self.index))
            events.append(CitationAdded(citation, self._block, self.index))

    def _end(self, reason: str, message: str | None) -> None:
        if reason in FAILED_REASONS:
            said = f"The model's answer could not be used ({reason}){f': {message}' if message else '.'}"
            self.failure = ApiError(502, said, code=reason.lower())
            return
        # A reason that is not known yet is no reason to call the answer complete.
        finish = FINISH_REASONS.get(reason, "content_filter")
        self.finish = "tool_calls" if finish == "stop" and self._called else finish


def openai_logprobs(result: LogprobsResult) -> tuple[Raw, ...]:
    """The steps as OpenAI's entries."""
    chosen = result.chosen_candidates or []
    likeliest = [step.candidates or [] for step in result.top_candidates or ()]
    likeliest += [[]] * (len(chosen) - len(likeliest))
    return tuple(
        [
            Raw(_encode(_entry(token) | {"top_logprobs": [_entry(other) for other in top]}))
            for token, top in zip(chosen, likeliest, strict=False)
        ]
    )


def _entry(token: TokenLogprob) -> dict[str, object]:
    return {"token": token.token, "logprob": token.log_probability, "bytes": list(token.token.encode())}


def citations(candidate: Candidate, text: str) -> list[Citation]:
    """What a piece says its text rests on; `text` is all of the text part under way."""
    found: list[Citation] = []
    grounding, copied = candidate.grounding_metadata, candidate.citation_metadata
    if grounding is not None:
        chunks = [
            chunk.web or chunk.retrieved_context or chunk.maps or Source() for chunk in grounding.grounding_chunks or ()
        ]
        used: set[int] = set()
        for support in grounding.grounding_supports or ():
            segment = support.segment
            start, end = None, None
            if segment is not None:
                start, end = _characters(text, segment.start_index or 0, segment.end_index, segment.text)
            for at in support.grounding_chunk_indices or ():
                if 0 <= at < len(chunks):
                    used.add(at)
                    chunk = chunks[at]
                    found.append(Citation(chunk.uri, chunk.title, chunk.text, start, end, ORIGIN))
        found += [
            Citation(chunk.uri, chunk.title, chunk.text, origin=ORIGIN)
            for at, chunk in enumerate(chunks)
            if at not in used
        ]
    if copied is not None:
        for source in copied.citation_sources or copied.citations or ():
            start, end = _characters(text, source.start_index or 0, source.end_index, None)
            found.append(Citation(source.uri, source.title, None, start, end, ORIGIN))
    return found


def _characters(text: str, start: int, end: int | None, expected: str | None) -> tuple[int | None, int | None]:
    """Offsets in bytes of UTF-8 as offsets in characters; None where they are not of this text."""
    encoded = text.encode()
    if end is None or not 0 <= start <= end <= len(encoded):
        return None, None
    piece = encoded[start:end].decode("utf-8", "replace")
    if expected is not None and piece != expected:
        return None, None
    first = len(encoded[:start].decode("utf-8", "replace"))
    return first, first + len(piece)
