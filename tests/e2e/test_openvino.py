"""A whole installation whose model is served by OpenVINO, and OpenAI's SDK as its client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from tests.e2e.installation import Installation, installation

pytest.importorskip("openvino_genai", reason="`pip install 'weebill[openvino]'` is missing")

CAPITAL: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 40}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}


class City(BaseModel):
    """A city and its number of people."""

    name: str
    people: int


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, compact_model: Path) -> Iterator[Installation]:
    config = '[local.engine]\nengine = "openvino"\ncontext = 2048\n'
    with installation(tmp_path_factory.mktemp("openvino") / "home", compact_model, config) as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Installation) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0, timeout=150) as client:
        yield client


def test_chat_and_streams(client: OpenAI, served: Installation) -> None:
    whole = client.chat.completions.create(model="mini", messages=CAPITAL, temperature=0)
    assert "Paris" in (whole.choices[0].message.content or "")
    assert whole.choices[0].finish_reason == "stop"
    with client.chat.completions.create(model="mini", messages=CAPITAL, temperature=0, stream=True) as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == whole.choices[0].message.content
    assert "which OpenVINO does not have" in (served.home / "serve.log").read_text()


def test_structured_answers(client: OpenAI) -> None:
    answer = client.chat.completions.parse(model="mini", messages=CAPITAL, response_format=City, temperature=0)
    assert isinstance(answer.choices[0].message.parsed, City)


def test_forced_tools(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="mini",
        messages=[{"role": "user", "content": "How warm is it in Berlin?"}],
        tools=[WEATHER],
        tool_choice="required",
        temperature=0,
    )
    choice = answer.choices[0]
    call = (choice.message.tool_calls or [])[0]
    assert call.type == "function"
    assert (call.function.name, choice.finish_reason) == ("get_weather", "tool_calls")
    assert json.loads(call.function.arguments).keys() == {"city", "unit"}


def test_what_it_cannot_do_is_refused_by_the_clients_name(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="mini", messages=CAPITAL, logprobs=True, top_logprobs=2)
    assert caught.value.param == "top_logprobs"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="mini", messages=[{"role": "user", "content": "word " * 3000}])
    assert caught.value.code == "context_length_exceeded"
