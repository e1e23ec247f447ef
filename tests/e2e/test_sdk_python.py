"""Python's `openai` SDK, unchanged, against the compact model."""

import asyncio
import json
from collections.abc import Iterator
from typing import Literal

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel, Field

from tests.e2e.installation import Installation
from tests.rows import sampled

CAPITAL: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 40}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture
def client(weebill: Installation) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{weebill.url}/v1", api_key=weebill.key, max_retries=0, timeout=150) as client:
        yield client


@pytest.mark.parametrize("model", ["mini", "smollm2:135m"])
def test_chat(client: OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=CAPITAL, temperature=0)
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == model
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 5
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_openai_path_of_the_brief(weebill: Installation) -> None:
    with OpenAI(base_url=f"{weebill.url}/openai/v1", api_key=weebill.key) as client:
        assert client.chat.completions.create(model="mini", messages=CAPITAL, max_tokens=8).choices[0].message.content


def test_streaming(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="mini", messages=CAPITAL, temperature=0, seed=1)
    chunks = list(client.chat.completions.create(model="mini", messages=CAPITAL, temperature=0, seed=1, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "Paris" in text
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_streaming_with_usage(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="mini", messages=CAPITAL, max_tokens=8, stream=True, stream_options={"include_usage": True}
    )
    *_, last = stream
    assert last.choices == []
    assert last.usage is not None
    assert 0 < last.usage.completion_tokens <= 8


def test_a_tool_that_must_be_called(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="mini",
        messages=[{"role": "user", "content": "What is the weather in Sydney, in celsius?"}],
        tools=[WEATHER],
        tool_choice="required",
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.id
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == {"city", "unit"}
    assert arguments["unit"] in ("celsius", "fahrenheit")

    followed = client.chat.completions.create(
        model="mini",
        max_tokens=40,
        messages=[
            {"role": "user", "content": "What is the weather in Sydney, in celsius?"},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": call.function.arguments},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 21}'},
        ],
        tools=[WEATHER],
        tool_choice="none",
    )
    assert followed.choices[0].message.content


def test_a_streamed_tool_call(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="mini",
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER],
        tool_choice="required",
        stream=True,
    )
    name, arguments, reason = "", "", None
    for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            name += call.function.name or ""
            arguments += call.function.arguments or ""
        reason = chunk.choices[0].finish_reason or reason
    assert (name, reason) == ("get_weather", "tool_calls")
    assert set(json.loads(arguments)) == {"city", "unit"}


class Review(BaseModel):
    sentiment: Literal["positive", "negative", "neutral"]
    stars: int = Field(ge=1, le=5)
    summary: str
    topics: list[str]


TEXTS = [
    "The soup was cold and the waiter rude.",
    "Best hotel I ever stayed in, lovely breakfast!",
    "It is a phone.",
    "Le train était en retard de deux heures.",
    "",
    "🐦" * 20,
    'A "quoted" {"json": [1, 2]} text \\ with\nlines',
    "word " * 60,
]


@pytest.mark.parametrize("seed", sampled(range(3), 1))
@pytest.mark.parametrize("text", sampled(TEXTS, 2))
def test_json_schema_is_valid_every_time(client: OpenAI, text: str, seed: int) -> None:
    answer = client.chat.completions.parse(
        model="mini",
        messages=[{"role": "user", "content": f"Review: {text}\nDescribe it."}],
        response_format=Review,
        seed=seed,
    )
    assert isinstance(answer.choices[0].message.parsed, Review)
    assert answer.choices[0].finish_reason == "stop"


def test_two_choices(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="mini", messages=[{"role": "user", "content": "Name an animal."}], n=2, temperature=1.2, max_tokens=24
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert all(choice.message.content for choice in answer.choices)
    stream = client.chat.completions.create(
        model="mini", messages=[{"role": "user", "content": "Name an animal."}], n=2, max_tokens=8, stream=True
    )
    assert {choice.index for chunk in stream for choice in chunk.choices} == {0, 1}


def test_logprobs(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="mini", messages=CAPITAL, max_tokens=4, logprobs=True, top_logprobs=3)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    for token in logprobs.content:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3


def test_limits_and_stops(client: OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Count: one, two, three, four"}]
    cut = client.chat.completions.create(model="mini", messages=messages, max_completion_tokens=3)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage is not None
    assert cut.usage.completion_tokens == 3
    stopped = client.chat.completions.create(model="mini", messages=CAPITAL, temperature=0, stop=["Paris"])
    assert "Paris" not in (stopped.choices[0].message.content or "")


def test_completions(client: OpenAI) -> None:
    answer = client.completions.create(model="mini", prompt="The capital of France is", max_tokens=5, temperature=0)
    assert "Paris" in answer.choices[0].text
    stream = client.completions.create(model="mini", prompt="One, two,", max_tokens=5, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream)


def test_models(client: OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"mini", "smollm2:135m"}
    assert client.models.retrieve("mini").owned_by == "weebill"


def test_leaving_a_stream(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="mini", messages=[{"role": "user", "content": "Tell a very long story."}], max_tokens=2000, stream=True
    )
    for _ in range(5):
        next(stream)
    stream.close()
    # The engine is free again at once: a thousand more tokens would take many seconds.
    assert client.with_options(timeout=5).chat.completions.create(model="mini", messages=CAPITAL, max_tokens=4)


def test_giving_up_on_an_answer(client: OpenAI) -> None:
    """As many as the engine works on at once leave before they are answered; it must not go on for nobody."""
    story: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell a very long story."}]
    for _ in range(4):
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.7).chat.completions.create(
                model="mini", messages=story, max_tokens=4000, logit_bias={"2": -100}
            )
    assert client.with_options(timeout=10).chat.completions.create(model="mini", messages=CAPITAL, max_tokens=4)


def test_errors_are_the_sdks_own(weebill: Installation, client: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as unauthenticated:
        client.with_options(api_key="sk-wb-wrong").chat.completions.create(model="mini", messages=CAPITAL)
    assert unauthenticated.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nope", messages=CAPITAL)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert unknown.value.request_id
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="mini", messages=CAPITAL, temperature="hot")
    assert bad.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        client.files.list()


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_beyond_the_window_is_refused_whole(client: OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="mini", messages=[{"role": "user", "content": "word " * 9000}], max_tokens=1, stream=stream
        )
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")


def test_a_long_prompt_within_the_window(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="mini", messages=[{"role": "user", "content": "word " * 520 + "What word was that?"}], max_tokens=4
    )
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 520


async def test_many_at_once(weebill: Installation) -> None:
    async with openai.AsyncOpenAI(base_url=f"{weebill.url}/v1", api_key=weebill.key, timeout=150) as client:
        answers = await asyncio.gather(
            *[
                client.chat.completions.create(
                    model="mini", messages=[{"role": "user", "content": f"Say {i}."}], max_tokens=8
                )
                for i in range(12)
            ]
        )
    assert all(answer.choices[0].message.content for answer in answers)
