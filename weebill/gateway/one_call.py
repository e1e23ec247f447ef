"""Limits answers to one tool call, if the request says so and the provider has no setting for it.

Further calls are passed over, and named as dropped. A provider that has the setting never makes a second call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from weebill.providers.around import DecoderAround
from weebill.providers.base import StreamDecoder, UpstreamRequest
from weebill.wire.conversation import ToolUse
from weebill.wire.reply import Choice, Event, PassedOver, Reply, ToolArguments, ToolStarted

FURTHER_CALL: Final = "parallel_tool_call"
"""The name under which a call is reported that was passed over."""


def wants_one_call(sent: UpstreamRequest) -> bool:
    """True if the request allows only one call at a time."""
    asked = sent.asked
    if asked is None or asked.tool_choice is None:
        return False
    return asked.tool_choice.parallel is False


def first_calls(reply: Reply) -> Reply:
    """Returns the reply with only the first call of each choice; itself if there are no others."""
    choices = tuple([_first_call(choice) for choice in reply.choices])
    if all(len(kept.parts) == len(choice.parts) for kept, choice in zip(choices, reply.choices, strict=True)):
        return reply
    return msgspec.structs.replace(reply, choices=choices, dropped=(*reply.dropped, FURTHER_CALL))


def _first_call(choice: Choice) -> Choice:
    calls = [at for at, part in enumerate(choice.parts) if isinstance(part, ToolUse)]
    if len(calls) < 2:
        return choice
    further = set(calls[1:])
    parts = tuple([part for at, part in enumerate(choice.parts) if at not in further])
    return msgspec.structs.replace(choice, parts=parts)


class FirstCalls(DecoderAround):
    """A `StreamDecoder` that passes on only the first call of each choice."""

    __slots__ = ("_first",)

    def __init__(self, decoder: StreamDecoder) -> None:
        super().__init__(decoder)
        self._first: dict[int, int] = {}
        """The block of the first call, by choice."""

    def read(self, events: Sequence[Event]) -> list[Event]:
        """Returns the events without those of further calls, each of which is reported as passed over."""
        kept: list[Event] = []
        for event in events:
            if isinstance(event, ToolStarted):
                if self._first.setdefault(event.choice, event.block) != event.block:
                    kept.append(PassedOver(FURTHER_CALL))
                    continue
            elif isinstance(event, ToolArguments) and self._first.get(event.choice) != event.block:
                continue
            kept.append(event)
        return kept
