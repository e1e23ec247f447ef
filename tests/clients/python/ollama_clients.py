"""Ollama's Python library and LangChain's classes for it; and what Open WebUI and Continue ask Ollama besides."""

from json import loads

import httpx
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_ollama import ChatOllama
from ollama import AsyncClient, Client
from pydantic import BaseModel
from steps import (
    AGAIN,
    AGAIN_SAID,
    ASK,
    FREE,
    HELLO,
    HELLO_SAID,
    KEY,
    MODEL,
    PERSON,
    URL,
    heard,
    listed,
    only_told,
    run,
    weather,
)

HEADERS = {"Authorization": f"Bearer {KEY}"}
OPTIONS = {"num_predict": 64, "num_ctx": 4096, "temperature": 0.2, "top_k": 40, "top_p": 0.9, "repeat_penalty": 1.1}
client = Client(URL, headers=HEADERS, timeout=100)


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: The city's name.
    """
    return weather(city)


def said(text):
    return [{"role": "user", "content": text}]


def models():
    listed([each.model for each in client.list().models])
    assert "completion" in client.show(MODEL).capabilities
    assert client.ps().models or not FREE


def chat():
    heard(client.chat(MODEL, said(HELLO), options=OPTIONS, keep_alive="5m").message.content, HELLO_SAID)


def stream():
    *pieces, last = client.chat(MODEL, said(HELLO), stream=True, options=OPTIONS)
    heard("".join(piece.message.content for piece in pieces), HELLO_SAID)
    assert last.done
    assert last.eval_count > 0
    assert last.eval_duration > 0


async def async_stream():
    text = ""
    async for piece in await AsyncClient(URL, headers=HEADERS).generate(MODEL, HELLO, stream=True, options=OPTIONS):
        text += piece.response
    heard(text, HELLO_SAID)


def tools():
    history = said(ASK)
    answer = client.chat(MODEL, history, tools=[get_weather]).message
    assert answer.tool_calls, answer
    history.append(answer)
    for call in answer.tool_calls:
        result = get_weather(**call.function.arguments)
        history.append({"role": "tool", "tool_name": call.function.name, "content": result})
    history += said(AGAIN)
    heard(
        "".join(p.message.content for p in client.chat(MODEL, history, tools=[get_weather], stream=True)), *AGAIN_SAID
    )


def json():
    answer = client.chat(MODEL, said(PERSON), format=Person.model_json_schema(), options={"num_predict": 64})
    assert FREE or Person.model_validate_json(answer.message.content) == Person(name="Ada", age=36)


def load():
    assert client.generate(MODEL).done_reason == "load"
    assert client.generate(MODEL, keep_alive=0).done_reason == "unload"


def langchain(**more):
    return ChatOllama(model=MODEL, base_url=URL, client_kwargs={"headers": HEADERS}, num_predict=64, **more)


def langchain_chat():
    answer = langchain(temperature=0).invoke(HELLO)
    heard(answer.content, HELLO_SAID)
    assert answer.usage_metadata["output_tokens"] > 0
    heard("".join(piece.content for piece in langchain(reasoning=False).stream(HELLO)), HELLO_SAID)


def langchain_tools():
    model = langchain().bind_tools([get_weather])
    history = [HumanMessage(ASK)]
    history.append(model.invoke(history))
    results = [(get_weather(**call["args"]), call["id"]) for call in history[-1].tool_calls]
    history += [ToolMessage(result, tool_call_id=call_id) for result, call_id in results]
    history.append(HumanMessage(AGAIN))
    heard(model.invoke(history).content, *AGAIN_SAID)


def langchain_json():
    assert langchain().with_structured_output(Person).invoke(PERSON) == Person(name="Ada", age=36)


def others():
    """The requests of programs that use no library: which version it is, the older name of `model`, and raw bytes."""
    with httpx.Client(base_url=URL, headers=HEADERS, timeout=100, trust_env=False) as other:
        version = other.get("/api/version").raise_for_status().json()["version"]
        assert all(part.isdigit() for part in version.split("."))
        shown = other.post("/api/show", json={"name": MODEL}).raise_for_status().json()
        assert "general.architecture" in shown["model_info"]
        answer = other.post("/api/chat", json={"model": MODEL, "messages": said(HELLO), "options": OPTIONS})
        pieces = [loads(line) for line in answer.raise_for_status().text.splitlines()]
        assert [piece["done"] for piece in pieces] == [False] * (len(pieces) - 1) + [True]


TOLD = [only_told(each) for each in (tools, langchain_tools, langchain_json)]
run(models, chat, stream, async_stream, json, load, langchain_chat, others, *TOLD)
