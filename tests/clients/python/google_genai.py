"""The `google-genai` SDK: functions that it calls by itself, chats, and JSON."""

from google import genai
from google.genai import types
from pydantic import BaseModel
from steps import (
    AGAIN,
    AGAIN_SAID,
    ASK,
    HELLO,
    HELLO_SAID,
    KEY,
    MODEL,
    PERSON,
    URL,
    WEATHER,
    heard,
    listed,
    only_told,
    run,
    weather,
)

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL))


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return weather(city)


def chat():
    config = types.GenerateContentConfig(
        system_instruction="Be brief.", max_output_tokens=64, top_k=40, safety_settings=[],
        thinking_config=types.ThinkingConfig(thinking_budget=0),
    )  # fmt: skip
    heard(client.models.generate_content(model=MODEL, contents=HELLO, config=config).text, HELLO_SAID)


def stream():
    pieces = client.models.generate_content_stream(model=MODEL, contents=HELLO)
    heard("".join(piece.text or "" for piece in pieces), HELLO_SAID)


def tools():
    config = types.GenerateContentConfig(tools=[get_weather])
    session = client.chats.create(model=MODEL, config=config)
    heard(session.send_message(ASK).text, WEATHER)
    heard(session.send_message(AGAIN).text, *AGAIN_SAID)


def tools_stream():
    config = types.GenerateContentConfig(
        tools=[get_weather], thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_level="low")
    )
    session = client.chats.create(model=MODEL, config=config)
    heard("".join(piece.text or "" for piece in session.send_message_stream(ASK)), WEATHER)
    heard("".join(piece.text or "" for piece in session.send_message_stream(AGAIN)), *AGAIN_SAID)


def structured():
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    assert client.models.generate_content(model=MODEL, contents=PERSON, config=config).parsed == Person(
        name="Ada", age=36
    )


def counting():
    assert client.models.count_tokens(model=MODEL, contents=HELLO).total_tokens > 5


def models():
    listed([each.name.removeprefix("models/") for each in client.models.list(config={"page_size": 1000})])


run(models, chat, stream, counting, only_told(tools), only_told(tools_stream), only_told(structured))
