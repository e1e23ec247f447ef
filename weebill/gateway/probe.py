"""Tests a provider with a one-token call through its own dialect, without a running server."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from weebill.apis.chat.api import CHAT
from weebill.catalog.load import load
from weebill.catalog.probe import ProbeResult, ProbeTask
from weebill.config.schema import Settings
from weebill.gateway.failures import FAILED, client_error, hiding, retry_after_seconds, upstream_failure
from weebill.gateway.translation import translator
from weebill.gateway.upstreams import ERROR_PATIENCE_S, MAX_ANSWER_BYTES, MAX_ERROR_BYTES
from weebill.providers.base import UpstreamRequest
from weebill.providers.failures import classify
from weebill.providers.operations import operation
from weebill.routing.deployments import Deployment, Upstream, provider_upstream
from weebill.routing.directory import Directory
from weebill.routing.listed_models import MOST_BYTES, models_in
from weebill.routing.servers import names_of, watched
from weebill.transport.client import Client, Response
from weebill.transport.errors import UpstreamError
from weebill.wire.embeddings import EMBEDDINGS
from weebill.wire.failure import FailureKind, UpstreamFailure

# Advice for each kind of failure.
_HINTS: Final[dict[FailureKind, str]] = {
    "credential": "the key is wrong, revoked, or may not use this model: check the variable that holds it",
    "quota": "the provider's account has no credit left, or none for today",
    "forbidden": "it refuses requests from here, or this one: is there a proxy or a firewall in between?",
    "rate_limited": "the account's limit is reached: wait, or raise it with the provider",
    "not_found": "the model or the address is wrong: check `models`, `base_url` and `options`",
    "overloaded": "the provider has too much to do: try again in a moment",
    "network": "is the address right, and reachable from here?",
    "timeout": "is the address right? If the provider is just slow, raise `first_byte_timeout_s`",
    "invalid_answer": "is it the right `dialect`, and does `base_url` end where that dialect's paths begin?",
}
# Some providers have a minimum of tokens; `drop_params` leaves it to them.
_CHAT: Final = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "drop_params": True}
_EMBEDDING: Final = {"input": "Hi"}


class _Question(NamedTuple):
    """A test call. `read` raises UpstreamFailure unless the body is an answer; `error` reads other statuses."""

    request: UpstreamRequest
    read: Callable[[bytes, bytes], object]
    error: Callable[[int, bytes, float | None], UpstreamFailure]


def probe(name: str, settings: Settings) -> ProbeResult:
    """Calls the first chat model of the provider `name`. Raises nothing for what the provider does."""
    return asyncio.run(_probe(name, settings))


async def _probe(name: str, settings: Settings) -> ProbeResult:
    client = Client()
    begun = time.monotonic()
    status: int | None = None
    deployment: Deployment | None = None
    try:
        settings = await _with_listed(client, name, settings)
        ask, model = _choice(name, settings)
        deployment = Directory(settings, (), 0).resolve(f"{name}/{model}") if model else None
        if deployment is None or deployment.upstream is None:
            hint = f"name one: `providers.{name}.models`"
            return ProbeResult(False, None, 0, "it has no model for chats or embeddings, configured or known", hint)
        question = ask(deployment, deployment.upstream)
        response = await _send(client, deployment.upstream, question.request)
        status = response.status
        await _read(response, question)
    except FAILED as error:
        failed = upstream_failure(error, name, in_full=True)[0] if isinstance(error, UpstreamError) else error
        hint = _HINTS.get(classify(failed).kind, "")
        message = client_error(failed).detail.message
        for credential in () if deployment is None or deployment.upstream is None else deployment.upstream.credentials:
            message = hiding(credential, message)
        return ProbeResult(False, status, _elapsed(begun), message, hint)
    finally:
        client.close()
    return ProbeResult(True, status, _elapsed(begun), f"{model} answered")


async def _with_listed(client: Client, name: str, settings: Settings) -> Settings:
    """Returns the settings with the models that the provider's server lists, if it is one that does, and none are
    configured. Raises UpstreamError.
    """
    known = next((each for each, _, _ in watched(settings, load()) if each == name), None)
    provider = settings.providers[name]
    if known is None or provider.models:
        return settings
    upstream = provider_upstream(name, provider, load().providers.get(provider.identity(name)))
    lines = upstream.credentials[0].lines
    head = b"GET %b/models HTTP/1.1\r\n%b" % (upstream.path, lines)
    response = await client.send(upstream.origin, head, b"", upstream.timeouts)
    try:
        listed = models_in(await response.read(MOST_BYTES)) if response.status == 200 else None
    finally:
        response.close()
    provider = msgspec.structs.replace(provider, models=names_of(listed or ()))
    return msgspec.structs.replace(settings, providers={**settings.providers, name: provider})


def _chat(deployment: Deployment, upstream: Upstream) -> _Question:
    call = CHAT.decode(_body(deployment, _CHAT), {}, "")
    translate = translator(CHAT, deployment.dialect, upstream.dialects)
    request = translate.encode(call, deployment.target)
    return _Question(
        request,
        lambda body, _: translate.decode(call, request, body),
        lambda status, body, wait: translate.error(call, status, body, wait, upstream.name),
    )


def _embedding(deployment: Deployment, upstream: Upstream) -> _Question:
    call = EMBEDDINGS.decode_request(_body(deployment, _EMBEDDING), b"application/json")
    translate = operation(EMBEDDINGS.name, deployment.dialect, deployment.catalog)
    return _Question(
        translate.encode(call, deployment.target),
        lambda body, content_type: translate.decode(call, body, content_type),
        lambda status, body, wait: translate.error(call, status, body, wait, upstream.name),
    )


def _body(deployment: Deployment, fields: Mapping[str, object]) -> bytes:
    return msgspec.json.encode({"model": f"{deployment.provider}/{deployment.model}", **fields})


async def _send(client: Client, upstream: Upstream, request: UpstreamRequest) -> Response:
    head = upstream.head(request)
    if upstream.signer is not None:
        head += await upstream.signer.lines(upstream.path + request.path, request)
    return await client.send(upstream.origin, head, request.body, upstream.timeouts)


async def _read(response: Response, question: _Question) -> None:
    """Raises UpstreamFailure or UpstreamError unless the response is an answer."""
    try:
        if response.status == 200:
            question.read(await response.read(MAX_ANSWER_BYTES), response.header(b"content-type") or b"")
            return
        body = await response.read_some(MAX_ERROR_BYTES, ERROR_PATIENCE_S)
        raise question.error(response.status, body, retry_after_seconds(response))
    finally:
        response.close()


_KINDS: Final[dict[str, Callable[[Deployment, Upstream], _Question]]] = {"chat": _chat, "embedding": _embedding}


def _choice(name: str, settings: Settings) -> tuple[Callable[[Deployment, Upstream], _Question], str]:
    """Returns the kind of call and the model: a configured one, else the catalogue's cheapest; "" if there is none.

    Chat models come first. Models that the catalogue does not know are taken for chat models.
    """
    identity = settings.providers[name].identity(name)
    known = {
        offer.name: (model.kind, offer.price.input + offer.price.output if offer.price else 1 << 62)
        for model in load().models.values()
        for offer in model.offers
        if offer.provider == identity
    }
    configured = settings.providers[name].models
    for kind, ask in _KINDS.items():
        if configured:
            models = [model for model in configured if known.get(model, ("chat", 0))[0] == kind]
        else:
            models = sorted((model for model in known if known[model][0] == kind), key=lambda model: known[model][1])
        if models:
            return ask, models[0]
    return _chat, ""


def _elapsed(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)


def main() -> None:
    """Makes the call of the `ProbeTask` on the standard input; its result is on the standard output."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=ProbeTask[Settings])
    sys.stdout.buffer.write(msgspec.json.encode(probe(task.provider, task.settings)))


if __name__ == "__main__":
    main()
