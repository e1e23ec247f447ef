"""Types of what a relay reads of the Responses API's requests."""

from __future__ import annotations

from msgspec import Raw, Struct

from weebill.wire.responses_request import NULL


class RelayedItem(Struct, frozen=True):
    """The members that decide whether an item can be sent on as it is."""

    type: str | None = None
    id: str | None = None
    call_id: str | None = None
    encrypted_content: str | None = None
    content: Raw = NULL
