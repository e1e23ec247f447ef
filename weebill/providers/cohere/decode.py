"""Answers in the format of Cohere's Chat API, version 2, whole, and what its answers and streams share.

Source: https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.cohere.encode import FAMILY, PLAN
from weebill.providers.error_bodies import said_in
from weebill.providers.failures import failure_of
from weebill.wire.conversation import Citation, Part, Reasoning, Text, ToolUse
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, invalid_answer
from weebill.wire.lenient import reader
from weebill.wire.openai_logprobs import TokenLogprob
from weebill.wire.reply import ONE_OF_THEM, Choice, FinishReason, Reply, Usage

_STOPPED: Final = "STOP_SEQUENCE"
_FINISHES: Final[dict[str, FinishReason]] = {
    "COMPLETE": "stop",
    _STOPPED: "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}
# Reasons that leave no answer, and the status that says as much.
_FAILURES: Final = {"ERROR": 502, "TIMEOUT": 504}
NO_ARGUMENTS: Final = frozenset({"", "null", "{}"})
"""The texts that stand for no arguments."""


class Tokens(Struct, frozen=True):
    """Cohere writes counts as floating-point numbers."""

    input_tokens: float | None = None
    output_tokens: float | None = None


class UsageReport(Struct, frozen=True):
    """`tokens` are what the model read and wrote, `billed_units` what of it is paid for."""

    tokens: Tokens | None = None
    billed_units: Tokens | None = None
    cached_tokens: float | None = None

    def usage(self) -> Usage:
        """The report as usage: of all tokens where it tells them."""
        counts = self.tokens or self.billed_units
        if counts is None:
            return Usage()
        return Usage.reported(
            int(counts.input_tokens or 0), int(counts.output_tokens or 0), cached=int(self.cached_tokens or 0)
        )


class LogprobItem(Struct, frozen=True):
    """Of a piece of text, the log probability of each of its tokens."""

    text: str | None = None
    logprobs: list[float] | None = None


class Content(Struct, frozen=True):
    """One block of a message, or a piece of it."""

    text: str | None = None
    thinking: str | None = None


class Function(Struct, frozen=True):
    """The function that is called, or a piece of it; `arguments` is JSON as text."""

    name: str | None = None
    arguments: str | dict[str, Raw] | None = None

    def text(self) -> str:
        """The arguments' JSON text."""
        if self.arguments is None or isinstance(self.arguments, str):
            return self.arguments or ""
        return _encode(self.arguments).decode()


class ToolCall(Struct, frozen=True):
    """A call, or a piece of it."""

    id: str | None = None
    function: Function | None = None


class _Message(Struct, frozen=True):
    content: list[Content] | None = None
    tool_plan: str | None = None
    tool_calls: list[ToolCall] | None = None
    citations: list[Raw] | None = None


class _Response(Struct, frozen=True):
    """`message` is text in an error."""

    id: str | None = None
    finish_reason: str | None = None
    message: _Message | str | None = None
    usage: UsageReport | None = None
    logprobs: list[LogprobItem] | None = None


class _CitedDocument(Struct, frozen=True):
    title: str | None = None
    url: str | None = None
    text: str | None = None
    snippet: str | None = None


class _Source(Struct, frozen=True):
    document: _CitedDocument | None = None


class _Citation(Struct, frozen=True):
    start: int | None = None
    end: int | None = None
    sources: list[_Source] | None = None
    content_index: int | None = None
    type: str | None = None


_decode_response: Final = reader(_Response)
_decode_citation: Final = reader(_Citation)
_encode: Final = msgspec.json.encode


def decode_reply(body: bytes) -> Reply:
    """The answer in a whole body. Raises UpstreamFailure for an error in it, or if it is no answer."""
    try:
        response = _decode_response(body)
        message = response.message
        if not isinstance(message, _Message):
            raise failure_of(200, message, "") if message else not_an_answer("it has no message")
        finish = finish_of(response.finish_reason, None)
        parts = _parts(message)
    except UNREADABLE as error:
        raise not_an_answer(str(error)) from error
    logprobs = None
    if response.logprobs is not None:
        logprobs = tuple([entry for item in response.logprobs for entry in openai_logprobs(item)])
    usage = response.usage.usage() if response.usage is not None else Usage()
    return Reply(response.id or "", "", (Choice(parts, finish, stopped_by(response.finish_reason), logprobs),), usage)


def _parts(message: _Message) -> tuple[Part, ...]:
    parts: list[Part] = []
    cited: dict[int, list[Citation]] = {}
    first_text = next((at for at, block in enumerate(message.content or ()) if block.text is not None), 0)
    for raw in message.citations or ():
        index, found = citations(raw)
        cited.setdefault(first_text if index is None else index, []).extend(found)
    for at, block in enumerate(message.content or ()):
        if block.thinking:
            parts.append(Reasoning(block.thinking, origin=FAMILY))
        elif block.text:
            parts.append(Text(block.text, citations=tuple(cited.get(at, ()))))
    if message.tool_plan:
        parts.append(Reasoning(message.tool_plan, PLAN, origin=FAMILY))
    for call in message.tool_calls or ():
        function = call.function or Function()
        if function.name or call.id:
            arguments = function.text()
            parts.append(ToolUse(call.id or "", function.name or "", "{}" if arguments in NO_ARGUMENTS else arguments))
    return tuple(parts)


def citations(raw: Raw) -> tuple[int | None, list[Citation]]:
    """The index of the block that a citation is for, and one citation for each source; none for one of thinking.

    The first of them holds the original, for the way back.
    """
    cited = _decode_citation(bytes(raw))
    if cited.type not in (None, "TEXT_CONTENT"):
        return cited.content_index, []
    found = []
    original: Raw | None = Raw(bytes(raw))
    for source in cited.sources or [_Source()]:
        document = source.document or _CitedDocument()
        quoted = document.snippet or document.text
        found.append(Citation(document.url, document.title, quoted, cited.start, cited.end, FAMILY, original))
        original = None
    return cited.content_index, found


def openai_logprobs(item: LogprobItem) -> tuple[Raw, ...]:
    """A piece's log probability as OpenAI's entry: of all its tokens together, as Cohere does not part its text."""
    if item.text is None or not item.logprobs:
        return ()
    entry = TokenLogprob(item.text, sum(item.logprobs), list(item.text.encode()))
    return (Raw(_encode(entry)),)


def stopped_by(reason: str | None) -> str | None:
    """The stop sequence that ended an answer; Cohere does not say which."""
    return ONE_OF_THEM if reason == _STOPPED else None


def finish_of(reason: str | None, error: str | None) -> FinishReason:
    """The reason for an answer's end; `error` is what Cohere says of a failure. Raises UpstreamFailure for one."""
    status = _FAILURES.get(reason or "")
    if status is not None:
        raise failure_of(status, error or f"The model did not finish its answer ({reason}).", "")
    return _FINISHES.get(reason or "", "stop")


def body_error(status: int, body: bytes, upstream: str) -> UpstreamFailure:
    """The failure that an answer with a status other than 200 means."""
    return failure_of(status, said_in(body).message, upstream)


def not_an_answer(why: str) -> UpstreamFailure:
    """For what an upstream sent instead of an answer."""
    return invalid_answer(f"The upstream's answer is not Cohere's: {why}.")
