"""What stands between an API and a dialect that does not speak it: refusals, what may be dropped, and the metering."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.emulator.running import Gateway, model, refused, running_gateway
from tests.emulator.server import DIALECTS, scenarios
from weebill.usage.records import UsageRecord

Json = dict[str, Any]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("translation") / "home") as running:
        yield running


def _chat(name: str, **fields: object) -> tuple[str, Json]:
    return "/v1/chat/completions", {"model": name, "messages": [{"role": "user", "content": "Hi"}], **fields}


def _completions(name: str, **fields: object) -> tuple[str, Json]:
    return "/v1/completions", {"model": name, "prompt": "Hi", **fields}


def _anthropic(name: str, **fields: object) -> tuple[str, Json]:
    messages = [{"role": "user", "content": "Hi"}]
    return "/v1/messages", {"model": name, "messages": messages, "max_tokens": 64, **fields}


def _gemini(name: str, **fields: object) -> tuple[str, Json]:
    return f"/v1beta/models/{name}:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}], **fields}


def _responses(name: str, **fields: object) -> tuple[str, Json]:
    return "/v1/responses", {"model": name, "input": "Hi", **fields}


APIS: Final = {
    "chat": _chat,
    "completions": _completions,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "responses": _responses,
}


def post(gateway: Gateway, request: tuple[str, Json]) -> httpx.Response:
    path, body = request
    return gateway.client.post(path, json=body)


def record(gateway: Gateway, response: httpx.Response) -> UsageRecord:
    """The one record of a request, once it is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [each for each in gateway.worker.records() if each.request_id == response.headers["x-request-id"]]
        if found:
            [only] = found
            return only
        time.sleep(0.01)
    raise AssertionError("no record")


