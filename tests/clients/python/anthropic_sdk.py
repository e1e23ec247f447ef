"""The `anthropic` SDK: its accumulator, each answer echoed as the next turn, with and without thinking."""

from anthropic import Anthropic
from steps import (
    ABOUT,
    AGAIN,
    AGAIN_SAID,
    ASK,
    HELLO,
    HELLO_SAID,
    KEY,
    MODEL,
    SCHEMA,
    URL,
    heard,
    listed,
    only_told,
    run,
    weather,
)

client = Anthropic(base_url=URL, api_key=KEY, max_retries=0)
TOOL = {"name": "get_weather", "description": ABOUT, "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}}
THINKING = {"type": "enabled", "budget_tokens": 2048}


def text(message):
    return "".join(block.text for block in message.content if block.type == "text")


def chat():
    messages = [{"role": "user", "content": HELLO}]
    answer = client.messages.create(model=MODEL, max_tokens=64, system="Be brief.", messages=messages)
    heard(text(answer), HELLO_SAID)
    assert answer.model == MODEL, answer.model


def stream():
    messages = [{"role": "user", "content": HELLO}]
    with client.messages.stream(model=MODEL, max_tokens=64, messages=messages) as streamed:
        heard(text(streamed.get_final_message()), HELLO_SAID)


def _tools(**options):
    history = [{"role": "user", "content": [{"type": "text", "text": ASK, "cache_control": {"type": "ephemeral"}}]}]
    options = {"model": MODEL, "max_tokens": 4096, "tools": [TOOL], **options}
    with client.messages.stream(messages=history, **options) as streamed:
        answer = streamed.get_final_message()
    history.append({"role": "assistant", "content": answer.content})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": weather(**block.input)}
        for block in answer.content
        if block.type == "tool_use"
    ]
    history.append({"role": "user", "content": results})
    with client.messages.stream(messages=history, **options) as streamed:
        history.append({"role": "assistant", "content": streamed.get_final_message().content})
    history.append({"role": "user", "content": AGAIN})
    with client.messages.stream(messages=history, **options) as streamed:
        heard(text(streamed.get_final_message()), *AGAIN_SAID)


def tools():
    _tools(metadata={"user_id": "somebody"}, extra_body={"top_k": 40})


def tools_thinking():
    _tools(thinking=THINKING)


def counting():
    counted = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": HELLO}], tools=[TOOL])
    assert counted.input_tokens > 5, counted


def models():
    listed([each.id for each in client.models.list(limit=1000)])


run(models, chat, stream, counting, only_told(tools), only_told(tools_thinking))
