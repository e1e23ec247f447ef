"""Requests to the engine, as the tests of its dialect make them."""

import json

import msgspec

from weebill.providers.base import Target
from weebill.providers.llamacpp.relay import LlamaCppTranslator
from weebill.wire.body import decode_chat, decode_completion
from weebill.wire.call import Call

TRANSLATOR = LlamaCppTranslator()
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
TIME = {"type": "function", "function": {"name": "get_time"}}


def chat(**fields: object) -> Call:
    messages = [{"role": "user", "content": "hi"}]
    return decode_chat(msgspec.json.encode({"model": "m", "messages": messages, **fields}))


def sent(**fields: object) -> dict[str, object]:
    body: dict[str, object] = json.loads(TRANSLATOR.encode(chat(**fields), Target(model="smollm2:135m")).body)
    return body


def completion(**fields: object) -> Call:
    return decode_completion(msgspec.json.encode({"model": "m", "prompt": "hi", **fields}))
