"""Answers in which text stands for tool calls, rewritten as OpenAI's `tool_calls`."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import Raw

from weebill.providers.base import ByteStream
from weebill.providers.llamacpp.tool_text import BoundCall, Delta, FreeText, ToolText
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure
from weebill.wire.json_values import decode_object
from weebill.wire.reply import Usage
from weebill.wire.sse import event, event_data

_encode = msgspec.json.encode
_END = b"\n\n"


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    """A choice of a chunk, as far as it is read."""

    index: int = 0
    delta: _Delta = _Delta()
    finish_reason: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    id: str = ""
    choices: list[_Choice] = []


_decode_answer = msgspec.json.Decoder(_Answer).decode


@dataclass(frozen=True, slots=True)
class ToolAnswers:
    """The way one request's answers are read: `names` of its tools, `bound` to call one, `offered` at all."""

    names: frozenset[str]
    bound: bool
    offered: bool

    def text(self, identity: str) -> ToolText:
        """A reader for one choice of the answer `identity`."""
        if self.bound:
            return BoundCall(identity)
        return FreeText(identity, self.names if self.offered else frozenset())


class ToolStream:
    """A `ByteStream` that rewrites what another relays."""

    def __init__(self, relay: ByteStream, answers: ToolAnswers) -> None:
        self._relay = relay
        self._answers = answers
        self._texts: dict[int, ToolText] = {}

    @property
    def usage(self) -> Usage:
        return self._relay.usage

    @property
    def error(self) -> UpstreamFailure | None:
        return self._relay.error

    @property
    def begun(self) -> bool:
        return self._relay.begun

    @property
    def owed_s(self) -> float:
        return self._relay.owed_s

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
            answer, fields = _decode_answer(data), decode_object(data)
        except UNREADABLE:  # a comment, or [DONE]
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
        rest = {name: value for name, value in decode_object(raw["delta"]).items() if name != "content"}
        pieces = [{**raw, "delta": Raw(_encode(_fields(delta))), "finish_reason": unfinished} for delta in deltas]
        if rest or choice.finish_reason is not None:
            last = {**raw, "delta": Raw(_encode(rest)), "finish_reason": reason}
            # The role comes first, the reason for the end last.
            return [*pieces, last] if choice.finish_reason is not None else [last, *pieces]
        return pieces


def _fields(delta: Delta) -> dict[str, object]:
    return {"content": delta} if isinstance(delta, str) else {"tool_calls": [delta]}


def _identity(answer: str, choice: int) -> str:
    """The text that the ids of a choice's calls are made from."""
    identity = answer.removeprefix("chatcmpl-")
    return f"{identity}_{choice}" if choice else identity
