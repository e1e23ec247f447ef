"""Stores the state of the Responses API between requests: conversations, and responses to retrieve."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from functools import partial
from typing import Final, TypeVar

from weebill.apis.responses import state as responses_state
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.authentication import Authenticator
from weebill.gateway.bounds import BIG
from weebill.gateway.off_loop import off_loop, off_loop_if
from weebill.gateway.permits import require_endpoint
from weebill.process.questions import Unanswered
from weebill.providers.base import JSON
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.responses_store import RemoteResponseStore

_INPUT_ITEMS: Final = "/input_items"
_NOBODYS: Final = "resp_none"  # the id of no response
T = TypeVar("T")

log = logging.getLogger(__name__)


class ResponseState:
    """Stores and continues conversations. A request with `store` that cannot be stored is answered with 503.

    Once one could not, the store is asked before the upstream is, lest answers be paid for that cannot be stored.
    """

    def __init__(self, store: RemoteResponseStore) -> None:
        self._store = store
        self._fails = False

    async def prepare(self, call: Call, tenant: str) -> Call:
        """Returns the call with the conversation that it continues.

        Raises ApiError 400, 404 if it is not stored, 503 if nothing can be stored.
        """
        if self._fails and responses_state.wants_storing(call):
            await self._kept(self._store.get(tenant, _NOBODYS))
        previous = responses_state.previous_id(call)
        if previous is not None:
            stored = await self._kept(self._store.history(tenant, previous))
            call = await off_loop(partial(responses_state.with_history, call, stored))
            # With its history, it may be long now.
            call.big = call.big or call.prompt_bytes() >= BIG
        references = partial(responses_state.item_references, call)
        wanted = await off_loop_if(call.big, references)
        if wanted:
            call = responses_state.with_items(call, await self._kept(self._store.items(tenant, wanted)))
        return call

    async def keep(self, call: Call, tenant: str, response: bytes) -> None:
        """Stores the answer to a prepared call, if the call asks for it."""
        if not response or not responses_state.wants_storing(call):
            return
        try:
            as_stored = partial(responses_state.stored_response, call, response)
            stored = await off_loop_if(call.big or len(response) >= BIG, as_stored)
        except UNREADABLE as error:
            raise ApiError(
                502, f"The upstream's answer is not a response: {error}.", code="upstream_invalid_answer"
            ) from error
        await self._kept(self._store.put(tenant, stored))

    async def read(self, tenant: str, path: str, query: str) -> bytes:
        """Returns the body for `{id}` or `{id}/input_items`. Raises ApiError 404."""
        response_id = path.removesuffix(_INPUT_ITEMS)
        if path.endswith(_INPUT_ITEMS):
            chain = await self._kept(self._store.history(tenant, response_id))
            if not chain:
                raise responses_state.response_not_found(response_id)
            return responses_state.input_items_page(chain, query)
        found = await self._kept(self._store.get(tenant, response_id))
        if found is None:
            raise responses_state.response_not_found(response_id)
        return found.body

    async def delete(self, tenant: str, response_id: str) -> bytes:
        """Deletes a response. Raises ApiError 404."""
        if not await self._kept(self._store.delete(tenant, response_id)):
            raise responses_state.response_not_found(response_id)
        return responses_state.deleted(response_id)

    async def _kept(self, answer: Awaitable[T]) -> T:
        """Returns the store's answer. Raises ApiError 503."""
        try:
            found = await answer
        except Unanswered as error:
            if not self._fails:
                log.error("%s", error)
            self._fails = True
            message = "Responses cannot be kept or read right now."
            raise ApiError(503, message, code="store_unavailable", retry_after=1) from error
        if self._fails:
            log.info("responses can be kept again")
        self._fails = False
        return found


class KeptResponses:
    """Serves `GET` and `DELETE /v1/responses/{id}`, and `GET .../input_items`."""

    def __init__(self, authenticator: Authenticator, state: ResponseState) -> None:
        self._authenticator = authenticator
        self._state = state

    async def serve(self, exchange: Exchange, path: str) -> None:
        """Answers a request; `path` is the part after `/v1/responses/`. Raises ApiError."""
        caller = await self._authenticator.caller(exchange)
        require_endpoint(caller, RESPONSES.name)
        tenant = caller.key.id
        if exchange.method in (b"GET", b"HEAD"):
            body = await self._state.read(tenant, path, exchange.query.decode("latin-1"))
        elif exchange.method == b"DELETE" and "/" not in path:
            body = await self._state.delete(tenant, path)
        else:
            allowed = "GET, HEAD" if "/" in path else "GET, HEAD, DELETE"
            raise ApiError(405, "That cannot be done with a response.", code="method_not_allowed", allow=allowed)
        exchange.respond(200, JSON, body)
