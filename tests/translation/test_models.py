"""What is known of models, in requests to them: from every API, in relays and in translations."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.emulator.written import written as answer_of
from tests.rows import every
from tests.translation.targets import BASE, MODELS, Json, asked, target, written
from tests.translation.test_noise import APIS
from weebill.gateway.translation import translator

TOLD: Final = {"chat": "reasoning_effort", "anthropic": "thinking", "responses": "reasoning",
               "gemini": "generationConfig.thinkingConfig"}  # fmt: skip
SAMPLED: Final[dict[str, Json]] = {
    "chat": {"temperature": 0.5, "top_p": 0.5},
    "anthropic": {"temperature": 0.5, "top_p": 0.5},
    "responses": {"temperature": 0.5, "top_p": 0.5},
    "gemini": {"generationConfig": {"temperature": 0.5, "topP": 0.5}},
}
MUCH: Final[dict[str, Json]] = {
    "chat": {"max_tokens": 99_999},
    "anthropic": {"max_tokens": 99_999},
    "responses": {"max_output_tokens": 99_999},
    "gemini": {"generationConfig": {"maxOutputTokens": 99_999}},
}
THINK: Final[dict[str, Json]] = {
    "chat": {"reasoning_effort": "max"},
    "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 30_000}, "max_tokens": 40_000},
    "responses": {"reasoning": {"effort": "max"}},
    "gemini": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 30_000}}},
}
UNTHINKING: Final[dict[str, Json]] = {
    "chat": {"reasoning_effort": "none"},
    "anthropic": {"thinking": {"type": "disabled"}},
    "responses": {"reasoning": {"effort": "none"}},
    "gemini": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
}
HAIKU: Final = "anthropic.claude-haiku-4-5-20251001-v1:0"
OPUS: Final = "anthropic.claude-opus-4-7-v1:0"
PROFILE: Final = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu."
# A dialect, a model of it, and what is true of all that is sent to it, of whichever API it was asked in.
SAMPLING: Final[list[tuple[str, str, int]]] = [
    ("openai", "gpt-4.1", 2),
    ("openai", "o3", 0),
    ("openai", "gpt-5-mini", 0),
    ("azure", "o4-mini", 0),
    ("openai-responses", "gpt-5.1", 0),
    ("openai-responses", "gpt-4o", 2),
    ("anthropic", "claude-3-5-haiku-latest", 2),
    ("anthropic", "claude-sonnet-4-5", 1),
    ("anthropic", "claude-opus-4-1-20250805", 1),
    ("anthropic", "claude-opus-4-7", 0),
    ("bedrock", HAIKU, 1),
    ("bedrock", f"us.{HAIKU}", 1),
    ("bedrock", f"global.{OPUS}", 0),
    ("bedrock", f"{PROFILE}{OPUS}", 0),
    ("bedrock", f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}", 1),
    ("bedrock", "amazon.nova-pro-v1:0", 2),
    ("gemini", "gemini-2.5-flash", 2),
    ("openai", "anthropic/claude-opus-4.1", 1),
]
APIS_OF: Final = tuple(BASE)


def values(body: Any, *names: str) -> list[Any]:
    """All that stands under one of the names, however deep."""
    if isinstance(body, dict):
        found = [value for name, value in body.items() if name in names]
        return found + [each for value in body.values() for each in values(value, *names)]
    return [each for value in body for each in values(value, *names)] if isinstance(body, list) else []


@every(("dialect", "model", "taken"), SAMPLING)
@pytest.mark.parametrize("api", APIS_OF)
def test_temperature_and_top_p(api: str, dialect: str, model: str, taken: int) -> None:
    sent = written(api, SAMPLED[api], target(dialect, model), dialect)
    body = json.loads(sent.body)
    assert len(values(body, "temperature")) == min(taken, 1)
    assert len(values(body, "top_p", "topP")) == max(taken - 1, 0)
    assert len(sent.dropped) == 2 - taken


LIMITS: Final = [
    ("openai", "gpt-4.1", ""),
    ("openai", "o3", "max_completion_tokens"),
    ("azure", "gpt-5", "max_completion_tokens"),
    ("mistral", "mistral-large-latest", "max_tokens"),
    ("openai-responses", "gpt-5", "max_output_tokens"),
    ("anthropic", "claude-sonnet-4-5", "max_tokens"),
    ("bedrock", f"{PROFILE}{HAIKU}", "maxTokens"),
    ("gemini", "gemini-2.5-pro", "maxOutputTokens"),
    ("cohere", "command-a-03-2025", "max_tokens"),
    ("ollama", "llama3.3", "num_predict"),
]
NAMES: Final = (
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "maxTokens",
    "maxOutputTokens",
    "num_predict",
)


@every(("dialect", "model", "name"), LIMITS)
@pytest.mark.parametrize("api", APIS_OF)
def test_limits_are_bounded_and_called_what_the_model_calls_them(api: str, dialect: str, model: str, name: str) -> None:
    sent = written(api, MUCH[api], target(dialect, model, max_output_tokens=8000), dialect)
    body = json.loads(sent.body)
    assert values(body, *NAMES) == [8000]
    assert not name or values(body, name) == [8000]
    assert [each for each in sent.dropped if "okens" in each]
    few = written(api, json.loads(json.dumps(MUCH[api]).replace("99999", "77")), target(dialect, model), dialect)
    assert values(json.loads(few.body), *NAMES) == [77]
    assert few.dropped == ()


# What of thinking is sent to a model: the names under which it may stand, and the values that it takes; none for those
# that do not think.
EFFORTS: Final = ("reasoning_effort", "effort", "thinkingLevel")
BUDGETS: Final = ("budget_tokens", "thinkingBudget", "token_budget")
THINKING: Final[list[tuple[str, str, frozenset[object], tuple[int, int]]]] = [
    ("openai", "gpt-4.1", frozenset(), (0, 0)),
    ("azure", "gpt-4o", frozenset(), (0, 0)),
    ("openai-responses", "gpt-4.1-mini", frozenset(), (0, 0)),
    ("anthropic", "claude-3-5-haiku-latest", frozenset(), (0, 0)),
    ("bedrock", "amazon.nova-pro-v1:0", frozenset(), (0, 0)),
    ("bedrock", f"{PROFILE}anthropic.claude-3-5-haiku-20241022-v1:0", frozenset(), (0, 0)),
    ("gemini", "gemini-2.0-flash", frozenset(), (0, 0)),
    ("openai", "o3", frozenset({"low", "medium", "high"}), (0, 0)),
    ("azure", "gpt-5", frozenset({"minimal", "low", "medium", "high"}), (0, 0)),
    ("openai-responses", "gpt-5-pro", frozenset({"high"}), (0, 0)),
    ("openai", "gpt-5-pro", frozenset({"high"}), (0, 0)),
    ("openai", "grok-4", frozenset(), (0, 0)),
    ("openai-responses", "gpt-5.1", frozenset({"none", "low", "medium", "high"}), (0, 0)),
    ("anthropic", "claude-sonnet-4-5", frozenset(), (1024, 63_999)),
    ("anthropic", "claude-opus-4-7", frozenset({"low", "medium", "high", "xhigh", "max"}), (0, 0)),
    ("bedrock", f"us.{HAIKU}", frozenset(), (1024, 63_999)),
    ("gemini", "gemini-2.5-flash", frozenset(), (0, 24_576)),
    ("gemini", "gemini-2.5-pro", frozenset(), (128, 32_768)),
    ("gemini", "gemini-3-pro-preview", frozenset({"LOW", "HIGH"}), (0, 32_768)),
]


@every(("dialect", "model", "efforts", "budgets"), THINKING)
@pytest.mark.parametrize("asked_for", [THINK, UNTHINKING], ids=["much", "none"])
@pytest.mark.parametrize("api", APIS_OF)
def test_thinking_only_where_the_model_has_it_and_in_its_own_words(
    api: str, asked_for: dict[str, Json], dialect: str, model: str, efforts: frozenset[object], budgets: tuple[int, int]
) -> None:
    sent = written(api, asked_for[api], target(dialect, model), dialect)
    body = json.loads(sent.body)
    assert set(values(body, *EFFORTS)) <= efforts
    assert all(budgets[0] <= each <= budgets[1] for each in values(body, *BUDGETS))
    if not efforts and budgets == (0, 0):
        assert values(body, "thinking", "thinkingConfig", "reasoning") in ([], [{"type": "disabled"}])
        # That a model does not think is what was asked for.
        assert bool(sent.dropped) is (asked_for is THINK or model == "grok-4")
    elif asked_for is THINK:
        assert values(body, *EFFORTS, *BUDGETS) or values(body, "thinking", "thinkingConfig")


DEVELOPER: Final[dict[str, Json]] = {
    "chat": {"messages": [{"role": "developer", "content": "RULES"}, {"role": "user", "content": "Hi"}]},
    "responses": {"input": [{"role": "developer", "content": "RULES"}, {"role": "user", "content": "Hi"}]},
}
ROLES: Final = [
    ("openai", "openai", True),
    ("azure", "azure", True),
    ("openai-responses", "openai", True),
    ("openai", "acme", False),
    ("openai", "groq", False),
    ("openai", "deepseek", False),
    ("openai", "openrouter", False),
    ("mistral", "mistral", False),
    ("anthropic", "anthropic", False),
    ("bedrock", "bedrock", False),
    ("gemini", "gemini", False),
    ("cohere", "cohere", False),
    ("ollama", "ollama", False),
]


@every(("dialect", "provider", "known"), ROLES)
@pytest.mark.parametrize("api", DEVELOPER)
def test_the_developer_is_the_system_where_unknown(api: str, dialect: str, provider: str, known: bool) -> None:
    body = written(api, DEVELOPER[api], target(dialect, "m", provider=provider), dialect).body
    assert b"RULES" in body
    assert known or b"developer" not in body


def media(api: str, kind: str) -> Json:
    url = f"data:{kind};base64,iVBORw0KGgoAAAANSUhEUgAAAAE="
    if kind.lower().endswith("jpg") or kind.lower().endswith("jpeg"):
        url = f"data:{kind};base64,/9j/4AAQSkZJRgABAQAAAQABAAD="
    data = url.partition(",")[2]
    if api == "chat":
        return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}
    if api == "responses":
        return {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]}
    if api == "anthropic":
        source = {"type": "base64", "media_type": kind, "data": data}
        return {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}
    return {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": kind, "data": data}}]}]}


SHOWN: Final = [
    (api, dialect)
    for api in APIS_OF
    for dialect in ("openai", "openai-responses", "anthropic", "bedrock", "gemini", "cohere")
    # What a target of the same API gets is for its provider to judge.
    if (api, dialect)
    not in {("chat", "openai"), ("responses", "openai-responses"), ("anthropic", "anthropic"), ("gemini", "gemini")}
]


@pytest.mark.parametrize("kind", ["image/jpg", "image/JPG", "IMAGE/JPEG", "image/PNG", "Image/png"])
@every(("api", "dialect"), SHOWN)
def test_media_types_are_normalised(api: str, kind: str, dialect: str) -> None:
    body = written(api, media(api, kind), target(dialect), dialect).body
    meant = b"jpeg" if "p" in kind.lower() and "g" in kind.lower() and "n" not in kind.lower() else b"png"
    if dialect == "bedrock":
        assert json.loads(body)["messages"][0]["content"][0]["image"]["format"] == meant.decode()
    else:
        assert b"image/" + meant in body
        assert kind.encode() not in body


ANSWERING: Final = [each for each in MODELS if each != "llamacpp"]


@pytest.mark.parametrize("as_served", [False, True], ids=["asked", "served"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@every("dialect", ANSWERING)
@pytest.mark.parametrize("api", APIS_OF)
def test_answers_bear_the_name_that_was_asked_for(api: str, dialect: str, stream: bool, as_served: bool) -> None:
    """Relays included, unless the other is wanted."""
    bridge = translator(APIS[api], dialect, frozenset())
    call = asked(api, {}, stream=stream).replaced(model="THE-NAME")
    call.as_served = as_served
    sent = bridge.encode(call, target(dialect))
    whole, events = answer_of(dialect)
    served = set(values(whole, "model", "modelVersion")) - {None}
    if stream:
        reader = bridge.stream(call, sent)
        told = (b"".join(map(reader.feed, events)) + reader.finish()).decode()
    else:
        told = bridge.decode(call, sent, json.dumps(whole).encode()).body.decode()
    assert ("THE-NAME" in told) is (not as_served or not served)  # some do not say which it was
    assert all((name in told) is as_served for name in served), told
