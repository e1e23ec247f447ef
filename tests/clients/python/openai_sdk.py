"""The `openai` SDK: its accumulators of Chat Completions and Responses, each answer echoed as the next turn."""

import json

from openai import OpenAI
from pydantic import BaseModel
from steps import (
    ABOUT,
    AGAIN,
    AGAIN_SAID,
    ASK,
    HELLO,
    HELLO_SAID,
    KEY,
    MODEL,
    PERSON,
    SCHEMA,
    URL,
    heard,
    listed,
    only_told,
    run,
    weather,
)

client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
TOOL = {"type": "function", "function": {"name": "get_weather", "description": ABOUT, "parameters": SCHEMA}}
FUNCTION = {"type": "function", "name": "get_weather", "description": ABOUT, "parameters": SCHEMA, "strict": False}


class Person(BaseModel):
    name: str
    age: int


def chat():
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": HELLO}], max_tokens=64)
    heard(answer.choices[0].message.content, HELLO_SAID)
    assert answer.model == MODEL, answer.model


def chat_stream():
    messages = [{"role": "user", "content": HELLO}]
    with client.chat.completions.stream(model=MODEL, messages=messages, max_tokens=400) as stream:
        final = stream.get_final_completion()
    heard(final.choices[0].message.content, HELLO_SAID)


def chat_tools():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASK}]
    for _ in range(2):
        with client.chat.completions.stream(model=MODEL, messages=messages, tools=[TOOL]) as stream:
            message = stream.get_final_completion().choices[0].message
        messages.append(message.to_dict())
        for call in message.tool_calls or ():
            result = weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    messages.append({"role": "user", "content": AGAIN})
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=[TOOL]) as stream:
        heard(stream.get_final_completion().choices[0].message.content, *AGAIN_SAID)


def chat_parse():
    messages = [{"role": "user", "content": PERSON}]
    answer = client.chat.completions.parse(model=MODEL, messages=messages, response_format=Person)
    assert answer.choices[0].message.parsed == Person(name="Ada", age=36), answer


def responses():
    answer = client.responses.create(model=MODEL, input=HELLO, max_output_tokens=64)
    heard(answer.output_text, HELLO_SAID)


def responses_tools():
    history = [{"role": "user", "content": ASK}]
    options = {"model": MODEL, "tools": [FUNCTION], "store": False, "include": ["reasoning.encrypted_content"]}
    for _ in range(2):
        with client.responses.stream(input=history, instructions="Be brief.", **options) as stream:
            answer = stream.get_final_response()
        history += [item.to_dict() for item in answer.output]
        for item in answer.output:
            if item.type == "function_call":
                result = weather(**json.loads(item.arguments))
                history.append({"type": "function_call_output", "call_id": item.call_id, "output": result})
    history.append({"role": "user", "content": AGAIN})
    with client.responses.stream(input=history, **options) as stream:
        heard(stream.get_final_response().output_text, *AGAIN_SAID)


def responses_kept():
    first = client.responses.create(model=MODEL, input=ASK, tools=[FUNCTION])
    [call] = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": weather(**json.loads(call.arguments))}
    second = client.responses.create(
        model=MODEL, previous_response_id=first.id, input=[result, {"role": "user", "content": AGAIN}], tools=[FUNCTION]
    )
    heard(second.output_text, *AGAIN_SAID)


def responses_parse():
    answer = client.responses.parse(model=MODEL, input=PERSON, text_format=Person)
    assert answer.output_parsed == Person(name="Ada", age=36), answer


def models():
    listed([each.id for each in client.models.list()])
    assert client.models.retrieve(MODEL).id == MODEL


run(
    models, chat, chat_stream, only_told(chat_tools), only_told(chat_parse), responses, only_told(responses_tools),
    only_told(responses_kept), only_told(responses_parse),
)  # fmt: skip
