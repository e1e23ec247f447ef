"""Answers as Anthropic's clients get them: streams, in the order that its SDKs rely on.

message_start, then for each block content_block_start, its deltas and content_block_stop, then message_delta with the
usage of all, then message_stop.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
from msgspec import Struct

from weebill.apis.anthropic.answer import media_block, message_id, reasoning_signature, stop, tool_id, tool_signature
from weebill.apis.anthropic.answer_shapes import (
    AnswerBlock,
    AnswerMessage,
    BlockStart,
    MessageDelta,
    MessageStart,
    ToolUseStart,
)
from weebill.apis.anthropic.errors import error_event
from weebill.wire.anthropic import (
    Opaque,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    citation_written,
)
from weebill.wire.anthropic_usage import UsageReport
from weebill.wire.arguments import as_object
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Citation
from weebill.wire.errors import ApiError
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Failed,
    Finished,
    FinishReason,
    Logprobs,
    PassedOver,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
    WholePart,
)

_encode = msgspec.json.encode
# About four bytes of English make a token; see weebill.providers.usage.
_BYTES_PER_TOKEN: Final = 4


# The deltas are put together from parts that never change, for there are as many as tokens.
_DELTA: Final = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}}\n\n'
_TEXT: Final = b'{"type":"text_delta","text":'
_INPUT: Final = b'{"type":"input_json_delta","partial_json":'
_THINKING: Final = b'{"type":"thinking_delta","thinking":'
_SIGNATURE: Final = b'{"type":"signature_delta","signature":'
_CITATION: Final = b'{"type":"citations_delta","citation":'
_BLOCK_STOP: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_MESSAGE_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_BEFORE_THE_START: Final = frozenset({Started, UsageReported, PassedOver, Failed})
_EMPTY_TEXT: Final = TextBlock("")
_EMPTY_THINKING: Final = ThinkingBlock("", "")


def _event(name: bytes, data: Struct) -> bytes:
    return b"event: " + name + b"\ndata: " + _encode(data) + b"\n\n"


class MessageStream:
    """A `StreamEncoder`. Of several choices it shows the first; this API cannot ask for more."""

    most_choices: ClassVar[int] = 1

    __slots__ = (
        "_block", "_call", "_finish", "_held", "_index", "_kind", "_opaque", "_out", "_refused", "_started",
        "_stop_sequence", "_usage",
    )  # fmt: skip

    def __init__(self, call: Call) -> None:
        self._call = call
        self._out: list[bytes] = []
        self._started = False
        self._index = -1
        # The canonical block that is under way, and as what it was opened: "" while it has nothing to show.
        self._block = -1
        self._kind = ""
        # A call's arguments until it shows that they are an object; None once it has.
        self._held: str | None = None
        # What is opaque of a reasoning block is held until it ends: only then is it known whether it has text.
        self._opaque: ReasoningDelta | None = None
        self._refused = False
        self._finish: FinishReason = "stop"
        self._stop_sequence: str | None = None
        self._usage: Usage | None = None

    def feed(self, events: list[Event]) -> bytes:
        """The bytes for `events`."""
        for event in events:
            if not self._started and type(event) not in _BEFORE_THE_START:
                self._start(Started("", ""))  # not every upstream says that it begins
            if type(event) is TextDelta and event.choice == 0:
                self._delta(event.block, "text", _TEXT, event.text)
            else:
                self._take(event)
        out = b"".join(self._out)
        self._out.clear()
        return out

    def finish(self) -> bytes:
        """The end of the open block and of the message."""
        if not self._started:
            self._start(Started("", ""))
        self._close()
        ended = stop(self._call, self._finish, self._stop_sequence, self._refused)
        usage = UsageReport.of(self._usage or self._estimate())
        self._out.append(_event(b"message_delta", MessageDelta(ended, usage)))
        self._out.append(_MESSAGE_STOP)
        out = b"".join(self._out)
        self._out.clear()
        return out

    def fail(self, error: ApiError) -> bytes:
        return error_event(error)

    def _take(self, event: Event) -> None:
        match event:
            case Started():
                self._start(event)
            case UsageReported(usage):
                self._usage = usage
            case Failed() | PassedOver() | Logprobs():
                # The first two are never given to an encoder, the last cannot be asked for here.
                return
            case _ if event.choice:
                return
            case ToolArguments(json, block):
                self._arguments(block, json)
            case ReasoningDelta():
                self._reasoning(event)
            case ToolStarted():
                self._tool(event)
            case RefusalDelta(text, block):
                self._refused = True
                self._delta(block, "text", _TEXT, text)
            case CitationAdded(citation, block):
                self._citation(block, citation)
            case WholePart(Audio() as sound, block):
                if sound.transcript:
                    self._delta(block, "text", _TEXT, sound.transcript)
            case WholePart(part, block):
                media = media_block(part)
                if media is not None:
                    self._move(block)
                    self._open("media", media)
            case Finished(reason, stop_sequence):
                self._finish, self._stop_sequence = reason, stop_sequence

    def _start(self, event: Started) -> None:
        if self._started:
            return
        self._started = True
        model = event.model or self._call.model
        usage = UsageReport.of(self._usage or self._estimate())
        message = AnswerMessage(message_id(event.id), "assistant", model, [], None, None, usage)
        self._out.append(_event(b"message_start", MessageStart(message)))

    def _estimate(self) -> Usage:
        """The tokens that the prompt is likely to have: the stream begins with it, before any upstream has counted."""
        return Usage(prompt_tokens=-(-self._call.prompt_bytes() // _BYTES_PER_TOKEN))

    def _move(self, block: int) -> None:
        """End the block under way if `block` is another."""
        if block != self._block:
            self._close()
            self._block = block

    def _open(self, kind: str, block: AnswerBlock | ToolUseStart) -> None:
        self._index += 1
        self._kind = kind
        self._out.append(_event(b"content_block_start", BlockStart(self._index, block)))

    def _whole(self, block: RedactedThinkingBlock) -> None:
        self._open("", block)
        self._out.append(_BLOCK_STOP % self._index)

    def _close(self) -> None:
        held, self._opaque = self._opaque, None
        if held is not None:
            self._end_reasoning(held)
        if self._kind == "tool_use" and self._held:
            self._out.append(_DELTA % (self._index, _INPUT + _encode(bytes(as_object(self._held)).decode())))
        self._held = None
        if self._kind:
            self._out.append(_BLOCK_STOP % self._index)
            self._kind = ""
        self._block = -1

    def _delta(self, block: int, kind: str, head: bytes, text: str) -> None:
        if block != self._block:
            self._move(block)
        if not text:
            return
        if not self._kind:
            self._open(kind, _EMPTY_TEXT)
        self._out.append(_DELTA % (self._index, head + _encode(text)))

    def _arguments(self, block: int, json: str) -> None:
        """More of a call's arguments. SDKs read them as they come, and an input is an object."""
        held = self._held
        if held is None or block != self._block:
            self._delta(block, "tool_use", _INPUT, json)
            return
        held += json
        begun = held.lstrip()
        if begun.startswith("{"):
            self._held = None
            self._delta(block, "tool_use", _INPUT, begun)
        else:
            self._held = held

    def _citation(self, block: int, citation: Citation) -> None:
        self._move(block)
        if not self._kind:
            self._open("text", _EMPTY_TEXT)
        self._out.append(_DELTA % (self._index, _CITATION + bytes(citation_written(citation))))

    def _tool(self, event: ToolStarted) -> None:
        self._move(event.block)
        if event.signature is not None:
            self._whole(tool_signature(event.signature, event.origin))
        self._open("tool_use", ToolUseStart(tool_id(event.id), event.name))
        self._held = ""

    def _reasoning(self, event: ReasoningDelta) -> None:
        self._move(event.block)
        if event.text:
            if not self._kind:
                self._open("thinking", _EMPTY_THINKING)
            self._out.append(_DELTA % (self._index, _THINKING + _encode(event.text)))
        held = self._opaque or ReasoningDelta()
        self._opaque = ReasoningDelta(
            signature=event.signature or held.signature,
            encrypted=event.encrypted or held.encrypted,
            id=event.id or held.id,
            origin=event.origin or held.origin,
        )

    def _end_reasoning(self, held: ReasoningDelta) -> None:
        """Show what is opaque: in the block of the text if there is any, otherwise in one of its own."""
        if not self._kind and held.encrypted is not None:
            self._whole(RedactedThinkingBlock(Opaque(held.encrypted, held.origin, id=held.id).written()))
            return
        if not self._kind:
            if held.signature is None:
                return
            self._open("thinking", _EMPTY_THINKING)
        signature = reasoning_signature(held.signature, held.encrypted, held.id, held.origin)
        self._out.append(_DELTA % (self._index, _SIGNATURE + _encode(signature)))
