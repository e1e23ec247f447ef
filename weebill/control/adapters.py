"""The management API's endpoints for LoRA adapters of watched servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from weebill.accounts.permissions import Actor
from weebill.control.access import Asking
from weebill.control.answers import Created, Json
from weebill.control.listing import Whole
from weebill.control.noting import Noting
from weebill.control.overview import Overview
from weebill.control.routing import Routes
from weebill.process.questions import Unanswered
from weebill.routing.adapters import (
    TOPIC,
    Adapted,
    Adapter,
    AdapterQuestion,
    ListAdapters,
    LoadAdapter,
    UnloadAdapter,
)
from weebill.routing.servers import has_servers
from weebill.wire.errors import ApiError

_CODES: Final = {400: "invalid_value", 404: "adapter_not_found", 501: "adapters_off"}
_decode_listed: Final = msgspec.msgpack.Decoder(list[Adapter]).decode
_decode_adapted: Final = msgspec.msgpack.Decoder(Adapted).decode


class NewAdapter(BaseModel):
    """The body of `POST /api/v1/adapters`."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    path: str = Field(min_length=1, max_length=4096)
    provider: str


class AdapterShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="adapter"):
    """An adapter that was loaded or unloaded."""

    name: str
    provider: str
    loaded: bool


class AdapterRoutes:
    """Lists, loads and unloads adapters; `ask` asks the discovery process, and raises Unanswered."""

    def __init__(
        self, overview: Overview, ask: Callable[[str, object], Awaitable[msgspec.Raw]], noting: Noting
    ) -> None:
        self._overview = overview
        self._ask = ask
        self._noting = noting
        self.routes: Routes = {
            "GET /adapters": self._list,
            "POST /adapters": self._load,
            "DELETE /adapters/{provider}/{name:path}": self._unload,
        }

    async def _list(self) -> Json[Whole[Adapter]]:
        """Lists LoRA adapters that watched servers have loaded."""
        if not has_servers(self._overview.settings):
            return Json(Whole[Adapter](data=[]))
        return Json(Whole(data=_decode_listed(await self._asked(ListAdapters()))))

    async def _load(self, actor: Asking, new: NewAdapter) -> Created[AdapterShown]:
        """Has a server load an adapter."""
        await self._adapt(actor, LoadAdapter(new.provider, new.name, new.path))
        return Created(AdapterShown(name=new.name, provider=new.provider, loaded=True))

    async def _unload(self, actor: Asking, provider: str, name: str) -> Json[AdapterShown]:
        """Has a server forget an adapter."""
        await self._adapt(actor, UnloadAdapter(provider, name))
        return Json(AdapterShown(name=name, provider=provider, loaded=False))

    async def _adapt(self, actor: Actor, wish: LoadAdapter | UnloadAdapter) -> None:
        """Has a wish fulfilled. Raises ApiError."""
        if not has_servers(self._overview.settings):
            raise ApiError(404, "No server that takes adapters is configured.", code="no_servers", param="provider")
        is_load = isinstance(wish, LoadAdapter)
        after = {"path": wish.path} if isinstance(wish, LoadAdapter) else None
        target = f"{wish.provider}/{wish.name}"
        await self._noting.note(actor.author, "adapter.load" if is_load else "adapter.unload", target, after)
        outcome = _decode_adapted(await self._asked(wish))
        if outcome.status != 200:
            code = _CODES.get(outcome.status, "server_failed")
            raise ApiError(outcome.status, f"{outcome.message}.", code=code, param=outcome.param)

    async def _asked(self, question: AdapterQuestion) -> msgspec.Raw:
        try:
            return await self._ask(TOPIC, question)
        except Unanswered as error:
            message = f"The discovery process does not answer: {error}."
            raise ApiError(503, message, code="discovery_unavailable") from error
