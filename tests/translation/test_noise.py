"""Whatever an upstream or a client sends, it ends in an answer or in an error that says what is wrong.

What is sent are the vectors and requests that hold everything, with values of other kinds, parts left out and bytes
changed. Nothing but `ApiError` may come of it: anything else would be a 500, and a fault of ours.
"""

from __future__ import annotations

import json
from contextlib import suppress
from copy import deepcopy
from functools import cache
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.emulator.server import DISTINCT, KINDS
from tests.translation.requests import REQUESTS
from tests.vectors import FOLDER
from tests.vectors.eventstream import encode_entry
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.gemini.api import GEMINI
from weebill.apis.ollama.api import OLLAMA_CHAT, OLLAMA_GENERATE
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.failures import client_error
from weebill.gateway.translation import translator
from weebill.providers.base import NOTHING_SENT, Target
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.inbound import GatewayOptions

APIS: Final[dict[str, Api]] = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "responses": RESPONSES,
    "ollama": OLLAMA_CHAT,
    "generate": OLLAMA_GENERATE,
}
ODD: Final = (
    None, True, 0, -1, 1.5, 10**30, -(10**20), "", "x", "é", [], {}, [None], [[]], [{}], {"a": None}, {"type": "text"},
)  # fmt: skip
# The engine's, of which there is no emulation.
LOCAL: Final = "llamacpp"
CHUNKS: Final = (1, 7, 97, 1 << 20)
# Hypothesis chooses these and not what comes of them: each of its own choices takes longer than what is tested.
SEEDS: Final = st.integers(0, 1 << 32)
# Of each API with each dialect, some hundred pairs.
FEW: Final = 12
MANY: Final = 60
MODELS: Final = ("m", "claude-sonnet-4-5", "claude-opus-4-7", "gemini-3-pro", "amazon.nova-pro-v1:0", "gpt-5")


def decoded(api: str, body: bytes) -> Call:
    return APIS[api].decode(body, {}, "m:streamGenerateContent?alt=sse" if api == "gemini" else "")


@cache
def answers(dialect: str) -> list[dict[str, Any]]:
    return list(json.loads((FOLDER / f"{KINDS[dialect].vectors}.json").read_bytes())["answers"].values())


@cache
def good(api: str) -> Call:
    return decoded(api, json.dumps(REQUESTS[api]).encode())


def altered(random: Random, value: Any) -> Any:
    """`value` with up to three of its parts left out, repeated or replaced."""
    value = deepcopy(value)
    for _ in range(random.randint(1, 3)):
        places = list(_places(value))
        if not places:
            break
        inside, key = random.choice(places)
        way = random.random()
        if way < 0.25:
            del inside[key]
        elif way < 0.35 and isinstance(inside, list):
            inside.append(deepcopy(inside[key]))
        else:
            inside[key] = deepcopy(random.choice(ODD))
    return value


def _places(value: Any) -> Any:
    keys = range(len(value)) if isinstance(value, list) else list(value) if isinstance(value, dict) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def flipped(random: Random, data: bytes) -> bytes:
    """`data` with a byte changed, one time in three."""
    if not data or random.random() < 0.66:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def altered_event(random: Random, event: str) -> bytes:
    lines = []
    for line in event.split("\n"):
        name = "data: " if line.startswith("data: ") else ""
        try:
            lines.append(name + json.dumps(altered(random, json.loads(line.removeprefix(name)))))
        except ValueError:
            lines.append(line)
    return "\n".join(lines).encode()


def encoded(event: str | dict[str, Any]) -> bytes:
    return event.encode() if isinstance(event, str) else encode_entry(event)


@pytest.mark.parametrize("dialect", DISTINCT)
@pytest.mark.parametrize("api", APIS)
@settings(max_examples=FEW, deadline=None)
@given(seed=SEEDS)
def test_whatever_an_upstream_answers(api: str, dialect: str, seed: int) -> None:
    check_answer(api, dialect, seed)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DISTINCT)
@pytest.mark.parametrize("api", APIS)
@settings(max_examples=MANY, deadline=None)
@given(seed=SEEDS)
def test_whatever_an_upstream_answers_more_often(api: str, dialect: str, seed: int) -> None:
    check_answer(api, dialect, seed)


def check_answer(api: str, dialect: str, seed: int) -> None:
    random = Random(seed)
    vector = random.choice(answers(dialect))
    translate = translator(APIS[api], dialect, frozenset())
    body = flipped(random, json.dumps(altered(random, vector.get("body"))).encode())
    failed = translate.error(good(api), random.choice((400, 429, 529)), body, None, "mine")
    assert APIS[api].error_body(client_error(failed))
    with suppress(UpstreamFailure):
        assert translate.decode(good(api), NOTHING_SENT, body).usage.prompt_tokens >= 0
    events = list(vector.get("stream", ()))
    if not events:
        return
    at = random.randrange(len(events))
    stream = [encoded(event) for event in events]
    if isinstance(events[at], str):
        stream[at] = altered_event(random, events[at])
    else:
        stream[at] = encoded({**events[at], "payload": altered(random, events[at].get("payload", {}))})
    data, size = flipped(random, b"".join(stream)), random.choice(CHUNKS)
    relayed = translate.stream(good(api), NOTHING_SENT)
    with suppress(UpstreamFailure):
        for start in range(0, len(data), size):
            relayed.feed(data[start : start + size])
            if relayed.error is not None:
                return
        relayed.finish()
    usage = relayed.usage
    assert 0 <= usage.cached_tokens + usage.cache_write_tokens <= usage.prompt_tokens
    assert 0 <= usage.reasoning_tokens <= usage.completion_tokens


@pytest.mark.parametrize("dialect", [*DISTINCT, LOCAL])
@pytest.mark.parametrize("api", APIS)
@settings(max_examples=FEW, deadline=None)
@given(seed=SEEDS)
def test_whatever_a_client_asks(api: str, dialect: str, seed: int) -> None:
    check_request(api, dialect, seed)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", [*DISTINCT, LOCAL])
@pytest.mark.parametrize("api", APIS)
@settings(max_examples=MANY, deadline=None)
@given(seed=SEEDS)
def test_whatever_a_client_asks_more_often(api: str, dialect: str, seed: int) -> None:
    check_request(api, dialect, seed)


def check_request(api: str, dialect: str, seed: int) -> None:
    random = Random(seed)
    options = {} if dialect == LOCAL else dict(KINDS[dialect].options)
    target = Target(model=random.choice(MODELS), provider="mine", options=options)
    statuses = []
    try:
        call = decoded(api, flipped(random, json.dumps(altered(random, REQUESTS[api])).encode()))
        call = call.replaced(own=GatewayOptions(drop_params=random.random() < 0.6))
        request = translator(APIS[api], dialect, frozenset()).encode(call, target)
    except ApiError as error:
        statuses.append(error.status)
    else:
        assert isinstance(json.loads(request.body), dict)
    assert all(400 <= status < 500 for status in statuses)
