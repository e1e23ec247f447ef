"""A complete answer as the events of a stream: for upstreams that were asked for a stream and answer in one piece."""

from __future__ import annotations

from weebill.wire.conversation import Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Finished,
    Logprobs,
    PassedOver,
    ReasoningDelta,
    RefusalDelta,
    Reply,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    UsageReported,
    WholePart,
)


def events_of(reply: Reply) -> list[Event]:
    """The events that say what `reply` does."""
    events: list[Event] = [Started(reply.id, reply.model, reply.created)]
    for index, choice in enumerate(reply.choices):
        for block, part in enumerate(choice.parts):
            events += _said(part, block, index)
        if choice.logprobs:
            events.append(Logprobs(choice.logprobs, index))
        events.append(Finished(choice.finish, choice.stop_sequence, index))
    events += [PassedOver(what) for what in reply.dropped]
    events.append(UsageReported(reply.usage))
    return events


def _said(part: Part, block: int, choice: int) -> list[Event]:
    if isinstance(part, Text):
        return [
            TextDelta(part.text, block, choice),
            *[CitationAdded(citation, block, choice) for citation in part.citations],
        ]
    if isinstance(part, Reasoning):
        return [
            ReasoningDelta(part.text, part.signature, part.encrypted, part.id, part.origin, block, choice),
        ]
    if isinstance(part, ToolUse):
        return [
            ToolStarted(part.id, part.name, block, choice, part.signature, part.origin),
            ToolArguments(part.arguments, block, choice),
        ]
    if isinstance(part, Refusal):
        return [RefusalDelta(part.text, block, choice)]
    return [WholePart(part, block, choice)]
