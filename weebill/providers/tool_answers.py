"""Answers in which text stands for tool calls, rewritten as OpenAI's `tool_calls`."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import Raw

from weebill.providers.base import StreamDecoder, Usage
from weebill.providers.tool_text import BoundCall, Delta, FreeText, ToolCallDelta, ToolText
from weebill.wire.errors import ApiError
from weebill.wire.sse import event, event_data

_encode = msgspec.json.encode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_END = b"\n\n"


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None
    tool_calls: list[Raw] | None = None


class _Choice(msgspec.Struct, frozen=True):
    """A choice of an answer (`message`) or of a chunk (`delta`), as far as it is read."""

    index: int = 0
    message: _Message = _Message()
    delta: _Message = _Message()
    finish_reason: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    id: str = ""
    choices: list[_Choice] = []


_decode_answer = msgspec.json.Decoder(_Answer).decode


@dataclass(frozen=True, slots=True)
class ToolAnswers:
    """How one request's answers are read: `names` of its tools, `bound` to call one, `offered` at all."""

    names: frozenset[str]
    bound: bool
    offered: bool

    def text(self, identity: str) -> ToolText:
        """A reader for one choice of the answer `identity`."""
        if self.bound:
            return BoundCall(identity)
        return FreeText(identity, self.names if self.offered else frozenset())

    def decode(self, body: bytes) -> bytes:
        """A complete answer. A choice without calls stays as it came."""
        fields = _decode_fields(body)
        answer = _decode_answer(body)
        raw_choices = msgspec.json.decode(fields["choices"], type=list[dict[str, Raw]])
        choices = [
            self._choice(answer.id, choice, raw) for choice, raw in zip(answer.choices, raw_choices, strict=True)
        ]
        return _encode({**fields, "choices": choices})

    def _choice(self, identity: str, choice: _Choice, raw: dict[str, Raw]) -> dict[str, Raw]:
        if choice.message.tool_calls or not choice.message.content:
            return raw
        text = self.text(_identity(identity, choice.index))
        complete = choice.finish_reason == "stop"
        deltas = [*text.feed(choice.message.content), *text.finish(complete)]
        if not text.called:
            return raw
        message = {
            **_decode_fields(raw["message"]),
            "content": Raw(b"null"),
            "tool_calls": Raw(_encode(_joined(deltas))),
        }
        reason = Raw(b'"tool_calls"') if complete else raw["finish_reason"]
        return {**raw, "message": Raw(_encode(message)), "finish_reason": reason}


class ToolStream:
    """A `StreamDecoder` that rewrites what another relays."""

    def __init__(self, relay: StreamDecoder, answers: ToolAnswers) -> None:
        self._relay = relay
        self._answers = answers
        self._texts: dict[int, ToolText] = {}

    @property
    def usage(self) -> Usage:
        return self._relay.usage

    @property
    def error(self) -> ApiError | None:
        return self._relay.error

    def feed(self, data: bytes) -> bytes:
        """The rewritten events."""
        return self._rewrite(self._relay.feed(data))

    def finish(self) -> bytes:
        """The end, as the relay has it."""
        return self._rewrite(self._relay.finish())

    def _rewrite(self, events: bytes) -> bytes:
        if not events:
            return events
        return b"".join([self._event(block) for block in events.removesuffix(_END).split(_END)])

    def _event(self, block: bytes) -> bytes:
        try:
            data = event_data(block)
            answer, fields = _decode_answer(data), _decode_fields(data)
        except msgspec.DecodeError:  # a comment, or [DONE]
            return block + _END
        if not answer.choices:
            return block + _END
        raw_choices = msgspec.json.decode(fields["choices"], type=list[dict[str, Raw]])
        written = [
            event(_encode({**fields, "choices": [rewritten]}))
            for choice, raw in zip(answer.choices, raw_choices, strict=True)
            for rewritten in self._choice(answer.id, choice, raw)
        ]
        return b"".join(written)

    def _choice(self, identity: str, choice: _Choice, raw: dict[str, Raw]) -> list[dict[str, Raw]]:
        """The choices, one a chunk, that take this one's place."""
        text = self._texts.get(choice.index)
        if text is None:
            text = self._texts[choice.index] = self._answers.text(_identity(identity, choice.index))
        deltas = text.feed(choice.delta.content or "")
        reason = raw.get("finish_reason", Raw(b"null"))
        if choice.finish_reason is not None:
            deltas += text.finish(choice.finish_reason == "stop")
            if text.called and choice.finish_reason == "stop":
                reason = Raw(b'"tool_calls"')
        unfinished = Raw(b"null")
        rest = {name: value for name, value in _decode_fields(raw["delta"]).items() if name != "content"}
        pieces = [{**raw, "delta": Raw(_encode(_fields(delta))), "finish_reason": unfinished} for delta in deltas]
        if rest or choice.finish_reason is not None:
            last = {**raw, "delta": Raw(_encode(rest)), "finish_reason": reason}
            # The role comes first, the reason for the end last.
            return [*pieces, last] if choice.finish_reason is not None else [last, *pieces]
        return pieces


def _fields(delta: Delta) -> dict[str, object]:
    return {"content": delta} if isinstance(delta, str) else {"tool_calls": [delta]}


def _joined(deltas: list[Delta]) -> list[dict[str, object]]:
    """Whole calls out of their pieces."""
    calls: dict[int, dict[str, object]] = {}
    arguments: dict[int, str] = {}
    for delta in deltas:
        if isinstance(delta, ToolCallDelta):
            arguments[delta.index] = arguments.get(delta.index, "") + delta.function.arguments
            if delta.function.name is not None:
                calls[delta.index] = {"id": delta.id, "type": delta.type, "name": delta.function.name}
    return [
        {
            "id": call["id"],
            "type": call["type"],
            "function": {"name": call["name"], "arguments": arguments[index]},
        }
        for index, call in calls.items()
    ]


def _identity(answer: str, choice: int) -> str:
    """What the ids of a choice's calls are made from."""
    identity = answer.removeprefix("chatcmpl-")
    return f"{identity}_{choice}" if choice else identity
