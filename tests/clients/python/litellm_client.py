"""LiteLLM as a client, in the APIs of three vendors."""

import json
from functools import partial

import litellm
from steps import ABOUT, AGAIN, AGAIN_SAID, ASK, FREE, HELLO, HELLO_SAID, KEY, MODEL, SCHEMA, URL, heard, run, weather

litellm.suppress_debug_info = True
TOOL = {"type": "function", "function": {"name": "get_weather", "description": ABOUT, "parameters": SCHEMA}}
WAYS = {
    "openai": {"model": f"openai/{MODEL}", "api_base": f"{URL}/v1"},
    "anthropic": {"model": f"anthropic/{MODEL}", "api_base": URL},
    "gemini": {"model": f"gemini/{MODEL}", "api_base": f"{URL}/v1beta"},
}


def chat(way):
    answer = litellm.completion(messages=[{"role": "user", "content": HELLO}], api_key=KEY, num_retries=0, **way)
    heard(answer.choices[0].message.content, HELLO_SAID)


def stream(way):
    pieces = litellm.completion(messages=[{"role": "user", "content": HELLO}], api_key=KEY, stream=True, **way)
    heard("".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices), HELLO_SAID)


def tools(way):
    messages = [{"role": "user", "content": ASK}]
    for _ in range(2):
        pieces = list(litellm.completion(messages=messages, tools=[TOOL], api_key=KEY, stream=True, **way))
        message = litellm.stream_chunk_builder(pieces, messages=messages).choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls or ():
            result = weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    messages.append({"role": "user", "content": AGAIN})
    answer = litellm.completion(messages=messages, tools=[TOOL], api_key=KEY, **way)
    heard(answer.choices[0].message.content, *AGAIN_SAID)


def named(name, function):
    function.__name__ = name
    return function


STEPS = (chat, stream) if FREE else (chat, stream, tools)
run(*(named(f"{vendor}_{do.__name__}", partial(do, way)) for vendor, way in WAYS.items() for do in STEPS))
