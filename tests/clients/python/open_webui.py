"""What Open WebUI sends: its list of models, chats with its parameters, native function calls, and its tasks.

The shapes are those of its public source, `routers/openai.py`, `utils/payload.py` and `utils/middleware.py`.
"""

import json

import httpx
from steps import (
    ABOUT,
    AGAIN,
    AGAIN_SAID,
    ASK,
    FREE,
    HELLO,
    HELLO_SAID,
    KEY,
    MODEL,
    SCHEMA,
    URL,
    heard,
    listed,
    run,
    weather,
)

HEADERS = {
    "Authorization": f"Bearer {KEY}", "HTTP-Referer": "https://openwebui.com/", "X-Title": "Open WebUI",
    "X-OpenWebUI-User-Name": "Somebody", "X-OpenWebUI-User-Id": "1", "X-OpenWebUI-User-Email": "somebody@example.org",
    "X-OpenWebUI-User-Role": "admin", "X-OpenWebUI-Chat-Id": "c1",
}  # fmt: skip
# What an administrator or a user can set for a model, each in its own type.
PARAMETERS = {
    "temperature": 0.7, "top_p": 0.9, "max_tokens": 256, "frequency_penalty": 0, "presence_penalty": 0,
    "seed": 42,
}  # fmt: skip
TOOL = {"type": "function", "function": {"name": "get_weather", "description": ABOUT, "parameters": SCHEMA}}
client = httpx.Client(base_url=f"{URL}/v1", headers=HEADERS, timeout=100, trust_env=False)


def asked(body):
    """The text and the calls of an answer, as its middleware gathers them from a stream."""
    body = {"model": MODEL, **body}
    if not body["stream"]:
        answer = client.post("/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        message = answer.json()["choices"][0]["message"]
        return message.get("content") or "", message.get("tool_calls") or []
    text, calls = "", {}
    with client.stream("POST", "/chat/completions", json=body) as answer:
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            piece = json.loads(line.removeprefix("data: "))
            assert "error" not in piece, piece
            for choice in piece.get("choices", ()):
                delta = choice.get("delta", {})
                text += delta.get("content") or ""
                for more in delta.get("tool_calls") or ():
                    known = calls.setdefault(more["index"], {**more, "function": {**more["function"], "arguments": ""}})
                    known["function"]["arguments"] += more["function"].get("arguments") or ""
    return text, list(calls.values())


def models():
    listed([each["id"] for each in client.get("/models").raise_for_status().json()["data"]])


def chat():
    content = [{"type": "text", "text": HELLO}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
    options = {"stream": True, "stream_options": {"include_usage": True}, **PARAMETERS}
    heard(asked({"messages": messages, **options})[0], HELLO_SAID)


def chat_without_system():
    heard(asked({"messages": [{"role": "user", "content": HELLO}], "stream": True})[0], HELLO_SAID)


def title():
    messages = [{"role": "user", "content": f"### Task: give it a title.\n{HELLO}"}]
    heard(asked({"messages": messages, "stream": False, "max_completion_tokens": 1000})[0], HELLO_SAID)


def tools():
    messages = [{"role": "user", "content": ASK}]
    options = {"stream": True, "tools": [TOOL], "stream_options": {"include_usage": True}}
    for _ in range(2):
        text, calls = asked({"messages": messages, **options})
        messages.append({"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})})
        for call in calls:
            result = weather(**json.loads(call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    messages.append({"role": "user", "content": AGAIN})
    heard(asked({"messages": messages, **options})[0], *AGAIN_SAID)


run(models, chat, chat_without_system, title, *([] if FREE else [tools]))
