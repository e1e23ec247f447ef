"""Puts an answer into the client's terms: its names of tools, and opaque data under its provider's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from weebill.apis.base import ALL_SAID, Unsaid
from weebill.gateway.one_call import first_calls, wants_one_call
from weebill.gateway.origins import MakerNames
from weebill.gateway.stops import until_stop
from weebill.gateway.tool_names import events_by_client, named_by_client
from weebill.providers.base import NOTHING_SENT, UpstreamRequest
from weebill.wire.conversation import Citation, Maker, Text
from weebill.wire.reply import Event, Reply


class ForClient:
    """Translates the answer to `sent`; `family` is the dialect's.

    `unsaid` are the kinds of parts, and citations, that the client's API has no place for, with the name to report each
    by.
    """

    __slots__ = ("_maker", "_one_call", "_stops", "_tools", "unsaid")

    def __init__(self, family: Maker, sent: UpstreamRequest, unsaid: Unsaid = ALL_SAID) -> None:
        self._maker = MakerNames(family, sent.maker)
        self._tools = sent.tools
        self._one_call = wants_one_call(sent)
        self._stops = sent.stops
        self.unsaid = unsaid

    def reply(self, reply: Reply) -> Reply:
        """Returns a complete answer for the client."""
        reply = named_by_client(self._maker.reply(reply), self._tools)
        if self._stops:
            reply = until_stop(reply, self._stops)
        if self._one_call:
            reply = first_calls(reply)
        return self._told(reply) if self.unsaid else reply

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Returns the events of a stream for the client."""
        return events_by_client(self._maker.events(events), self._tools)

    def _told(self, reply: Reply) -> Reply:
        """Returns the answer, with the names of the parts that the client will not get."""
        parts = [part for each in reply.choices for part in each.parts]
        lost = [self.unsaid[type(part)] for part in parts if type(part) in self.unsaid]
        if Citation in self.unsaid and any(isinstance(part, Text) and part.citations for part in parts):
            lost.append(self.unsaid[Citation])
        return structs.replace(reply, dropped=tuple(dict.fromkeys((*reply.dropped, *lost)))) if lost else reply


AS_IT_IS: Final = ForClient("", NOTHING_SENT)
"""For an answer whose request is unknown."""
