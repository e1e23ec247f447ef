"""Instructor: a typed answer in its modes for three vendors."""

import instructor
from anthropic import Anthropic
from google import genai
from openai import OpenAI
from pydantic import BaseModel
from steps import FREE, HELLO, HELLO_SAID, KEY, MODEL, PERSON, URL, heard, run


class Person(BaseModel):
    name: str
    age: int


def openai():
    return OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)


def anthropic():
    return Anthropic(base_url=URL, api_key=KEY, max_retries=0)


def google():
    return genai.Client(api_key=KEY, http_options={"base_url": URL})


CLIENTS = {
    "openai_tools": lambda: instructor.from_openai(openai(), mode=instructor.Mode.TOOLS),
    "openai_json": lambda: instructor.from_openai(openai(), mode=instructor.Mode.JSON),
    "openai_json_schema": lambda: instructor.from_openai(openai(), mode=instructor.Mode.JSON_SCHEMA),
    "openai_parallel": lambda: instructor.from_openai(openai(), mode=instructor.Mode.TOOLS_STRICT),
    "responses_tools": lambda: instructor.from_openai(openai(), mode=instructor.Mode.RESPONSES_TOOLS),
    "anthropic_tools": lambda: instructor.from_anthropic(anthropic(), mode=instructor.Mode.ANTHROPIC_TOOLS),
    "anthropic_json": lambda: instructor.from_anthropic(anthropic(), mode=instructor.Mode.ANTHROPIC_JSON),
    "google_tools": lambda: instructor.from_genai(google(), mode=instructor.Mode.GENAI_TOOLS),
    "google_structured": lambda: instructor.from_genai(google(), mode=instructor.Mode.GENAI_STRUCTURED_OUTPUTS),
}


def typed(name):
    def step():
        options = {"max_tokens": 1024} if "anthropic" in name else {}
        answer = CLIENTS[name]().chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": PERSON}], response_model=Person, max_retries=0, **options
        )
        assert answer.model_dump() == {"name": "Ada", "age": 36}, answer

    step.__name__ = name
    return step


def chat():
    answer = instructor.from_openai(openai()).chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": HELLO}], response_model=None
    )
    heard(answer.choices[0].message.content, HELLO_SAID)


run(chat, *([] if FREE else map(typed, CLIENTS)))
