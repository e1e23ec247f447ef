"""Answers as Responses events: a stream's parts as items that open, grow and close.

A piece of text costs one join of what was made ready when its part opened.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.apis.responses.answer import (
    ResponseObject,
    end_of,
    ended,
    failed,
    image_item,
    new_id,
    opened,
    reasoning_item,
    signature_item,
)
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Image, Reasoning
from weebill.wire.errors import ApiError
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
    Usage,
    UsageReported,
    WholePart,
)
from weebill.wire.responses import (
    NO_ARGUMENTS,
    Content,
    FunctionCallItem,
    ImageItem,
    Item,
    MessageItem,
    ReasoningItem,
    UsageReport,
    annotation,
    output_text,
    text_logprobs,
)

_encode: Final = msgspec.json.encode
_TEXT: Final = "output_text"
_REFUSAL: Final = "refusal"
_IMAGE_BEGUN: Final = b'{"type":"image_generation_call","id":%b,"status":"in_progress","result":null}'


class _ErrorFields(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class _ErrorEvent(Struct, frozen=True):
    """The documented event has its fields flat, the one that OpenAI sends nested: only for that do the SDKs raise."""

    type: str
    code: str | None
    message: str
    param: str | None
    sequence_number: int
    error: _ErrorFields


def error_event(error: ApiError, sequence: int = 0) -> bytes:
    """The event that ends a stream that failed."""
    detail = error.detail
    fields = _ErrorFields(detail.message, detail.type, detail.param, detail.code)
    event = _ErrorEvent("error", detail.code, detail.message, detail.param, sequence, fields)
    return b"event: error\ndata: %b\n\n" % _encode(event)


class ResponseStream:
    """A `StreamEncoder`. `response` is the Response object's JSON once the stream has ended, b"" before."""

    __slots__ = (
        "_annotations", "_block", "_call", "_contents", "_delta", "_finish", "_item_id", "_kind", "_logprobs",
        "_message_id", "_output", "_piece", "_position", "_refused", "_response", "_sequence", "_texts", "_tool",
        "_usage", "response",
    )  # fmt: skip

    def __init__(self, call: Call) -> None:
        self._call = call
        self._response: ResponseObject | None = None
        self._sequence = 0
        self._output: list[Raw] = []
        # The part under way: its block, what it is, what its deltas begin with, and what has been said of it.
        self._block = -1
        self._kind = ""
        self._delta = b""
        self._position = b""
        self._texts: list[str] = []
        self._annotations: list[Raw] = []
        self._logprobs: list[Raw] = []
        self._piece = Reasoning()
        self._tool = ToolStarted("", "")
        self._item_id = ""
        # The message under way, of which the part may be the first or a later one.
        self._message_id = ""
        self._contents: list[Content] = []
        self._finish: FinishReason = "stop"
        self._refused = False
        self._usage = Usage()
        self.response = b""

    def feed(self, events: list[Event]) -> bytes:
        """What to send for `events`. Answers other than the first cannot be asked for in this API."""
        written: list[bytes] = []
        last = len(events) - 1
        for at, event in enumerate(events):
            if type(event) is TextDelta:
                following = events[at + 1] if at < last else None
                self._text(event, following.entries if isinstance(following, Logprobs) else (), written)
            elif type(event) is Logprobs:
                # Those of a text next to them have been sent with it.
                if self._kind == _TEXT and (at == 0 or type(events[at - 1]) is not TextDelta):
                    self._text(TextDelta("", self._block), event.entries, written)
            else:
                _WRITERS[type(event)](self, event, written)
        return b"".join(written)

    def finish(self) -> bytes:
        """Closes what is open, and the response."""
        written: list[bytes] = []
        status, _ = end_of(self._finish, self._refused)
        self._close_item(written, status)
        response = ended(self._started(written), self._output, self._finish, self._refused, UsageReport.of(self._usage))
        self.response = _encode(response)
        self._emit(written, f"response.{response.status}".encode(), b'"response":' + self.response)
        return b"".join(written)

    def fail(self, error: ApiError) -> bytes:
        """The end of a stream that failed: the error, then the response with what there is of it."""
        written: list[bytes] = []
        response = self._started(written)
        self._close_item(written, "incomplete")
        written.append(error_event(error, self._sequence))
        self._sequence += 1
        self.response = _encode(failed(response, self._output, error))
        self._emit(written, b"response.failed", b'"response":' + self.response)
        return b"".join(written)

    # What follows writes one kind of event each.

    def _start(self, event: Started, written: list[bytes]) -> ResponseObject:
        response = self._response = opened(self._call, event.id, event.model, event.created)
        data = b'"response":' + _encode(response)
        self._emit(written, b"response.created", data)
        self._emit(written, b"response.in_progress", data)
        return response

    def _text(self, event: TextDelta, logprobs: tuple[Raw, ...], written: list[bytes]) -> None:
        if event.block != self._block or self._kind != _TEXT:
            self._open_content(event.block, _TEXT, written)
        self._texts.append(event.text)
        entries = b"[]"
        if logprobs:
            own = text_logprobs(logprobs)
            self._logprobs.extend(own)
            entries = _encode(own)
        if event.text or logprobs:
            written.append(self._delta % (self._sequence, _encode(event.text), entries))
            self._sequence += 1

    def _citation(self, event: CitationAdded, written: list[bytes]) -> None:
        if event.block != self._block or self._kind != _TEXT:
            self._open_content(event.block, _TEXT, written)
        noted = annotation(event.citation)
        data = b'%b,"annotation_index":%d,"annotation":%b' % (self._position, len(self._annotations), bytes(noted))
        self._annotations.append(noted)
        self._emit(written, b"response.output_text.annotation.added", data)

    def _refusal(self, event: RefusalDelta, written: list[bytes]) -> None:
        if event.block != self._block or self._kind != _REFUSAL:
            self._open_content(event.block, _REFUSAL, written)
        self._refused = True
        self._texts.append(event.text)
        written.append(self._delta % (self._sequence, _encode(event.text)))
        self._sequence += 1

    def _reasoning(self, event: ReasoningDelta, written: list[bytes]) -> None:
        if event.block != self._block:
            item = reasoning_item(Reasoning(id=event.id, origin=event.origin))
            self._open_item(event.block, "reasoning", item, written)
            self._piece = Reasoning(origin=event.origin)
        known = self._piece
        if event.signature or event.encrypted or (event.origin and not known.origin):
            self._piece = Reasoning(
                "",
                event.signature or known.signature,
                event.encrypted or known.encrypted,
                origin=event.origin or known.origin,
            )
        if not event.text:
            return
        if not self._texts:
            data = self._position + b',"part":{"type":"summary_text","text":""}'
            self._emit(written, b"response.reasoning_summary_part.added", data)
        self._texts.append(event.text)
        written.append(self._delta % (self._sequence, _encode(event.text)))
        self._sequence += 1

    def _tool_started(self, event: ToolStarted, written: list[bytes]) -> None:
        if event.signature is not None:
            self._whole(signature_item(event.signature, event.origin), written)
        call_id = event.id or new_id("call_")
        item = FunctionCallItem(call_id, event.name, "", new_id("fc_"), "in_progress")
        self._open_item(event.block, "function_call", item, written)
        self._tool = ToolStarted(call_id, event.name)

    def _arguments(self, event: ToolArguments, written: list[bytes]) -> None:
        if event.json:
            self._texts.append(event.json)
            written.append(self._delta % (self._sequence, _encode(event.json)))
            self._sequence += 1

    def _whole_part(self, event: WholePart, written: list[bytes]) -> None:
        part = event.part
        if isinstance(part, Image) and part.data is not None:
            self._whole(image_item(part), written)
            self._block = event.block
        elif isinstance(part, Image | Audio):
            said = part.url if isinstance(part, Image) else part.transcript
            self._text(TextDelta(said or "", event.block), (), written)

    def _finished(self, event: Finished, written: list[bytes]) -> None:
        self._finish = event.reason

    def _used(self, event: UsageReported, written: list[bytes]) -> None:
        self._usage = event.usage

    # What follows opens and closes parts and items.

    def _started(self, written: list[bytes]) -> ResponseObject:
        return self._response or self._start(Started("", ""), written)

    def _emit(self, written: list[bytes], name: bytes, data: bytes) -> None:
        written.append(
            b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n' % (name, name, self._sequence, data)
        )
        self._sequence += 1

    def _index(self) -> int:
        """The output index of the item under way."""
        return len(self._output)

    def _open_content(self, block: int, kind: str, written: list[bytes]) -> None:
        """Begin a part of a message, and the message if none is under way."""
        if self._message_id and self._kind in (_TEXT, _REFUSAL):
            self._close_content(written)
        else:
            self._close_item(written, "completed")
            self._message_id = new_id("msg_")
            item = MessageItem("assistant", [], self._message_id, "in_progress")
            self._emit(written, b"response.output_item.added", self._item(item))
        self._begin(block, kind)
        at = len(self._contents)
        self._position = b'"item_id":"%b","output_index":%d,"content_index":%d' % (
            self._message_id.encode(), self._index(), at
        )  # fmt: skip
        self._delta = _delta(f"response.{kind}.delta", self._position, with_logprobs=kind == _TEXT)
        empty = output_text("") if kind == _TEXT else Content(_REFUSAL, refusal="")
        self._emit(written, b"response.content_part.added", self._position + b',"part":' + _encode(empty))

    def _open_item(self, block: int, kind: str, item: ReasoningItem | FunctionCallItem, written: list[bytes]) -> None:
        self._close_item(written, "completed")
        self._begin(block, kind)
        self._item_id = item.id or ""
        self._position = b'"item_id":%b,"output_index":%d' % (_encode(self._item_id), self._index())
        if kind == "reasoning":
            self._position += b',"summary_index":0'
        self._delta = _delta(_DELTAS[kind], self._position)
        self._emit(written, b"response.output_item.added", self._item(item))

    def _begin(self, block: int, kind: str) -> None:
        self._block, self._kind = block, kind
        self._texts, self._annotations, self._logprobs = [], [], []

    def _item(self, item: Item) -> bytes:
        return b'"output_index":%d,"item":%b' % (self._index(), _encode(item))

    def _whole(self, item: ReasoningItem | ImageItem, written: list[bytes]) -> None:
        """An item that came in one piece."""
        self._close_item(written, "completed")
        if isinstance(item, ImageItem):
            begun = b'"output_index":%d,"item":' % self._index() + _IMAGE_BEGUN % _encode(item.id)
            self._emit(written, b"response.output_item.added", begun)
            data = b'"item_id":%b,"output_index":%d' % (_encode(item.id), self._index())
            self._emit(written, b"response.image_generation_call.completed", data)
        else:
            self._emit(written, b"response.output_item.added", self._item(item))
        self._done(item, written)

    def _done(self, item: Item, written: list[bytes]) -> None:
        encoded = _encode(item)
        data = b'"output_index":%d,"item":%b' % (self._index(), encoded)
        self._emit(written, b"response.output_item.done", data)
        self._output.append(Raw(encoded))
        self._begin(-1, "")

    def _close_item(self, written: list[bytes], status: str) -> None:
        """Close the part and the item that are under way, if any."""
        match self._kind:
            case "output_text" | "refusal":
                self._close_content(written)
                item = MessageItem("assistant", self._contents, self._message_id, status)
                self._done(item, written)
                self._message_id, self._contents = "", []
            case "reasoning":
                self._close_reasoning(written, status)
            case "function_call":
                if not self._texts:
                    self._arguments(ToolArguments(NO_ARGUMENTS), written)
                said = "".join(self._texts)
                data = b'%b,"name":%b,"arguments":%b' % (self._position, _encode(self._tool.name), _encode(said))
                self._emit(written, b"response.function_call_arguments.done", data)
                self._done(FunctionCallItem(self._tool.id, self._tool.name, said, self._item_id, status), written)

    def _close_content(self, written: list[bytes]) -> None:
        said = "".join(self._texts)
        if self._kind == _TEXT:
            content = output_text(said, self._annotations, self._logprobs)
            data = b'%b,"text":%b,"logprobs":%b' % (self._position, _encode(said), _encode(self._logprobs))
        else:
            content = Content(_REFUSAL, refusal=said)
            data = b'%b,"refusal":%b' % (self._position, _encode(said))
        self._emit(written, f"response.{self._kind}.done".encode(), data)
        self._emit(written, b"response.content_part.done", self._position + b',"part":' + _encode(content))
        self._contents.append(content)

    def _close_reasoning(self, written: list[bytes], status: str) -> None:
        said = "".join(self._texts)
        if said:
            text = _encode(said)
            self._emit(written, b"response.reasoning_summary_text.done", b'%b,"text":%b' % (self._position, text))
            part = b'%b,"part":{"type":"summary_text","text":%b}' % (self._position, text)
            self._emit(written, b"response.reasoning_summary_part.done", part)
        known = self._piece
        piece = Reasoning(said, known.signature, known.encrypted, None, known.origin)
        self._done(reasoning_item(piece, self._item_id, "incomplete" if status == "incomplete" else None), written)


_DELTAS: Final = {
    "reasoning": "response.reasoning_summary_text.delta",
    "function_call": "response.function_call_arguments.delta",
}


def _delta(name: str, position: bytes, with_logprobs: bool = False) -> bytes:
    """A delta event with places for its number, its text and, where it has them, its logprobs."""
    head = b'event: %b\ndata: {"type":"%b",%b' % (name.encode(), name.encode(), position.replace(b"%", b"%%"))
    return head + (b',"sequence_number":%d,"delta":%b' + (b',"logprobs":%b}\n\n' if with_logprobs else b"}\n\n"))


_WRITERS: Final[dict[type, Callable[..., object]]] = {
    Started: ResponseStream._start,
    CitationAdded: ResponseStream._citation,
    RefusalDelta: ResponseStream._refusal,
    ReasoningDelta: ResponseStream._reasoning,
    ToolStarted: ResponseStream._tool_started,
    ToolArguments: ResponseStream._arguments,
    WholePart: ResponseStream._whole_part,
    Finished: ResponseStream._finished,
    UsageReported: ResponseStream._used,
}
