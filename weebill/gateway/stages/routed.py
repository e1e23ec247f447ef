"""Routing for the endpoints that do not generate: nothing is cached, selected or resumed there."""

from __future__ import annotations

import time

from weebill.cache.control import take_control
from weebill.gateway.attempting import deadline_of
from weebill.gateway.request import C, E, Request
from weebill.routing.attempts import Attempts
from weebill.routing.foreign import held_to
from weebill.routing.router import Router, RouteRequest


def routed(router: Router, request: Request[E, C], call: C) -> Attempts:
    """The attempts at a call that has just been read; it is the request's from then on. Raises ApiError."""
    meter = request.meter
    meter.model_asked = call.model
    take_control(call.fields, None)  # nothing is cached here, and no provider is shown the wish
    deadline = deadline_of(request.exchange, meter, router.deadline_s)
    attempts = router.route(RouteRequest(call, meter.key_id, meter.key_name), time.monotonic(), deadline)
    request.call = held_to(call, attempts.wanted)
    return attempts
