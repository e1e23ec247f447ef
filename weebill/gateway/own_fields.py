"""Handles the fields of a request that are for Weebill itself, such as preferences of providers."""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.providers.base import Translator, UpstreamRequest
from weebill.routing.deployments import Deployment
from weebill.routing.directory import Directory
from weebill.routing.openrouter import dropped_fields, openrouter_fields
from weebill.wire.call import Call
from weebill.wire.inbound import NOTHING_OWN, Json

_decode: Final = msgspec.json.Decoder(Json).decode
_encode: Final = msgspec.json.encode


def encoded(translate: Translator, call: Call, deployment: Deployment, directory: Directory) -> UpstreamRequest:
    """Encodes a request. Preferences about providers that only OpenRouter knows are passed to it, and dropped
    elsewhere.

    Raises ApiError 400 as `translate` does.
    """
    return with_own_fields(translate.encode(call, deployment.target), call, deployment, directory)


def with_own_fields(
    request: UpstreamRequest, call: Call, deployment: Deployment, directory: Directory
) -> UpstreamRequest:
    """Does the same for an encoded request."""
    own = call.own
    if own is NOTHING_OWN:
        return request
    if deployment.target.quirks.preferences and request.body.startswith(b"{"):
        more = openrouter_fields(own, directory.providers, directory.serves)
        return request.replaced(body=_encode({**_decode(request.body), **more})) if more else request
    lost = dropped_fields(own, directory.providers, directory.serves)
    return request.replaced(dropped=(*request.dropped, *lost)) if lost else request
