"""Settle: writes one usage record for each request, however it ends, and answers errors in the API's format."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Final, Generic

from weebill.gateway.meter import Meter
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import C, E, Request
from weebill.gateway.stages.chain import Stage
from weebill.transport.status import CLIENT_CLOSED_REQUEST, SHUTTING_DOWN
from weebill.usage.records import Outcome
from weebill.wire.errors import ApiError

# Outcomes of a request whose handler was cancelled, by the status it was cancelled with. Any other status means that
# the server refused it.
_CANCELLED: Final[Mapping[int, Outcome]] = {CLIENT_CLOSED_REQUEST: "client_cancelled", SHUTTING_DOWN: "gateway_error"}


class Settle(Generic[E, C]):
    """The stage around all that may cost something. Later stages settle the requests that they answer; this one settles
    the rest.
    """

    def __init__(self, recorder: Recorder, next_stage: Stage[E, C]) -> None:
        self._recorder = recorder
        self._next = next_stage

    def __call__(self, request: Request[E, C]) -> Coroutine[None, None, None]:
        """Raises ApiError 503 while nothing can be recorded: unmetered requests are not served."""
        recorder = self._recorder
        recorder.require_writable()
        exchange, caller = request.exchange, request.caller
        key = caller.key
        request.meter = Meter(
            exchange.request_id,
            key.id,
            request.endpoint.name,
            exchange.started_at,
            key.name,
            caller.timeout_s,
            recorder.journal,
        )
        return self._settled(request)

    async def _settled(self, request: Request[E, C]) -> None:
        try:
            await self._next(request)
        except ApiError as error:
            self._refuse(request, error)
        except RecursionError:
            self._refuse(request, _too_deep())
        except asyncio.CancelledError:
            status = request.exchange.cancelled_with
            self._recorder.settle_unanswered(request.meter, status, _CANCELLED.get(status, "rejected"))
            raise
        except Exception:
            self._recorder.settle_unanswered(request.meter, 500, "gateway_error")
            raise

    def _refuse(self, request: Request[E, C], error: ApiError) -> None:
        """Records and answers a request that ends in an error."""
        meter = request.meter
        try:
            self._recorder.settle(meter, error.status, meter.blame)
        except ApiError as unmetered:
            error = unmetered
        request.refuse(error, meter.route)


def _too_deep() -> ApiError:
    return ApiError(400, "The request is nested too deeply.", code="nested_too_deeply")
