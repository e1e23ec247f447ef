"""A response as it is kept, so that a later request can build on it.

Source: https://platform.openai.com/docs/guides/conversation-state
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.wire.responses import decode_head, decode_items


class StoredResponse(Struct, frozen=True):
    """A response: `input` is a JSON array of the items that were new in its request, each with an id.

    `body` is the Response object as the client got it, `previous_id` the response that it continued, `created_at` Unix
    time.
    """

    id: str
    input: bytes
    body: bytes
    previous_id: str | None = None
    created_at: int = 0


class _Output(Struct, frozen=True):
    output: list[Raw] = []


_decode_output: Final = msgspec.json.Decoder(_Output).decode


def input_items(stored: StoredResponse) -> list[Raw]:
    """The items that were new in its request. Raises msgspec.DecodeError if what was kept is damaged."""
    return decode_items(stored.input)


def items(stored: StoredResponse) -> list[Raw]:
    """The items that it adds to a conversation: its input and its output. Raises msgspec.DecodeError if damaged."""
    return [*input_items(stored), *_decode_output(stored.body).output]


def item_id(item: Raw) -> str | None:
    """An item's id."""
    return decode_head(item).id
