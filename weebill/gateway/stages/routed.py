"""Routing for the endpoints that do not generate, which have no cache, no `auto` and no resuming."""

from __future__ import annotations

import time

from weebill.cache.control import take_control
from weebill.gateway.attempting import deadline_of
from weebill.gateway.labels import labels_of
from weebill.gateway.permits import require_models
from weebill.gateway.request import C, E, Request
from weebill.routing.attempts import Attempts
from weebill.routing.openrouter import with_preferences
from weebill.routing.router import Router, RouteRequest


def routed(router: Router, request: Request[E, C], call: C) -> Attempts:
    """Returns the attempts at a decoded call, and stores the call in the request. Raises ApiError."""
    meter, caller = request.meter, request.caller
    meter.model_asked = call.model
    if caller.limits is not None:
        require_models(caller, call, router.directory)
    meter.labels = labels_of(call.fields)
    take_control(call.fields, None)  # these answers are not cached, and no provider is shown the field
    deadline = deadline_of(request.exchange, meter, router.deadline_s)
    asked = RouteRequest(call, meter.key_id, meter.key_name, of_key=caller.preferences)
    attempts = router.route(asked, time.monotonic(), deadline)
    request.call = with_preferences(call, attempts.wanted)
    return attempts
