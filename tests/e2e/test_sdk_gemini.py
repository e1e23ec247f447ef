"""Python's `google-genai` SDK, unchanged, against every provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.emulator.running import Gateway, model
from tests.emulator.server import DIALECTS, TWO_TURN
from tests.emulator.two_turn import CITIES, COMPLETION_TOKENS, OPAQUE, PROMPT_TOKENS, REASONING, TEXT, TOOL
from tests.translation.clients import ABOUT, QUESTION, SCHEMA

WEATHER: Final = types.Tool(
    function_declarations=[types.FunctionDeclaration(name=TOOL, description=ABOUT, parameters_json_schema=SCHEMA)]
)
JSON_SCENARIOS: Final = {"bedrock": "json-schema-native"}
MANUAL: Final = types.AutomaticFunctionCallingConfig(disable=True)
RESULTS: Final = ["sunny", "rain"]


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return dict(zip(CITIES, RESULTS, strict=True))[city]


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=gateway.url, timeout=20_000)
    client = genai.Client(api_key=gateway.key, http_options=options)
    yield client
    client.close()


def test_generating(client: genai.Client, dialect: str) -> None:
    config = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=64)
    answer = client.models.generate_content(model=model(dialect, "text"), contents="Hi", config=config)
    assert answer.text == "Hello there."
    assert answer.candidates
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata.prompt_token_count, answer.usage_metadata.candidates_token_count) == (11, 4)


def test_streaming(client: genai.Client, dialect: str) -> None:
    pieces = list(client.models.generate_content_stream(model=model(dialect, "text"), contents="Hi"))
    assert len(pieces) > 1
    assert "".join(piece.text or "" for piece in pieces) == "Hello there."
    assert pieces[-1].usage_metadata is not None
    assert pieces[-1].usage_metadata.total_token_count == 15


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools_in_a_chat(gateway: Gateway, client: genai.Client, dialect: str, streamed: bool) -> None:
    """The SDK keeps the history, pieces of a stream as they came."""
    chat = client.chats.create(
        model=model(dialect, TWO_TURN),
        config=types.GenerateContentConfig(tools=[WEATHER], automatic_function_calling=MANUAL),
    )
    pieces = list(chat.send_message_stream(QUESTION)) if streamed else [chat.send_message(QUESTION)]
    parts = [part for piece in pieces for part in _parts(piece)]
    assert "".join(part.text or "" for part in parts if part.thought) == REASONING
    assert "".join(part.text or "" for part in parts if not part.thought) == TEXT
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.args) for call in calls] == [(TOOL, {"city": city}) for city in CITIES]
    usage = pieces[-1].usage_metadata
    assert usage is not None
    assert usage.prompt_token_count == PROMPT_TOKENS
    assert (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) == COMPLETION_TOKENS

    responses: list[types.PartUnionDict] = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": text}))
        for call, text in zip(calls, RESULTS, strict=True)
    ]
    assert chat.send_message(responses).text == "Hello there."
    seen = gateway.emulator.last(dialect).seen
    assert list(seen.results.values()) == RESULTS
    assert seen.opaque == ([OPAQUE[dialect]] if dialect in OPAQUE else [])


def _parts(piece: types.GenerateContentResponse) -> list[types.Part]:
    candidates = piece.candidates or []
    return [part for each in candidates if each.content for part in each.content.parts or ()]


def test_functions_that_the_sdk_calls(gateway: Gateway, client: genai.Client, dialect: str) -> None:
    config = types.GenerateContentConfig(tools=[get_weather])
    answer = client.models.generate_content(model=model(dialect, TWO_TURN), contents=QUESTION, config=config)
    assert answer.text == "Hello there."
    seen = gateway.emulator.last(dialect).seen
    assert all(text in given for text, given in zip(RESULTS, seen.results.values(), strict=True))


def test_json(client: genai.Client, dialect: str) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    name = model(dialect, JSON_SCENARIOS.get(dialect, "json-schema"))
    assert client.models.generate_content(model=name, contents="Who?", config=config).parsed == Person(
        name="Ada", age=36
    )


def test_counting(client: genai.Client, dialect: str) -> None:
    counted = client.models.count_tokens(model=model(dialect, "text"), contents="How many tokens are these?")
    assert counted.total_tokens is not None
    assert 3 <= counted.total_tokens < 40


ERRORS: Final = [("error-400", 400), ("error-404", 404), ("error-429", 429), ("error-overloaded", 503)]


@pytest.mark.parametrize(("scenario", "status"), ERRORS)
def test_errors(client: genai.Client, dialect: str, scenario: str, status: int) -> None:
    with pytest.raises(errors.APIError) as caught:
        client.models.generate_content(model=model(dialect, scenario), contents="Hi")
    assert caught.value.code == status
    assert caught.value.status


@pytest.mark.parametrize("scenario", ["error-mid-stream", "cut"])
def test_a_stream_that_fails_raises(client: genai.Client, dialect: str, scenario: str) -> None:
    stream = client.models.generate_content_stream(model=model(dialect, scenario), contents="Hi")
    pieces: list[types.GenerateContentResponse] = []
    with pytest.raises(errors.APIError):
        pieces.extend(stream)
    assert "".join(piece.text or "" for piece in pieces).startswith("Hello")
