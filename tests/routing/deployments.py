"""Deployments, candidates and routes for tests, without a configuration."""

from __future__ import annotations

import json
from collections.abc import Sequence

from weebill.apis.chat.api import CHAT
from weebill.catalog.schema import Price
from weebill.config.routing import Policy, Preferences
from weebill.providers.base import Target
from weebill.routing.candidates import Candidate
from weebill.routing.capabilities import Capabilities
from weebill.routing.credentials import credentials
from weebill.routing.deployments import Deployment, Upstream
from weebill.routing.directory import ModelRoute
from weebill.routing.requirements import Requirements
from weebill.transport.origin import Origin, Timeouts
from weebill.wire.call import Call


def deployment(provider: str = "acme", model: str = "m", keys: int = 1, **facts: object) -> Deployment:
    """A deployment of a provider with that many keys."""
    upstream = Upstream(
        name=provider,
        dialects=frozenset({"openai"}),
        origin=Origin(host=provider, port=80),
        path=b"/v1",
        credentials=credentials(provider, provider, [(f"{provider}-{n}", "") for n in range(keys)]),
        timeouts=Timeouts(),
        whole_timeouts=Timeouts(),
        forward_headers=frozenset(),
        max_in_flight=8,
    )
    return Deployment(
        provider, model, upstream, Target(model=model, provider=provider), "openai", None, Capabilities(**facts)
    )  # type: ignore[arg-type]


def route(
    *deployments: Deployment, policy: Policy | None = None, preferences: Sequence[Preferences] = ()
) -> ModelRoute:
    """All of them under the name `m`."""
    candidates = tuple(Candidate(each, each.capabilities.weight, each.capabilities.tier) for each in deployments)
    return ModelRoute("m", candidates, policy, tuple(preferences))


def priced(dollars: float) -> Price:
    """So many dollars for a million tokens, in or out."""
    return Price(input=round(dollars * 1e6), output=round(dollars * 1e6))


def call(**fields: object) -> Call:
    """A chat request; what is not said is a short question."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **fields}
    return CHAT.decode(json.dumps(body).encode(), {}, "")


def needs(**fields: object) -> Requirements:
    """Those of a chat request."""
    return Requirements(call(**fields), CHAT.conversation)
