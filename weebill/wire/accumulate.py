"""A reply put together from a stream's events."""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from weebill.wire.conversation import Citation, Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.reply import (
    Choice,
    CitationAdded,
    Event,
    Failed,
    Finished,
    FinishReason,
    Logprobs,
    PassedOver,
    ReasoningDelta,
    RefusalDelta,
    Reply,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
    WholePart,
)

MAX_NAMED: Final = 64
"""The most things passed over that are named."""


class _Block:
    """One part as far as it has come."""

    __slots__ = ("citations", "kind", "reasoning", "started", "texts", "whole")

    def __init__(self) -> None:
        self.kind: type[Text] | type[Reasoning] | type[Refusal] | type[ToolUse] | None = None
        self.texts: list[str] = []
        self.citations: list[Citation] = []
        self.reasoning = Reasoning()
        self.started: ToolStarted | None = None
        self.whole: Part | None = None

    def part(self) -> Part | None:
        text = "".join(self.texts)
        if self.whole is not None:
            return self.whole
        if self.started is not None:
            start = self.started
            return ToolUse(start.id, start.name, text or "{}", start.signature, start.origin)
        if self.kind is Reasoning:
            known = self.reasoning
            return Reasoning(text, known.signature, known.encrypted, known.id, known.origin)
        if self.kind is Refusal:
            return Refusal(text)
        return Text(text, citations=tuple(self.citations)) if text or self.citations else None


class _Choice:
    """One answer as far as it has come."""

    __slots__ = ("blocks", "finished", "logprobs")

    def __init__(self) -> None:
        self.blocks: dict[int, _Block] = {}
        self.finished: Finished | None = None
        self.logprobs: list[Raw] | None = None

    def block(self, index: int) -> _Block:
        return self.blocks.setdefault(index, _Block())

    def choice(self) -> Choice:
        parts = [self.blocks[index].part() for index in sorted(self.blocks)]
        reason: FinishReason = self.finished.reason if self.finished else "stop"
        return Choice(
            tuple(part for part in parts if part is not None),
            reason,
            self.finished.stop_sequence if self.finished else None,
            None if self.logprobs is None else tuple(self.logprobs),
        )


class ReplyBuilder:
    """Takes in a stream's events; `reply()` is what they have said. Raises the error of a `Failed`."""

    def __init__(self) -> None:
        self._started = Started("", "")
        self._choices: dict[int, _Choice] = {}
        self._dropped: dict[str, None] = {}
        self.usage = Usage()

    def add(self, event: Event) -> None:
        """Take in one event. Raises UpstreamFailure if it is a failure."""
        if isinstance(event, Started):
            self._started = event
        elif isinstance(event, UsageReported):
            self.usage = event.usage
        elif isinstance(event, PassedOver):
            if len(self._dropped) < MAX_NAMED:
                self._dropped[event.what] = None
        elif isinstance(event, Failed):
            raise event.error
        else:
            self._add_to_choice(event, self._choices.setdefault(event.choice, _Choice()))

    def _add_to_choice(
        self,
        event: TextDelta
        | CitationAdded
        | ReasoningDelta
        | ToolStarted
        | ToolArguments
        | RefusalDelta
        | WholePart
        | Logprobs
        | Finished,
        choice: _Choice,
    ) -> None:
        if isinstance(event, Finished):
            choice.finished = event
        elif isinstance(event, Logprobs):
            choice.logprobs = [*(choice.logprobs or ()), *event.entries]
        else:
            block = choice.block(event.block)
            if isinstance(event, TextDelta):
                block.kind = Text
                block.texts.append(event.text)
            elif isinstance(event, RefusalDelta):
                block.kind = Refusal
                block.texts.append(event.text)
            elif isinstance(event, ToolArguments):
                block.texts.append(event.json)
            elif isinstance(event, CitationAdded):
                block.citations.append(event.citation)
            elif isinstance(event, ToolStarted):
                block.started = event
            elif isinstance(event, WholePart):
                block.whole = event.part
            else:
                block.kind = Reasoning
                block.texts.append(event.text)
                known = block.reasoning
                block.reasoning = Reasoning(
                    "",
                    event.signature or known.signature,
                    event.encrypted or known.encrypted,
                    event.id or known.id,
                    event.origin or known.origin,
                )

    def reply(self) -> Reply:
        """The reply so far."""
        start = self._started
        choices = tuple(self._choices[index].choice() for index in sorted(self._choices))
        return Reply(start.id, start.model, choices, self.usage, start.created, tuple(self._dropped))
