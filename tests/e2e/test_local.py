"""What clients of every API send to the compact model: a sensible answer, or a refusal in the API's own form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.e2e.installation import Installation

CAPITAL: Final = "What is the capital of France?"
USER: Final[Any] = {"role": "user", "content": CAPITAL}
SCHEMA: Final[Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION: Final[Any] = {"name": "get_weather", "parameters": SCHEMA}
CUT: Final[Any] = {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Ber'}}
PIXEL: Final = "data:image/png;base64,iVBORw0KGgo="
CHAT: Final = "/v1/chat/completions"
MESSAGES: Final = "/anthropic/v1/messages"
RESPONSES: Final = "/v1/responses"
GENERATE: Final = "/v1beta/models/mini:generateContent"
STOPPED: Final[Any] = {"max_tokens": 16, "temperature": 0, "messages": [USER]}


@pytest.fixture(scope="module")
def client(weebill: Installation) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {weebill.key}", "x-goog-api-key": weebill.key}
    with httpx.Client(base_url=weebill.url, headers=headers, timeout=60) as client:
        yield client


def ask(client: httpx.Client, path: str, **body: object) -> httpx.Response:
    return client.post(path, json=body if path == GENERATE else {"model": "mini", **body})


def test_what_the_engine_passes_over_is_named(client: httpx.Client) -> None:
    fields = {"store": True, "metadata": {"a": "b"}, "verbosity": "low", "x_new": 1, "max_tokens": 32_000, "min_p": 0.1}
    answer = ask(client, CHAT, messages=[USER], temperature=0, **fields)
    assert "Paris" in answer.json()["choices"][0]["message"]["content"]
    assert answer.headers["x-weebill-dropped"] == "store, metadata, verbosity, x_new, max_tokens"
    answer = ask(client, RESPONSES, input=CAPITAL, max_output_tokens=32_000, prompt_cache_key="k", temperature=0)
    assert answer.json()["status"] == "completed"
    assert set(answer.headers["x-weebill-dropped"].split(", ")) == {"max_output_tokens", "prompt_cache_key"}


def test_the_word_that_ended_an_answer(client: httpx.Client) -> None:
    whole = ask(client, MESSAGES, **STOPPED, stop_sequences=["zebra", "Paris"]).json()
    assert (whole["stop_reason"], whole["stop_sequence"]) == ("stop_sequence", "Paris")
    stream = ask(client, MESSAGES, **STOPPED, stop_sequences=["Paris"], stream=True).text
    assert '"stop_reason":"stop_sequence","stop_sequence":"Paris"' in stream
    plain = ask(client, MESSAGES, **STOPPED, stop_sequences=["zebra"]).json()
    assert (plain["stop_reason"], plain["stop_sequence"]) == ("end_turn", None)
    chat = ask(client, CHAT, **STOPPED, stop="Paris").json()["choices"][0]
    assert (chat["finish_reason"], chat["stop_reason"]) == ("stop", "Paris")
    assert "__verbose" not in ask(client, CHAT, **STOPPED, stop="Paris", stream=True).text


def test_the_older_form_of_calls(client: httpx.Client) -> None:
    asked = {"functions": [FUNCTION], "function_call": {"name": "get_weather"}, "max_tokens": 64, "temperature": 0}
    choice = ask(client, CHAT, messages=[{"role": "user", "content": "The weather in Paris?"}], **asked).json()
    called = choice["choices"][0]["message"]["function_call"]
    assert called["name"] == "get_weather"
    assert json.loads(called["arguments"]).keys() == {"city"}
    history = [
        USER,
        {"role": "assistant", "content": None, "function_call": called},
        {"role": "function", "name": "get_weather", "content": "sunny"},
    ]
    assert ask(client, CHAT, messages=history, functions=[FUNCTION], max_tokens=4).status_code == 200


ANSWERED: Final[list[tuple[str, dict[str, Any]]]] = [
    (CHAT, {"messages": [USER, {"role": "assistant", "tool_calls": [CUT]}, {"role": "tool", "tool_call_id": "a"}]}),
    (CHAT, {"messages": [USER, {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm"}]}, USER]}),
    (CHAT, {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": ["Hi"]}]}),
    (CHAT, {"messages": [{"role": "system", "content": "Be brief."}]}),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": None}]}]}),
    (CHAT, {"messages": [USER], "stop": "", "top_logprobs": 0, "tools": [{"function": FUNCTION}]}),
    (CHAT, {"messages": [USER], "tools": [{"type": "custom", "custom": {"name": "f"}}], "parallel_tool_calls": False}),
    (
        CHAT,
        {
            "messages": [USER],
            "tools": [{"type": "function", "function": FUNCTION}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
        },
    ),
    (
        MESSAGES,
        {"messages": [USER, {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm"}]}, USER]},
    ),
    (RESPONSES, {"input": [{"role": "user", "content": CAPITAL}, {"type": "reasoning", "id": "r", "summary": []}]}),
]


@pytest.mark.parametrize(("path", "body"), ANSWERED)
def test_what_clients_send_is_answered(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    limit = "max_output_tokens" if path == RESPONSES else "max_tokens"
    answer = ask(client, path, **body, **{limit: 4})
    assert answer.status_code == 200, answer.text


IMAGE: Final[Any] = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}
REFUSED: Final[list[tuple[str, dict[str, Any], str]]] = [
    (CHAT, {"messages": [IMAGE]}, "messages[0].content[0].image_url"),
    (CHAT, {"messages": [USER], "tool_choice": "required"}, "tool_choice"),
    (CHAT, {"messages": [USER], "response_format": {"type": "xml"}}, "response_format"),
    (CHAT, {"messages": [USER], "grammar": 'root ::= "a"', "json_schema": {"type": "object"}}, "grammar"),
    (RESPONSES, {"input": []}, "input"),
    (RESPONSES, {"input": "word " * 9000}, "input"),
    (RESPONSES, {"input": "word " * 900_000}, "input"),
    (MESSAGES, {"messages": [{"role": "user", "content": "word " * 900_000}], "max_tokens": 4}, "messages"),
    (GENERATE, {"contents": []}, "contents"),
    (
        GENERATE,
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}]},
        "contents[0].parts[0].inlineData",
    ),
]


@pytest.mark.parametrize(("path", "body", "field"), REFUSED)
def test_what_it_cannot_do_is_refused_by_name(
    client: httpx.Client, path: str, body: dict[str, Any], field: str
) -> None:
    answer = ask(client, path, **body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    if path == MESSAGES:  # its errors have no place for the field
        assert field in error["message"] or "The prompt" in error["message"]
        return
    named = error["details"][-1]["fieldViolations"][0]["field"] if path == GENERATE else error["param"]
    assert named == field
