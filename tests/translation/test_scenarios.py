"""The same answers for clients, whatever stands behind: each scenario from each API to each dialect, both ways."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final

import pytest

from tests.emulator.running import Gateway, model, refused
from tests.emulator.server import ALIASES, DIALECTS, DISTINCT, scenarios
from tests.rows import every
from tests.translation.clients import CLIENTS, Client, Json, events

ERROR_STATUS: Final = {
    "error-400": 400,
    "error-404": 404,
    "error-429": 429,
    "error-500": 500,
    "error-overloaded": 503,
}
ANSWERS: Final[dict[str, tuple[str, str, list[tuple[str, object]]]]] = {
    "text": ("Hello there.", "", []),
    "tool-one": ("", "", [("get_weather", {"city": "Paris"})]),
    "tool-parallel": ("Let me look.", "", [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "London"})]),
    "tool-empty": ("", "", [("now", {})]),
    "vision": ("A red bird.", "", []),
    "json-schema": ('{"name":"Ada","age":36}', "", []),
    "reasoning": ("Hello there.", "The user greets me.", []),
    "cached": ("Hello there.", "", []),
}
USAGE: Final = {"text": (11, 4), "tool-one": (60, 20), "tool-parallel": (60, 40)}


def crossings(names: Collection[str], of_aliases: str) -> list[tuple[str, str]]:
    """Each dialect with each of the scenarios; an alias with one of them."""
    each = [(dialect, name) for dialect in DISTINCT for name in names]
    return [*each, *((dialect, of_aliases) for dialect in ALIASES)]


def ask(gateway: Gateway, client: Client, name: str, stream: bool) -> Json:
    response = gateway.client.post(
        client.path(name, stream), json=client.request(name, client.question(), stream, None)
    )
    assert response.status_code == 200, response.text
    said = client.streamed(response.text) if stream else client.whole(response.json())
    calls = [(call.name, call.arguments) for call in said.calls]
    return {"said": (said.text, said.reasoning, calls), "usage": said.usage, "finish": said.finish}


@every(("dialect", "scenario"), crossings(ANSWERS, "tool-parallel"))
@pytest.mark.parametrize("api", CLIENTS)
def test_the_same_whatever_stands_behind(gateway: Gateway, api: str, dialect: str, scenario: str) -> None:
    client = CLIENTS[api]
    whole, streamed = (ask(gateway, client, model(dialect, scenario), stream) for stream in (False, True))
    assert whole == streamed
    assert whole["said"] == ANSWERS[scenario]
    assert whole["usage"] == USAGE.get(scenario, whole["usage"])
    assert whole["finish"] == client.finishes[bool(ANSWERS[scenario][2])]


@every("dialect", DISTINCT)
def test_geminis_stream_as_an_array(gateway: Gateway, dialect: str) -> None:
    client, name = CLIENTS["gemini"], model(dialect, "text")
    path = client.path(name, True).removesuffix("?alt=sse")
    response = gateway.client.post(path, json=client.request(name, client.question(), True, None))
    assert response.headers["content-type"].startswith("application/json")
    pieces = [client.whole(piece) for piece in response.json()]
    assert len(pieces) > 1
    assert "".join(piece.text for piece in pieces) == "Hello there."
    assert (pieces[-1].finish, pieces[-1].usage) == ("STOP", (11, 4))


def _cached_in_chat(body: Json) -> tuple[int, int]:
    usage = body["usage"]
    return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


def _cached_in_messages(body: Json) -> tuple[int, int]:
    usage = body["usage"]
    read = usage["cache_read_input_tokens"]
    # The three are disjoint in this API.
    return usage["input_tokens"] + usage["cache_creation_input_tokens"] + read, read


def _cached_in_gemini(body: Json) -> tuple[int, int]:
    usage = body["usageMetadata"]
    return usage["promptTokenCount"], usage["cachedContentTokenCount"]


def _cached_in_responses(body: Json) -> tuple[int, int]:
    usage = body["usage"]
    return usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"]


CACHED: Final = {
    "chat": _cached_in_chat,
    "anthropic": _cached_in_messages,
    "gemini": _cached_in_gemini,
    "responses": _cached_in_responses,
}


@every("dialect", DISTINCT)
@pytest.mark.parametrize("api", CLIENTS)
def test_cached_tokens_in_each_apis_own_counting(gateway: Gateway, api: str, dialect: str) -> None:
    client, name = CLIENTS[api], model(dialect, "cached")
    body = gateway.client.post(client.path(name, False), json=client.request(name, client.question(), False, None))
    assert CACHED[api](body.json()) == (1000, 800)


def _check_error(api: str, body: Json) -> str:
    """An error in the API's own shape; its message."""
    error: Json = body["error"]
    if api == "anthropic":
        assert body["type"] == "error"
        assert set(error) >= {"type", "message"}
    elif api == "gemini":
        assert set(error) >= {"code", "message", "status"}
    else:
        assert set(error) >= {"message", "type", "param", "code"}
    return str(error["message"])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@every(("dialect", "scenario"), crossings(ERROR_STATUS, "error-429"))
@pytest.mark.parametrize("api", CLIENTS)
def test_errors_in_each_apis_own_shape(gateway: Gateway, api: str, dialect: str, scenario: str, stream: bool) -> None:
    client, name = CLIENTS[api], model(dialect, scenario)
    response = gateway.client.post(
        client.path(name, stream), json=client.request(name, client.question(), stream, None)
    )
    assert response.status_code == ERROR_STATUS[scenario]
    assert _check_error(api, response.json())
    if scenario == "error-429":
        told = [header for header in scenarios(dialect)[scenario].headers if header.startswith("retry-after")]
        assert f"retry-after: {response.headers['retry-after']}" in told


@every("dialect", DIALECTS)
@pytest.mark.parametrize("api", CLIENTS)
def test_a_refused_credential_is_the_operators(gateway: Gateway, api: str, dialect: str) -> None:
    client, name = CLIENTS[api], refused(dialect, "text")
    response = gateway.client.post(client.path(name, False), json=client.request(name, client.question(), False, None))
    assert response.status_code == 502
    assert f"{dialect}-refused" in _check_error(api, response.json())


@every("dialect", DISTINCT)
@pytest.mark.parametrize("api", CLIENTS)
def test_an_error_as_the_first_event_is_a_status(gateway: Gateway, api: str, dialect: str) -> None:
    client, name = CLIENTS[api], model(dialect, "error-first-event")
    response = gateway.client.post(client.path(name, True), json=client.request(name, client.question(), True, None))
    assert response.status_code in (429, 500, 502, 503)
    assert _check_error(api, response.json())


ENDS: Final = {
    "chat": "[DONE]",
    "anthropic": "message_stop",
    "gemini": '"finishReason"',
    "responses": "response.completed",
}


@pytest.mark.parametrize("scenario", ["error-mid-stream", "cut"])
@every("dialect", DISTINCT)
@pytest.mark.parametrize("api", CLIENTS)
def test_a_stream_that_fails_never_looks_complete(gateway: Gateway, api: str, dialect: str, scenario: str) -> None:
    client, name = CLIENTS[api], model(dialect, scenario)
    response = gateway.client.post(client.path(name, True), json=client.request(name, client.question(), True, None))
    assert response.status_code == 200
    assert "Hello" in response.text
    assert ENDS[api] not in response.text
    *_, (event, data) = events(response.text)
    last: Json = json.loads(data)
    if api == "responses":
        assert event in ("response.failed", "error")
    else:
        assert event == ("error" if api == "anthropic" else "")
        assert _check_error(api, last)
