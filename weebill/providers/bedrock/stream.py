"""Streams in the format of Bedrock's ConverseStream API.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.providers.bedrock.decode import (
    SERVER_TOOL,
    ImageSource,
    ModelFields,
    TokenUsage,
    ToolUseBlock,
    citation,
    compact,
    decode_reply,
    exception_error,
    finish_of,
    image,
    not_an_answer,
    stopped_by,
)
from weebill.providers.bedrock.encode import FAMILY
from weebill.providers.bedrock.models import JSON_TOOL
from weebill.providers.failures import failure_of
from weebill.wire.arguments import NO_ARGUMENTS
from weebill.wire.errors import UNREADABLE
from weebill.wire.eventstream import Frame, FrameDecoder
from weebill.wire.failure import UpstreamFailure, cut
from weebill.wire.lenient import reader
from weebill.wire.replay import events_of
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Failed,
    Finished,
    PassedOver,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    UsageReported,
    WholePart,
)
from weebill.wire.sse import MAX_EVENT_BYTES, bounded


class _ToolInput(Struct, frozen=True):
    # Text, or the object itself.
    input: Raw = Raw()


class _ReasoningPiece(Struct, frozen=True, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _ImagePiece(Struct, frozen=True):
    source: ImageSource | None = None


class _Delta(Struct, frozen=True, rename="camel"):
    text: str | None = None
    tool_use: _ToolInput | None = None
    reasoning_content: _ReasoningPiece | None = None
    # Not `Raw | None`, which takes nothing but null.
    citation: Raw | UnsetType = UNSET
    image: _ImagePiece | None = None


class _BlockDelta(Struct, frozen=True, rename="camel"):
    delta: _Delta = _Delta()
    content_block_index: int = 0


class _ImageStart(Struct, frozen=True):
    format: str = "png"


class _Start(Struct, frozen=True, rename="camel"):
    text: str | None = None
    tool_use: ToolUseBlock | None = None
    image: _ImageStart | None = None


class _BlockStart(Struct, frozen=True, rename="camel"):
    start: _Start = _Start()
    content_block_index: int = 0


class _MessageStop(Struct, frozen=True, rename="camel"):
    stop_reason: str | None = None
    additional_model_response_fields: ModelFields | None = None


class _Metadata(Struct, frozen=True):
    usage: TokenUsage | None = None


_decode_delta: Final = reader(_BlockDelta)
_decode_start: Final = reader(_BlockStart)
_decode_stop: Final = reader(_MessageStop)
_decode_metadata: Final = reader(_Metadata)


# As the first byte of a frame it would be one of two gigabytes.
_JSON: Final = b"{"


class BedrockStream:
    """A `StreamDecoder`."""

    __slots__ = (
        "_begun",
        "_block",
        "_called",
        "_calling",
        "_failed",
        "_frames",
        "_image",
        "_index",
        "_json",
        "_missing",
        "_pieces",
        "_plain",
        "_reported",
        "_started",
        "_stopped",
    )

    def __init__(self) -> None:
        self._frames = FrameDecoder()
        self._begun = False
        self._block = -1
        self._index = -1
        self._json = -1
        """The index of the block that is the answer's JSON, as a tool's arguments."""
        self._missing = False
        """True while the call under way has no arguments yet."""
        self._image = ""
        self._pieces: list[bytes] = []
        self._plain = bytearray()
        """All that came, where it is no frames but one JSON text: so servers answer that do not stream."""
        self._called = False
        self._calling = False  # whether the part that is open is a call
        self._started = False
        self._reported = False
        self._stopped = False
        self._failed = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises UpstreamFailure on a damaged frame or one that cannot be read."""
        events: list[Event] = []
        if self._plain or (not self._begun and data.startswith(_JSON)):
            self._plain += data
            if len(self._plain) > MAX_EVENT_BYTES:
                raise not_an_answer(f"it is over {MAX_EVENT_BYTES} bytes long")
            return events
        self._begun = True
        for frame in self._frames.feed(data):
            try:
                self._read(frame, events)
            except (*UNREADABLE, ValueError) as error:
                raise not_an_answer(str(error)) from error
            if self._failed:
                break
        return events

    def finish(self) -> list[Event]:
        """The rest. Raises UpstreamFailure if the upstream never said that it had finished."""
        if self._plain:
            return events_of(decode_reply(bounded(bytes(self._plain))))
        if self._stopped or self._failed:
            return []
        if self._reported:  # The usage comes after all else.
            return [Finished("tool_calls" if self._called else "stop")]
        raise cut()

    def _read(self, frame: Frame, events: list[Event]) -> None:
        headers, payload = frame
        read = _READERS.get(headers.get(":event-type"))
        if read is not None:
            before = len(events)
            read(self, payload, events)
            if not self._started and len(events) > before and not self._failed:
                self._started = True
                events.insert(before, Started("", ""))
        elif headers.get(":message-type") == "exception":
            self._fail(exception_error(str(headers.get(":exception-type", "")), payload), events)
        elif headers.get(":message-type") == "error":
            message = headers.get(":error-message") or headers.get(":error-code")
            self._fail(failure_of(500, str(message) if message else None, ""), events)

    def _fail(self, error: UpstreamFailure, events: list[Event]) -> None:
        self._failed = True
        events.append(Failed(error))

    def _read_message_start(self, payload: bytes, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            events.append(Started("", ""))

    def _open(self, index: int, events: list[Event]) -> None:
        """Begin a part with the first thing that is said of the block of that index; no call goes on after that."""
        self._end_call(events)
        self._index = index
        self._block += 1

    def _open_for_text(self, index: int, events: list[Event]) -> None:
        """Begin a part unless what is said goes on with the last, which is no call."""
        if index != self._index or self._calling:
            self._open(index, events)

    def _end_call(self, events: list[Event]) -> None:
        """The call that is open, if any, gets no more arguments."""
        if self._missing:
            self._missing = False
            events.append(ToolArguments(NO_ARGUMENTS, self._block))
        self._calling = False

    def _read_start(self, payload: bytes, events: list[Event]) -> None:
        started = _decode_start(payload)
        tool = started.start.tool_use
        if tool is not None and tool.type == SERVER_TOOL:
            self._index = -1
            events.append(PassedOver(SERVER_TOOL))
        elif tool is not None:
            self._open(started.content_block_index, events)
            given = compact(tool.input)
            if tool.name == JSON_TOOL:
                self._json = started.content_block_index
                if given != NO_ARGUMENTS:
                    events.append(TextDelta(given, self._block))
            else:
                self._called = self._calling = self._missing = True
                events.append(ToolStarted(tool.tool_use_id, tool.name, self._block))
                if given != NO_ARGUMENTS:
                    self._missing = False
                    events.append(ToolArguments(given, self._block))
        elif started.start.text:
            self._open(started.content_block_index, events)
            events.append(TextDelta(started.start.text, self._block))
        elif started.start.image is not None:
            self._open(started.content_block_index, events)
            self._image, self._pieces = started.start.image.format, []

    def _read_delta(self, payload: bytes, events: list[Event]) -> None:
        piece = _decode_delta(payload)
        delta, index = piece.delta, piece.content_block_index
        if delta.text is not None:
            if delta.text:
                self._open_for_text(index, events)
                events.append(TextDelta(delta.text, self._block))
        elif delta.tool_use is not None:
            given = bytes(delta.tool_use.input)
            arguments = compact(delta.tool_use.input) if given not in (b"", b'""', b"null") else ""
            if arguments and index == self._json:
                events.append(TextDelta(arguments, self._block))
            elif arguments and index == self._index and self._calling:
                self._missing = False
                events.append(ToolArguments(arguments, self._block))
        elif delta.reasoning_content is not None:
            self._open_for_text(index, events)
            thought = delta.reasoning_content
            events.append(
                ReasoningDelta(
                    thought.text or "", thought.signature, thought.redacted_content, None, FAMILY, self._block
                )
            )
        elif delta.citation is not UNSET:
            self._open_for_text(index, events)
            events.append(CitationAdded(citation(delta.citation), self._block))
        elif delta.image is not None and delta.image.source is not None and delta.image.source.bytes:
            self._pieces.append(b64decode(delta.image.source.bytes))

    def _read_block_stop(self, payload: bytes, events: list[Event]) -> None:
        self._end_call(events)
        if self._image:
            data = b64encode(b"".join(self._pieces)).decode()
            events.append(WholePart(image(self._image, data), self._block))
            self._image, self._pieces = "", []

    def _read_stop(self, payload: bytes, events: list[Event]) -> None:
        stop = _decode_stop(payload)
        try:
            finish = finish_of(stop.stop_reason, self._called)
        except UpstreamFailure as error:
            self._fail(error, events)
            return
        self._stopped = True
        fields = stop.additional_model_response_fields
        events.append(Finished(finish, stopped_by(stop.stop_reason, fields)))

    def _read_metadata(self, payload: bytes, events: list[Event]) -> None:
        usage = _decode_metadata(payload).usage
        self._reported = True
        if usage is not None:
            events.append(UsageReported(usage.usage()))


_READERS: Final[dict[object, Callable[[BedrockStream, bytes, list[Event]], None]]] = {
    "messageStart": BedrockStream._read_message_start,
    "contentBlockStart": BedrockStream._read_start,
    "contentBlockDelta": BedrockStream._read_delta,
    "contentBlockStop": BedrockStream._read_block_stop,
    "messageStop": BedrockStream._read_stop,
    "metadata": BedrockStream._read_metadata,
}
