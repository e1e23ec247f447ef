"""An answer as its client is to see it: tools by the client's names, what is opaque by the provider that made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from weebill.gateway.one_call import first_calls, wants_one_call
from weebill.gateway.origins import Maker
from weebill.gateway.tool_names import events_by_client, named_by_client
from weebill.providers.base import NOTHING_SENT, UpstreamRequest
from weebill.wire.conversation import Origin
from weebill.wire.reply import Event, Reply


class ForClient:
    """Puts the answer to a request that was `sent` into the client's words; `family` is the dialect's."""

    __slots__ = ("_maker", "_one_call", "_tools")

    def __init__(self, family: Origin, sent: UpstreamRequest) -> None:
        self._maker = Maker(family, sent.provider)
        self._tools = sent.tools
        self._one_call = wants_one_call(sent)

    def reply(self, reply: Reply) -> Reply:
        """A whole answer."""
        reply = named_by_client(self._maker.reply(reply), self._tools)
        return first_calls(reply) if self._one_call else reply

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events of a stream."""
        return events_by_client(self._maker.events(events), self._tools)


AS_IT_IS: Final = ForClient("", NOTHING_SENT)
"""For an answer whose request is not known."""
