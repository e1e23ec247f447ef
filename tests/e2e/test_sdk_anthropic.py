"""Python's `anthropic` SDK, unchanged, against every provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import anthropic
import pytest
from anthropic import Anthropic

from tests.emulator.running import Gateway, model
from tests.emulator.server import DIALECTS, TWO_TURN
from tests.emulator.two_turn import CITIES, COMPLETION_TOKENS, OPAQUE, PROMPT_TOKENS, REASONING, TEXT, TOOL
from tests.translation.clients import ABOUT, QUESTION, SCHEMA

WEATHER: Final[Any] = {"name": TOOL, "description": ABOUT, "input_schema": SCHEMA}
RESULTS: Final = ["sunny", "rain"]
HELLO: Final[list[Any]] = [{"role": "user", "content": "Hi"}]


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0, timeout=20) as client:
        yield client


def test_messages(client: Anthropic, dialect: str) -> None:
    answer = client.messages.create(model=model(dialect, "text"), system="Be brief.", messages=HELLO, max_tokens=64)
    [block] = answer.content
    assert block.type == "text"
    assert block.text == "Hello there."
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 4)


def test_streaming(client: Anthropic, dialect: str) -> None:
    with client.messages.stream(model=model(dialect, "text"), messages=HELLO, max_tokens=64) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 1
    assert "".join(pieces) == "Hello there."
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 4)


def test_thinking(client: Anthropic, dialect: str) -> None:
    """Where a provider has no way to say how much to think, the request says that it may be left out."""
    with client.messages.stream(
        model=model(dialect, "reasoning"),
        messages=HELLO,
        max_tokens=4096,
        thinking={"type": "enabled", "budget_tokens": 1024},
        extra_body={"drop_params": True},
    ) as stream:
        thought = "".join(event.thinking for event in stream if event.type == "thinking")
        final = stream.get_final_message()
    assert thought == "The user greets me."
    [thinking, text] = final.content
    assert thinking.type == "thinking"
    assert (thinking.thinking, text.type) == (thought, "text")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools(gateway: Gateway, client: Anthropic, dialect: str, streamed: bool) -> None:
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    options: Any = {"model": model(dialect, TWO_TURN), "max_tokens": 512, "tools": [WEATHER]}
    if streamed:
        with client.messages.stream(messages=history, **options) as stream:
            first = stream.get_final_message()
    else:
        first = client.messages.create(messages=history, **options)
    assert first.stop_reason == "tool_use"
    assert "".join(block.thinking for block in first.content if block.type == "thinking") == REASONING
    assert "".join(block.text for block in first.content if block.type == "text") == TEXT
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [(TOOL, {"city": city}) for city in CITIES]
    assert (first.usage.input_tokens, first.usage.output_tokens) == (PROMPT_TOKENS, COMPLETION_TOKENS)

    history.append({"role": "assistant", "content": first.content})
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": text}
        for call, text in zip(calls, RESULTS, strict=True)
    ]
    history.append({"role": "user", "content": results})
    second = client.messages.create(messages=history, **options)
    assert [block.text for block in second.content if block.type == "text"] == ["Hello there."]
    seen = gateway.emulator.last(dialect).seen
    assert list(seen.results.values()) == RESULTS
    assert seen.opaque == ([OPAQUE[dialect]] if dialect in OPAQUE else [])


def test_counting(client: Anthropic, dialect: str) -> None:
    counted = client.messages.count_tokens(model=model(dialect, "text"), messages=HELLO, tools=[WEATHER])
    assert 10 < counted.input_tokens < 200


ERRORS: Final = [
    ("error-400", anthropic.BadRequestError),
    ("error-404", anthropic.NotFoundError),
    ("error-429", anthropic.RateLimitError),
    ("error-500", anthropic.InternalServerError),
    ("error-overloaded", anthropic.InternalServerError),
]


@pytest.mark.parametrize(("scenario", "kind"), ERRORS)
def test_errors(client: Anthropic, dialect: str, scenario: str, kind: type[anthropic.APIStatusError]) -> None:
    with pytest.raises(kind) as caught:
        client.messages.create(model=model(dialect, scenario), messages=HELLO, max_tokens=64)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"


@pytest.mark.parametrize("scenario", ["error-mid-stream", "cut"])
def test_a_stream_that_fails_raises(client: Anthropic, dialect: str, scenario: str) -> None:
    pieces: list[str] = []
    with client.messages.stream(model=model(dialect, scenario), messages=HELLO, max_tokens=64) as stream:  # noqa: SIM117
        with pytest.raises(anthropic.APIError):
            pieces.extend(stream.text_stream)
    assert "".join(pieces).startswith("Hello")
