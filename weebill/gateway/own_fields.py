"""The request for an upstream where the client has said something to Weebill itself."""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.providers.base import Translator, UpstreamRequest
from weebill.routing.deployments import Deployment
from weebill.routing.directory import Directory
from weebill.routing.foreign import along, unheard
from weebill.wire.call import Call
from weebill.wire.inbound import NOTHING_OWN, Json

_decode: Final = msgspec.json.Decoder(Json).decode
_encode: Final = msgspec.json.encode


def encoded(translate: Translator, call: Call, deployment: Deployment, directory: Directory) -> UpstreamRequest:
    """What the client prefers among those whom only OpenRouter knows goes along to it, and is passed over elsewhere.

    Raises ApiError 400 as `translate` does.
    """
    return with_own_fields(translate.encode(call, deployment.target), call, deployment, directory)


def with_own_fields(
    request: UpstreamRequest, call: Call, deployment: Deployment, directory: Directory
) -> UpstreamRequest:
    """The same for a request that is written."""
    own = call.own
    if own is NOTHING_OWN:
        return request
    if deployment.target.quirks.preferences and request.body.startswith(b"{"):
        more = along(own, directory.providers, directory.serves)
        return request.replaced(body=_encode({**_decode(request.body), **more})) if more else request
    lost = unheard(own, directory.providers, directory.serves)
    return request.replaced(dropped=(*request.dropped, *lost)) if lost else request