SCHEMA: Final = {"type": "object", "properties": {}}
TOOL: Final = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
# API, dialect, fields that the dialect cannot do, and the client's own name of what is to blame. Demands change what is
# asked for; hints do not.
DEMANDS: Final[list[tuple[str, str, Json, str]]] = [
    ("chat", "anthropic", {"n": 2}, "n"),
    ("chat", "anthropic", {"logit_bias": {"1": 5}}, "logit_bias"),
    ("chat", "gemini", {"logit_bias": {"1": 5}}, "logit_bias"),
    ("chat", "cohere", {"n": 2}, "n"),
    ("chat", "ollama", {"logit_bias": {"5": 1}}, "logit_bias"),
    ("chat", "openai-responses", {"logit_bias": {"5": 1}}, "logit_bias"),
    ("chat", "anthropic", {"guided_json": SCHEMA}, "guided_json"),
    ("completions", "cohere", {"logit_bias": {"1": 5}}, "logit_bias"),
    ("gemini", "bedrock", {"generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount"),
    ("gemini", "anthropic", {"cachedContent": "cachedContents/1"}, "cachedContent"),
    (
        "gemini",
        "openai",
        {"generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}},
        "generationConfig.responseSchema",
    ),
    ("responses", "anthropic", {"include": ["message.output_text.logprobs"]}, "include"),
    ("responses", "bedrock", {"prompt": {"id": "p"}}, "prompt"),
]
HINTS: Final[list[tuple[str, str, Json, str]]] = [
    ("chat", "bedrock", {"response_format": {"type": "json_object"}}, "response_format"),
    ("chat", "anthropic", {"seed": 1}, "seed"),
    ("chat", "anthropic", {"frequency_penalty": 0.5}, "frequency_penalty"),
    ("chat", "anthropic", {"temperature": 1.5}, "temperature"),
    ("chat", "bedrock", {"presence_penalty": 0.5}, "presence_penalty"),
    ("chat", "anthropic", {"x_new": {"a": 1}}, "x_new"),
    ("chat", "cohere", {"x_new": {"a": 1}}, "x_new"),
    ("completions", "anthropic", {"seed": 1}, "seed"),
    ("anthropic", "openai-responses", {"top_k": 5}, "top_k"),
    ("anthropic", "gemini", {"container": "c"}, "container"),
    ("anthropic", "openai", {"context_management": {"edits": []}}, "context_management"),
    ("gemini", "anthropic", {"generationConfig": {"seed": 1}}, "generationConfig.seed"),
    ("gemini", "openai-responses", {"generationConfig": {"topK": 5}}, "generationConfig.topK"),
    ("gemini", "openai", {"safetySettings": [{"category": "X"}]}, "safetySettings"),
    ("gemini", "cohere", {"tools": [{"googleSearch": {}}]}, "tools.googleSearch"),
    ("chat", "gemini", {"user": "u"}, "user"),
    ("responses", "anthropic", {"client_metadata": {"session": "1"}}, "client_metadata"),
]
REFUSED: Final = DEMANDS + HINTS


def _ids(rows: list[tuple[str, str, Json, str]]) -> list[str]:
    return [f"{api}-{dialect}-{name}" for api, dialect, _, name in rows]


def blamed(api: str, body: Json) -> str:
    """The field that an error names, in the API's own form."""
    error = body["error"]
    if api == "gemini":
        fields = [each["field"] for detail in error["details"] for each in detail.get("fieldViolations", ())]
        return str(fields[0])
    return str(error["message"] if api == "anthropic" else error["param"])


@pytest.mark.parametrize(("api", "dialect", "fields", "name"), DEMANDS, ids=_ids(DEMANDS))
def test_a_demand_that_a_target_cannot_meet_is_refused_by_the_clients_name(
    gateway: Gateway, api: str, dialect: str, fields: Json, name: str
) -> None:
    _is_refused(gateway, api, dialect, fields, name)


@pytest.mark.parametrize(("api", "dialect", "fields", "name"), HINTS, ids=_ids(HINTS))
def test_a_hint_is_passed_over_and_said(gateway: Gateway, api: str, dialect: str, fields: Json, name: str) -> None:
    response = post(gateway, APIS[api](model(dialect, "text"), **fields))
    assert response.status_code == 200, response.text
    assert response.headers["x-weebill-dropped"] == name
    assert record(gateway, response).dropped == name


@pytest.mark.parametrize(("api", "dialect", "fields", "name"), HINTS, ids=_ids(HINTS))
def test_or_refused_where_the_caller_wants_that(
    gateway: Gateway, api: str, dialect: str, fields: Json, name: str
) -> None:
    _is_refused(gateway, api, dialect, {**fields, "provider": {"on_unsupported": "refuse"}}, name)


def _is_refused(gateway: Gateway, api: str, dialect: str, fields: Json, name: str) -> None:
    asked = len(gateway.emulator.got)
    response = post(gateway, APIS[api](model(dialect, "text"), **fields))
    assert response.status_code == 400, response.text
    told = blamed(api, response.json())
    assert name in told if api == "anthropic" else told == name
    assert len(gateway.emulator.got) == asked
    kept = record(gateway, response)
    assert (kept.status, kept.outcome, kept.prompt_tokens, kept.completion_tokens) == (400, "rejected", 0, 0)


@pytest.mark.parametrize(("api", "dialect", "fields", "name"), REFUSED, ids=_ids(REFUSED))
def test_or_dropped_where_the_client_says_so(gateway: Gateway, api: str, dialect: str, fields: Json, name: str) -> None:
    response = post(gateway, APIS[api](model(dialect, "text"), **fields, drop_params=True))
    assert response.status_code == 200, response.text
    plain = post(gateway, APIS[api](model(dialect, "text"), **{key: fields[key] for key in fields if key == "tools"}))
    assert plain.status_code == 200
    with_drop, without = gateway.emulator.got[-2:]
    # As if the field had not been there, but for fields that say what holds anyway, such as "stream": false.
    assert _said(with_drop.body) == _said(without.body)


@pytest.mark.parametrize("root", ["/v1beta", "/gemini/v1beta", "/v1beta/models", "/v1/models"])
def test_gemini_names_with_a_slash_need_no_collection_before_them(gateway: Gateway, root: str) -> None:
    """The AI SDK writes a name that holds a slash directly below the root."""
    name = model("openai", "text")
    assert "/" in name
    response = post(gateway, (f"{root}/{name}:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}))
    assert response.status_code == 200, response.text
    assert response.json()["modelVersion"] == name


def _said(body: Json) -> Json:
    return {name: value for name, value in body.items() if value}


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_values_that_ask_for_nothing_are_not_refused(gateway: Gateway, api: str) -> None:
    neutral = {"n": 1, "frequency_penalty": 0, "presence_penalty": 0, "logit_bias": {}}
    for dialect in DIALECTS:
        assert post(gateway, APIS[api](model(dialect, "text"), max_tokens=64, **neutral)).status_code == 200, dialect


@pytest.mark.parametrize("drop", [False, True])
def test_what_is_asked_is_never_dropped(gateway: Gateway, drop: bool) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    content = [{"type": "text", "text": "What is this?"}, image]
    body = {"messages": [{"role": "user", "content": content}], "drop_params": drop}
    response = post(gateway, _chat(model("bedrock", "text"), **body))
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("messages", "unsupported_parameter")
    assert "bedrock-emulated" in error["message"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_estimate_says_that_it_is_one(gateway: Gateway, stream: bool) -> None:
    """An upstream that counts nothing: the client gets an estimate, and the record says so."""
    prompt = "How is the weather in Paris? " * 10
    body: Json = {"messages": [{"role": "user", "content": prompt}], "stream": stream}
    response = post(gateway, _chat(model("ollama", "cached-uncounted"), **body))
    assert response.status_code == 200
    kept = record(gateway, response)
    assert not kept.measured
    assert len(prompt) // 8 < kept.prompt_tokens < len(prompt)
    assert kept.completion_tokens > 0
    measured = record(gateway, post(gateway, _chat(model("ollama", "text"), **body)))
    assert measured.measured
    assert (measured.prompt_tokens, measured.completion_tokens) == (11, 4)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("api", ["chat", "anthropic", "gemini", "responses"])
def test_usage_is_of_one_shape_in_every_record(gateway: Gateway, api: str, dialect: str, stream: bool) -> None:
    """The invariant holds for every scenario, and the record has what the provider reported."""
    path, body = APIS[api](model(dialect, "cached"))
    if api != "gemini":
        body["stream"] = stream
    elif stream:
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    kept = record(gateway, post(gateway, (path, body)))
    assert (kept.prompt_tokens, kept.cached_tokens, kept.completion_tokens, kept.measured) == (1000, 800, 4, True)
    assert kept.cache_write_tokens in (0, 100)
    assert (kept.outcome, kept.stream, kept.upstream) == ("ok", stream, f"{dialect}-emulated")
    assert kept.model_asked == model(dialect, "cached")
    assert kept.model_served == "cached"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_invariant_of_usage(gateway: Gateway, dialect: str) -> None:
    """Whatever a provider answers, errors and broken streams included."""
    answers = [
        # A key that is refused is not used again, which would be seen in the other tests.
        post(gateway, _chat((refused if scenario == "error-401" else model)(dialect, scenario), stream=stream))
        for scenario in scenarios(dialect)
        for stream in (False, True)
    ]
    for kept in [record(gateway, answers[-1]), *gateway.worker.records()]:
        assert kept.prompt_tokens >= kept.cached_tokens + kept.cache_write_tokens
        assert min(kept.cached_tokens, kept.cache_write_tokens, kept.reasoning_tokens) >= 0
        assert kept.completion_tokens >= kept.reasoning_tokens
    # Each request has its one record.
    wanted = {response.headers["x-request-id"] for response in answers}
    found = [kept.request_id for kept in gateway.worker.records() if kept.request_id in wanted]
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_that_breaks_off_is_recorded_as_such(gateway: Gateway, dialect: str) -> None:
    kept = record(gateway, post(gateway, _chat(model(dialect, "cut"), stream=True)))
    assert (kept.outcome, kept.status) == ("upstream_error", 502)
    assert kept.prompt_tokens > 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_key_goes_only_where_it_belongs(gateway: Gateway, dialect: str) -> None:
    post(gateway, _chat(model(dialect, "text")))
    got = gateway.emulator.last(dialect)
    assert gateway.key not in str(got.headers)
    carriers = {"authorization", "x-api-key", "api-key", "x-goog-api-key"} & set(got.headers)
    assert len(carriers) == 1
