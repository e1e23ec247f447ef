"""Test a provider with a one-token call through its own dialect, without a running server."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from weebill.apis.chat.api import CHAT
from weebill.catalog.load import load
from weebill.catalog.probe import ProbeResult
from weebill.config.schema import Settings
from weebill.gateway.failures import upstream_failure
from weebill.gateway.metered import MAX_ANSWER_BYTES, MAX_ERROR_BYTES
from weebill.gateway.translation import translator
from weebill.routing.directory import Deployment, Directory, Upstream
from weebill.transport.client import Client, Response
from weebill.transport.errors import UpstreamConnectError, UpstreamError
from weebill.wire.errors import ApiError

# What to do about an answer, by its status.
_HINTS: Final = {
    401: "the key is wrong or revoked: check the variable that holds it",
    402: "the provider's account has no credit left",
    403: "the key may not use this model: check its permissions",
    404: "the model or the address is wrong: check `models`, `base_url` and `options`",
    429: "the account's limit is reached: wait, or raise it with the provider",
}
_REQUEST: Final = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}


def probe(name: str, settings: Settings) -> ProbeResult:
    """Call the first chat model of the provider `name`. Never raises for what the provider does."""
    return asyncio.run(_probe(name, settings))


async def _probe(name: str, settings: Settings) -> ProbeResult:
    directory = Directory(settings, (), 0)
    deployment = _first_chat_model(name, settings, directory)
    if deployment is None or deployment.upstream is None:
        hint = f"name one: `providers.{name}.models`"
        return ProbeResult(False, None, 0, "it has no chat model that is configured or in the catalogue", hint)
    client = Client()
    begun = time.monotonic()
    try:
        status, message = await _call(client, deployment, deployment.upstream)
    except UpstreamError as error:
        hint = "is the address right, and reachable from here?" if isinstance(error, UpstreamConnectError) else ""
        return ProbeResult(False, None, _elapsed(begun), upstream_failure(error, name)[0].detail.message, hint)
    except ApiError as error:
        return ProbeResult(False, None, _elapsed(begun), error.detail.message)
    finally:
        client.close()
    return ProbeResult(status == 200, status, _elapsed(begun), message, _HINTS.get(status, ""))


async def _call(client: Client, deployment: Deployment, upstream: Upstream) -> tuple[int, str]:
    """Status and what was said. Raises UpstreamError, or ApiError for what is no answer."""
    body = msgspec.json.encode({"model": f"{deployment.provider}/{deployment.model}", **_REQUEST})
    call = CHAT.decode(body, {}, "")
    translate = translator(CHAT, deployment.dialect, upstream.dialects)
    request = translate.encode(call, deployment.target)
    head = upstream.head(request)
    if upstream.signer is not None:
        head += await upstream.signer.lines(upstream.path + request.path, request)
    response: Response = await client.send(upstream.origin, head, request.body, upstream.timeouts)
    try:
        if response.status == 200:
            translate.decode(call, await response.read(MAX_ANSWER_BYTES))
            return 200, f"{deployment.model} answered"
        answer = await response.read(MAX_ERROR_BYTES)
        return response.status, translate.error(call, response.status, answer, None, upstream.name).detail.message
    finally:
        response.close()


def _first_chat_model(name: str, settings: Settings, directory: Directory) -> Deployment | None:
    """A configured model, else the cheapest of the catalogue's."""
    provider = settings.providers[name]
    if provider.models:
        return directory.resolve(f"{name}/{provider.models[0]}")
    offers = [
        offer
        for model in load().models.values()
        if model.kind == "chat"
        for offer in model.offers
        if offer.provider == name
    ]
    if not offers:
        return None
    cheapest = min(offers, key=lambda offer: offer.price.input + offer.price.output if offer.price else 1 << 62)
    return directory.resolve(f"{name}/{cheapest.name}")


def _elapsed(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)
