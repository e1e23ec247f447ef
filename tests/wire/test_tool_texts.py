"""What tools gave as JSON itself: its text, whichever API says it, in relays of Chat Completions as well."""

import json

import pytest

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.responses.api import RESPONSES
from weebill.providers.base import Target
from weebill.providers.openai.relay import OPENAI_RELAY
from weebill.wire.conversation import Part, Text, ToolResult
from weebill.wire.errors import ApiError

# A body up to what a tool gave, and what comes after it.
AROUND: dict[str, tuple[Api, str, str]] = {
    "chat": (
        CHAT,
        '{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function",'
        '"function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":',
        "}]}",
    ),
    "messages": (
        ANTHROPIC,
        '{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f",'
        '"input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":',
        "}]}]}",
    ),
    "responses": (
        RESPONSES,
        '{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},'
        '{"type":"function_call_output","call_id":"c","output":',
        "}]}",
    ),
}
GIVEN = ['{"a": 1.50}', "7", "true", "-1.0e2", "[1, 2]", '[{"a":1}]', "[[]]", '{"type":"weather","sky":"blue"}']


def given(name: str, content: str) -> tuple[Part, ...]:
    api, before, after = AROUND[name]
    conversation = api.conversation(api.decode(f"{before}{content}{after}".encode(), {}, ""))
    [result] = [part for part in conversation.turns[-1].parts if isinstance(part, ToolResult)]
    return result.content


@pytest.mark.parametrize("content", GIVEN)
@pytest.mark.parametrize("name", AROUND)
def test_json_is_text_as_well(name: str, content: str) -> None:
    assert given(name, content) == (Text(content),)


@pytest.mark.parametrize("content", ['[{"type":"text","text":"a"}]', '{"type":"text","text":"a"}', '"a"'])
@pytest.mark.parametrize("name", ["chat", "messages"])
def test_content_stays_content(name: str, content: str) -> None:
    assert given(name, content) == (Text("a"),)


@pytest.mark.parametrize("content", GIVEN[:5])
def test_a_relay_says_it_too(content: str) -> None:
    _, before, after = AROUND["chat"]
    request = OPENAI_RELAY.encode(CHAT.decode(f"{before}{content}{after}".encode(), {}, ""), Target(model="m"))
    assert request.body == f"{before}{json.dumps(content)}{after}".encode()


def test_others_say_no_json() -> None:
    with pytest.raises(ApiError) as raised:
        CHAT.decode(b'{"model":"m","messages":[{"role":"user","content":7}]}', {}, "")
    assert raised.value.detail.param == "messages[0].content"
