"""Targets of every dialect as the catalogue knows them, and requests of every API on their way there."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.translation.test_noise import APIS
from weebill.catalog.load import providers
from weebill.catalog.traits import OnUnsupported, traits_of
from weebill.gateway.translation import translator
from weebill.providers.base import Quirks, Target, UpstreamRequest
from weebill.wire.call import Call
from weebill.wire.inbound import GatewayOptions

Json = dict[str, Any]

MODELS: Final = {
    "openai": "gpt-4.1",
    "azure": "gpt-4.1",
    "mistral": "mistral-large-latest",
    "openai-responses": "gpt-4.1",
    "anthropic": "claude-sonnet-4-5",
    "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "gemini": "gemini-2.5-flash",
    "vertex": "gemini-2.5-flash",
    "cohere": "command-a-03-2025",
    "ollama": "llama3.3",
    "llamacpp": "mini",
}
"""By dialect, what its target serves, unless a test names another."""
_OPTIONS: Final = {
    "azure": {"api_version": "2026-01-01"},
    "vertex": {"project": "p", "location": "l"},
    "bedrock": {"region": "us-east-1"},
}
HI: Final[list[Json]] = [{"role": "user", "content": "Hi"}]
BASE: Final[dict[str, Json]] = {
    "chat": {"model": "m", "messages": HI},
    "anthropic": {"model": "m", "max_tokens": 64, "messages": HI},
    "responses": {"model": "m", "input": "Hi"},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
}
"""The least that each API can be asked."""


def target(dialect: str, model: str = "", **fields: Any) -> Target:
    """A target of that dialect, with the facts and quirks that the catalogue has."""
    name = model or MODELS[dialect]
    known = providers().get(fields.get("provider", dialect))
    said: Json = {
        "provider": dialect,
        "options": _OPTIONS.get(dialect, {}),
        "quirks": known.quirks if known else Quirks(),
        "traits": traits_of(name),
        "max_output_tokens": 64_000,
    }
    return Target(model=name, **{**said, **fields})


def asked(api: str, fields: Json, policy: OnUnsupported | None = None, *, stream: bool = False) -> Call:
    """The call of a client that sends these fields."""
    body = {**BASE.get(api, {}), **fields}
    if stream and api != "gemini":
        body["stream"] = True
    tail = f"m:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}" if api == "gemini" else ""
    call = APIS[api].decode(json.dumps(body).encode(), {}, tail)
    return call.replaced(own=GatewayOptions(on_unsupported=policy)) if policy else call


def written(api: str, fields: Json, to: Target, dialect: str, policy: OnUnsupported | None = None) -> UpstreamRequest:
    """What the upstream is sent. Raises ApiError."""
    return translator(APIS[api], dialect, frozenset()).encode(asked(api, fields, policy), to)
