"""Each recorded request to every dialect: refused only for what its target cannot do, and sent with all it says."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.recorded import Request, requests
from tests.recorded.known import known
from tests.rows import every
from tests.translation.test_noise import APIS
from weebill.gateway.translation import translator
from weebill.providers.base import Target
from weebill.wire.call import Call
from weebill.wire.errors import ApiError

# The model that a dialect's target serves, and what it cannot do of what is demanded.
MODELS: Final = {
    "openai": "gpt-4.1",
    "azure": "gpt-4.1",
    "mistral": "mistral-large-latest",
    "openai-responses": "gpt-5",
    "anthropic": "claude-sonnet-4-5",
    "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "gemini": "gemini-2.5-flash",
    "vertex": "gemini-2.5-flash",
    "cohere": "command-a-03-2025",
    "ollama": "qwen3",
    "llamacpp": "mini",
}
OPTIONS: Final = {
    "azure": {"api_version": "2026-01-01"},
    "vertex": {"project": "p", "location": "l"},
    "bedrock": {"region": "us-east-1"},
}
# By dialect, what it cannot do of what these requests demand, in one form or another.
LACKS: Final = {
    dialect: frozenset(kinds.split())
    for dialect, kinds in {
        "openai": "citations document-url",
        "azure": "citations document-url",
        "mistral": "citations document-url",
        "openai-responses": "citations modality stop video",
        "anthropic": "audio modality stop video",
        "bedrock": "document-url image-url modality video",
        "gemini": "citations modality video",
        "vertex": "citations modality video",
        "cohere": "audio document document-url modality tool-image video",
        "ollama": "audio citations document document-url forced-tool image-url modality video",
        "llamacpp": "audio citations document document-url image image-url modality schema tool-image video",
    }.items()
}


def targets(request: Request) -> list[str]:
    """Those that can be asked in this API."""
    return ["openai", "azure", "llamacpp"] if request.api == "completions" else list(MODELS)


def decoded(request: Request) -> Call:
    headers = {name.encode(): value.encode() for name, value in request.headers.items()}
    return APIS[request.api].decode(json.dumps(request.body).encode(), headers, request.tail)


def sent(request: Request, dialect: str) -> Any:
    """The body for a target of that dialect."""
    target = Target(model=MODELS[dialect], provider="mine", options=OPTIONS.get(dialect, {}), max_output_tokens=64_000)
    return json.loads(translator(APIS[request.api], dialect, frozenset()).encode(decoded(request), target).body)


def strings(value: Any) -> Iterator[str]:
    """Every string in a body, names of members included: what a tool gave may be taken apart as JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)
    else:
        yield json.dumps(value)


def words(text: str) -> str:
    """Letters and digits alone: JSON may be written anew, and spaces at an end left out."""
    return "".join(character for character in text if character.isalnum())


def encoded(text: str) -> str:
    """As the data of a file, but for the end."""
    return b64encode(text.encode()).decode()[: len(text) // 3 * 4]


@pytest.mark.parametrize("request_", requests().values(), ids=requests())
@every("dialect", list(MODELS))
def test_a_request(request_: Request, dialect: str) -> None:
    """What a target cannot do may be refused, by name; nothing else is, and what is sent says all there is to say."""
    if dialect not in targets(request_):
        return
    with known(request_.id, dialect):
        check(request_, dialect)


def check(request_: Request, dialect: str) -> None:
    refusal, body = None, None
    try:
        body = sent(request_, dialect)
    except ApiError as error:
        refusal = error
    if refusal is not None:
        assert refusal.status == 400, refusal.message
        assert not LACKS[dialect].isdisjoint(request_.demands), refusal.message
        return
    told = "".join(strings(body))
    assert [piece for piece in request_.want if words(piece) not in words(told) and encoded(piece) not in told] == []
