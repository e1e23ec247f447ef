"""Python's `openai` SDK, unchanged, against every provider."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from tests.emulator.running import Gateway, model
from tests.emulator.server import DIALECTS, TWO_TURN
from tests.emulator.two_turn import CITIES, COMPLETION_TOKENS, OPAQUE, PROMPT_TOKENS, REASONING, TEXT, TOOL
from tests.translation.clients import ABOUT, QUESTION, SCHEMA

WEATHER: Final[Any] = {"type": "function", "function": {"name": TOOL, "description": ABOUT, "parameters": SCHEMA}}
FUNCTION: Final[Any] = {"type": "function", "name": TOOL, "description": ABOUT, "parameters": SCHEMA, "strict": False}
RESULTS: Final = ["sunny", "rain"]
HELLO: Final[list[Any]] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
# A model of no known maker is asked for JSON natively at Bedrock.
JSON_SCENARIOS: Final = {"bedrock": "json-schema-native"}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=20) as client:
        yield client


def json_model(dialect: str) -> str:
    return model(dialect, JSON_SCENARIOS.get(dialect, "json-schema"))


def test_chat(client: OpenAI, dialect: str) -> None:
    answer = client.chat.completions.create(model=model(dialect, "text"), messages=HELLO, max_completion_tokens=64)
    assert answer.choices[0].message.content == "Hello there."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.created > 1_000_000_000
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (11, 4, 15)


def test_chat_streamed(client: OpenAI, dialect: str) -> None:
    with client.chat.completions.stream(
        model=model(dialect, TWO_TURN),
        messages=[{"role": "user", "content": QUESTION}],
        tools=[WEATHER],
        stream_options={"include_usage": True},
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"content.delta", "content.done", "tool_calls.function.arguments.delta"} <= kinds
    [choice] = final.choices
    assert choice.message.content == TEXT
    assert [call.function.arguments for call in choice.message.tool_calls or ()]
    assert choice.finish_reason == "tool_calls"
    assert final.usage is not None
    assert (final.usage.prompt_tokens, final.usage.completion_tokens) == (PROMPT_TOKENS, COMPLETION_TOKENS)


def test_chat_with_tools(gateway: Gateway, client: OpenAI, dialect: str) -> None:
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client.chat.completions.create(model=model(dialect, TWO_TURN), messages=history, tools=[WEATHER])
    message = first.choices[0].message
    calls = message.tool_calls or []
    assert [json.loads(call.function.arguments) for call in calls if call.type == "function"] == [
        {"city": city} for city in CITIES
    ]
    # As the SDK's examples do: the message object itself goes back.
    history.append(message)
    history += [
        {"role": "tool", "tool_call_id": call.id, "content": text} for call, text in zip(calls, RESULTS, strict=True)
    ]
    second = client.chat.completions.create(model=model(dialect, TWO_TURN), messages=history, tools=[WEATHER])
    assert second.choices[0].message.content == "Hello there."
    seen = gateway.emulator.last(dialect).seen
    assert list(seen.results.values()) == RESULTS
    assert seen.opaque == ([OPAQUE[dialect]] if dialect in OPAQUE else [])


def test_chat_parsed(gateway: Gateway, client: OpenAI, dialect: str) -> None:
    answer = client.chat.completions.parse(
        model=json_model(dialect), messages=[{"role": "user", "content": "Who?"}], response_format=Person
    )
    assert answer.choices[0].message.parsed == Person(name="Ada", age=36)
    assert '"age"' in json.dumps(gateway.emulator.last(dialect).body).replace("\\", "")


def test_responses(client: OpenAI, dialect: str) -> None:
    answer = client.responses.create(model=model(dialect, "text"), instructions="Be brief.", input="Hi")
    assert answer.output_text == "Hello there."
    assert answer.status == "completed"
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (11, 4, 15)


def test_responses_streamed_with_tools(gateway: Gateway, client: OpenAI, dialect: str) -> None:
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    options: Any = {
        "model": model(dialect, TWO_TURN), "tools": [FUNCTION], "store": False,
        "include": ["reasoning.encrypted_content"],
    }  # fmt: skip
    with client.responses.stream(input=history, **options) as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        first = stream.get_final_response()
    assert deltas == first.output_text == TEXT
    thoughts = [item for item in first.output if item.type == "reasoning"]
    texts = [part.text for item in thoughts for part in (*item.summary, *(item.content or ()))]
    assert "".join(texts) == REASONING
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"city": city} for city in CITIES]
    history += first.output
    history += [
        {"type": "function_call_output", "call_id": call.call_id, "output": text}
        for call, text in zip(calls, RESULTS, strict=True)
    ]
    assert client.responses.create(input=history, **options).output_text == "Hello there."
    seen = gateway.emulator.last(dialect).seen
    assert list(seen.results.values()) == RESULTS
    assert seen.opaque == ([OPAQUE[dialect]] if dialect in OPAQUE else [])


def test_responses_parsed(client: OpenAI, dialect: str) -> None:
    answer = client.responses.parse(model=json_model(dialect), input="Who?", text_format=Person)
    assert answer.output_parsed == Person(name="Ada", age=36)


def test_completions(client: OpenAI, dialect: str) -> None:
    """The old API reaches every provider too, OpenAI's and Azure's under its own path."""
    answer = client.completions.create(model=model(dialect, "text"), prompt="Say hello.", max_tokens=16)
    assert answer.choices[0].text == "Hello there."
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("dialect", [each for each in DIALECTS if each not in ("openai", "azure")], indirect=True)
def test_completions_streamed(client: OpenAI, dialect: str) -> None:
    stream = client.completions.create(model=model(dialect, "text"), prompt="Say hello.", max_tokens=16, stream=True)
    choices = [choice for chunk in stream for choice in chunk.choices]
    assert "".join(choice.text for choice in choices) == "Hello there."
    assert choices[-1].finish_reason == "stop"


def test_embeddings(client: OpenAI) -> None:
    answer = client.embeddings.create(model=model("openai", "text"), input="x", encoding_format="float")
    assert answer.data[0].embedding == [0.5, -0.25]


ERRORS: Final = [
    ("error-400", openai.BadRequestError),
    ("error-404", openai.NotFoundError),
    ("error-429", openai.RateLimitError),
    ("error-500", openai.InternalServerError),
    ("error-overloaded", openai.InternalServerError),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("scenario", "kind"), ERRORS)
def test_errors(client: OpenAI, dialect: str, scenario: str, kind: type[openai.APIStatusError], stream: bool) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=model(dialect, scenario), messages=HELLO, stream=stream)
    assert isinstance(caught.value.body, dict)
    assert caught.value.request_id


@pytest.mark.parametrize("scenario", ["error-mid-stream", "cut"])
def test_a_stream_that_fails_raises(client: OpenAI, dialect: str, scenario: str) -> None:
    stream = client.chat.completions.create(model=model(dialect, scenario), messages=HELLO, stream=True)
    chunks: list[ChatCompletionChunk] = []
    with pytest.raises(openai.APIError):
        chunks.extend(stream)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text.startswith("Hello")
