"""Questions about stored responses, and a store that asks them of whoever keeps the responses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from weebill.wire.responses_state import StoredResponse

TOPIC: Final = "responses"
_LONG_BYTES: Final = 1 << 20

T = TypeVar("T")


class Put(Struct, frozen=True, tag=True):
    """Keep a response, in place of one with the same id, and what it continues for as long. Answered by None."""

    tenant: str
    stored: StoredResponse


class Get(Struct, frozen=True, tag=True):
    """One response. Answered by it, or by None if it is not kept."""

    tenant: str
    id: str


class History(Struct, frozen=True, tag=True):
    """A response and all that it continues. Answered by a list, oldest first; empty if any of them is not kept."""

    tenant: str
    id: str


class Items(Struct, frozen=True, tag=True):
    """Items by their ids. Answered by the JSON of those that are kept, by id."""

    tenant: str
    ids: list[str]


class Delete(Struct, frozen=True, tag=True):
    """Forget a response. Answered by whether it was there."""

    tenant: str
    id: str


StoreQuestion = Put | Get | History | Items | Delete

_found: Final = msgspec.msgpack.Decoder(StoredResponse | None)
_history: Final = msgspec.msgpack.Decoder(list[StoredResponse])
_items: Final = msgspec.msgpack.Decoder(dict[str, bytes])
_deleted: Final = msgspec.msgpack.Decoder(bool)


class RemoteResponseStore:
    """Responses by tenant and id, kept by whom `ask` asks; it and all methods raise `Unanswered`."""

    def __init__(self, ask: Callable[[str, object], Awaitable[Raw]]) -> None:
        self._ask = ask

    async def put(self, tenant: str, stored: StoredResponse) -> None:
        """Keep a response, in place of one with the same id, and what it continues for as long."""
        await self._ask(TOPIC, Put(tenant, stored))

    async def get(self, tenant: str, response_id: str) -> StoredResponse | None:
        """One response; None if it is not kept."""
        return await _decoded(await self._ask(TOPIC, Get(tenant, response_id)), _found)

    async def history(self, tenant: str, response_id: str) -> list[StoredResponse]:
        """A response and all that it continues, oldest first; [] if any of them is not kept."""
        return await _decoded(await self._ask(TOPIC, History(tenant, response_id)), _history)

    async def items(self, tenant: str, ids: Iterable[str]) -> dict[str, bytes]:
        """The JSON of those of the items that are kept, by id."""
        return await _decoded(await self._ask(TOPIC, Items(tenant, list(ids))), _items)

    async def delete(self, tenant: str, response_id: str) -> bool:
        """Forget a response; whether it was there. Those that continue it cannot be continued any more."""
        return await _decoded(await self._ask(TOPIC, Delete(tenant, response_id)), _deleted)


async def _decoded(answer: Raw, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """Decode it, beside the loop where it is long."""
    if len(memoryview(answer)) < _LONG_BYTES:
        return decoder.decode(answer)
    return await asyncio.to_thread(decoder.decode, answer)
