"""Answers as Responses events: a stream's parts as items that open, grow and close.

A piece of text costs one join of what was made ready when its part opened.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, cast

import msgspec
from msgspec import Raw

from weebill.apis.responses.answer import (
    end_of,
    ended,
    failed,
    image_item,
    new_id,
    opened,
    reasoning_item,
    signature_item,
)
from weebill.apis.responses.answer_shapes import Item, ResponseObject
from weebill.apis.responses.calls import ITEM_IDS, CallOfOtherKind, call_item
from weebill.apis.responses.events import DELTAS, delta_event, error_event, events_at_end
from weebill.apis.responses.tools import ClientTool, other_kinds
from weebill.wire.arguments import NO_ARGUMENTS
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Image, Reasoning
from weebill.wire.errors import ApiError
from weebill.wire.openai_logprobs import text_logprobs
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
    Content,
    ImageItem,
    MessageItem,
    ReasoningItem,
    UsageReport,
    annotation,
    output_text,
)
from weebill.wire.responses_request import ResponsesRequest
from weebill.wire.responses_shapes import CallItem

_encode: Final = msgspec.json.encode
_TEXT: Final = "output_text"
_REFUSAL: Final = "refusal"
_CALL: Final = "function_call"
_OTHER_CALL: Final = "other_call"
_NO_TOOL: Final = ClientTool("function", "")
_IMAGE_BEGUN: Final = b'{"type":"image_generation_call","id":%b,"status":"in_progress","result":null}'


class ResponseStream:
    """A `StreamEncoder`. `response` is the Response object's JSON once the stream has ended, b"" before."""

    most_choices: ClassVar[int] = 1

    __slots__ = (
        "_annotations", "_block", "_call", "_call_id", "_contents", "_delta", "_finish", "_item_id", "_kind", "_kinds",
        "_logprobs", "_message_id", "_other", "_output", "_piece", "_position", "_refused", "_response", "_sequence",
        "_texts", "_tool", "_usage", "response",
    )  # fmt: skip

    def __init__(self, call: Call) -> None:
        self._call = call
        # The tools that the client knows otherwise than the model; looked up with the first call.
        self._kinds: Mapping[str, ClientTool] | None = None
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
        self._tool = _NO_TOOL
        self._call_id = ""
        self._other = CallOfOtherKind(_NO_TOOL, "", "")
        self._item_id = ""
        # The message under way, of which the part may be the first or a later one.
        self._message_id = ""
        self._contents: list[Content] = []
        self._finish: FinishReason = "stop"
        self._refused = False
        self._usage = Usage()
        self.response = b""

    def feed(self, events: list[Event]) -> bytes:
        """The bytes to send for `events`. Answers other than the first cannot be asked for in this API."""
        written: list[bytes] = []
        if self._response is None and events and type(events[0]) is not Started:
            self._start(Started("", ""), written)
        last = len(events) - 1
        for at, event in enumerate(events):
            if type(event) is TextDelta and not event.choice:
                following = events[at + 1] if at < last else None
                self._text(event, following.entries if isinstance(following, Logprobs) else (), written)
            elif getattr(event, "choice", 0):
                continue
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
        self._tell(written, f"response.{response.status}".encode(), self.response)
        return b"".join(written)

    def fail(self, error: ApiError) -> bytes:
        """The end of a stream that failed: the error, then the response with what there is of it."""
        written: list[bytes] = []
        response = self._started(written)
        self._close_item(written, "incomplete")
        written.append(error_event(error, self._sequence))
        self._sequence += 1
        self.response = _encode(failed(response, self._output, error))
        self._tell(written, b"response.failed", self.response)
        return b"".join(written)

    # What follows writes one kind of event each.

    def _start(self, event: Started, written: list[bytes]) -> ResponseObject:
        if self._response is not None:
            # Some upstreams begin twice.
            return self._response
        response = self._response = opened(self._call, event.id, event.model, event.created)
        encoded = _encode(response)
        self._tell(written, b"response.created", encoded)
        self._tell(written, b"response.in_progress", encoded)
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
        if self._kinds is None:
            self._kinds = other_kinds(cast(ResponsesRequest, self._call.request), self._call.fields)
        tool = self._kinds.get(event.name) or ClientTool("function", event.name)
        call_id = event.id or new_id("call_")
        item_id = new_id(ITEM_IDS[tool.kind])
        item = call_item(tool, call_id, "", item_id, "in_progress")
        self._open_item(event.block, _CALL if tool.kind == "function" else _OTHER_CALL, item, written)
        self._tool, self._call_id = tool, call_id
        if tool.kind != "function":
            self._other = CallOfOtherKind(tool, call_id, item_id)

    def _arguments(self, event: ToolArguments, written: list[bytes]) -> None:
        # What a model says as arguments of a function is something else to the client where that is none to it.
        said = self._other.add(event.json) if self._kind == _OTHER_CALL else event.json
        if said:
            self._texts.append(said)
            written.append(self._delta % (self._sequence, _encode(said)))
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

    def _tell(self, written: list[bytes], name: bytes, response: bytes) -> None:
        """An event that holds the whole response, which may be so long that each copy counts."""
        written.append(b'event: %b\ndata: {"type":"%b","sequence_number":%d,"response":' % (name, name, self._sequence))
        written.append(response)
        written.append(b"}\n\n")
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
        self._delta = delta_event(f"response.{kind}.delta", self._position, with_logprobs=kind == _TEXT)
        empty = output_text("") if kind == _TEXT else Content(_REFUSAL, refusal="")
        self._emit(written, b"response.content_part.added", self._position + b',"part":' + _encode(empty))

    def _open_item(self, block: int, kind: str, item: ReasoningItem | CallItem, written: list[bytes]) -> None:
        self._close_item(written, "completed")
        self._begin(block, kind)
        self._item_id = item.id or ""
        self._position = b'"item_id":%b,"output_index":%d' % (_encode(self._item_id), self._index())
        if kind == "reasoning":
            self._position += b',"summary_index":0'
        self._delta = delta_event(DELTAS.get(kind, ""), self._position)
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
                self._done(call_item(self._tool, self._call_id, said, self._item_id, status), written)
            case "other_call":
                rest, call = self._other.ended(status)
                for name, data in events_at_end(call, rest, self._position, self._index()):
                    self._emit(written, name, data)
                self._done(call, written)

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
