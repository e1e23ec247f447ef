"""`langchain-openai`, unchanged, against every provider.

It is imported by the tests: each process that only collects them would take seconds for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from pydantic import BaseModel, SecretStr

from tests.emulator.running import Gateway, model
from tests.emulator.server import DIALECTS, TWO_TURN
from tests.emulator.two_turn import CITIES, COMPLETION_TOKENS, PROMPT_TOKENS, TEXT, TOOL
from tests.translation.clients import QUESTION

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_openai import ChatOpenAI

JSON_SCENARIOS: Final = {"bedrock": "json-schema-native"}
RESULTS: Final = dict(zip(CITIES, ("sunny", "rain"), strict=True))


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return RESULTS[city]


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def chat(gateway: Gateway, dialect: str, scenario: str) -> ChatOpenAI:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(
        model=model(dialect, scenario),
        base_url=f"{gateway.url}/v1",
        api_key=SecretStr(gateway.key),
        max_retries=0,
        timeout=20,
        stream_usage=True,
    )


def test_invoke(gateway: Gateway, dialect: str) -> None:
    answer = chat(gateway, dialect, "text").invoke([("system", "Be brief."), ("human", "Hi")])
    assert answer.content == "Hello there."
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (11, 4)


def test_stream(gateway: Gateway, dialect: str) -> None:
    pieces = list(chat(gateway, dialect, "text").stream("Hi"))
    assert "".join(str(piece.content) for piece in pieces) == "Hello there."
    assert sum(bool(piece.content) for piece in pieces) > 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools(gateway: Gateway, dialect: str, streamed: bool) -> None:
    from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
    from langchain_core.tools import tool

    weather = tool(get_weather)
    llm = chat(gateway, dialect, TWO_TURN).bind_tools([weather])
    history: list[BaseMessage] = [HumanMessage(QUESTION)]
    first: AIMessage
    if streamed:
        whole: AIMessageChunk | None = None
        for piece in llm.stream(history):
            assert isinstance(piece, AIMessageChunk)
            whole = piece if whole is None else whole + piece
        assert whole is not None
        first = whole
    else:
        first = llm.invoke(history)
    assert first.content == TEXT
    assert [(call["name"], call["args"]) for call in first.tool_calls] == [(TOOL, {"city": city}) for city in CITIES]
    usage = first.usage_metadata
    assert usage is not None
    assert (usage["input_tokens"], usage["output_tokens"]) == (PROMPT_TOKENS, COMPLETION_TOKENS)

    history.append(first)
    for call in first.tool_calls:
        result = weather.invoke(call)
        assert isinstance(result, ToolMessage)
        history.append(result)
    assert llm.invoke(history).content == "Hello there."
    seen = gateway.emulator.last(dialect).seen
    assert list(seen.results.values()) == list(RESULTS.values())


def test_structured_output(gateway: Gateway, dialect: str) -> None:
    llm = chat(gateway, dialect, JSON_SCENARIOS.get(dialect, "json-schema"))
    assert llm.with_structured_output(Person, method="json_schema").invoke("Who?") == Person(name="Ada", age=36)
