"""Names of tools that a target refuses: mapped there and back. And ids of calls, mapped there."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from weebill.apis.chat.api import CHAT
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.tool_names import NAMES, fit_names
from weebill.gateway.translation import translator
from weebill.providers import registry
from weebill.providers.base import Target
from weebill.providers.fit import Fit
from weebill.providers.identifiers import WORDS, any_of, fitted
from weebill.wire.conversation import Conversation, Text, Tool, ToolChoice, ToolResult, ToolUse, Turn

ODD = ["files.read", "files/read", "files read", "a" * 200, "1st", "größe", "ファイル", "f.read", "f_read", "plain"]
TARGET = Target(model="m")


def conversation(*names: str, call_id: str = "c1") -> Conversation:
    return Conversation(
        turns=tuple(
            turn
            for name in names
            for turn in (
                Turn("assistant", (Text("a"), ToolUse(call_id, name, "{}"))),
                Turn("tool", (ToolResult(call_id, (Text("b"),), name),)),
            )
        ),
        tools=tuple(Tool(name) for name in names),
        tool_choice=ToolChoice("required", names),
    )


@pytest.mark.parametrize("dialect", NAMES)
def test_every_name_fits_everywhere(dialect: str) -> None:
    asked, back = fit_names(conversation(*ODD), dialect)
    names = [tool.name for tool in asked.tools]
    assert all(NAMES[dialect].fits.fullmatch(name) for name in names)
    assert len(set(names)) == len(ODD)
    assert [back.get(name, name) for name in names] == ODD
    assert asked.tool_choice == ToolChoice("required", tuple(names))
    for name, (said, result) in zip(names, zip(asked.turns[::2], asked.turns[1::2], strict=True), strict=True):
        assert said.parts[1].name == name  # type: ignore[union-attr]
        assert result.parts[0].name == name  # type: ignore[union-attr]
    assert names[-1] == "plain"


@pytest.mark.parametrize("dialect", ["ollama", "llamacpp", "acme"])
def test_where_any_name_does_nothing_changes(dialect: str) -> None:
    asked = conversation(*ODD)
    assert fit_names(asked, dialect) == (asked, {})


def test_what_fits_is_not_touched() -> None:
    asked = conversation("f_read", "plain")
    for dialect in NAMES:
        assert fit_names(asked, dialect)[0] is asked


def test_a_name_is_the_same_whatever_else_is_offered() -> None:
    first, _ = fit_names(conversation("files.read"), "openai")
    second, _ = fit_names(conversation("other.tool", "files.read"), "openai")
    assert first.tools[0].name == second.tools[1].name


def test_a_name_that_another_tool_has_already() -> None:
    taken = fitted("files.read", NAMES["openai"])
    asked, back = fit_names(conversation("files.read", taken), "openai")
    assert asked.tools[1].name == taken
    assert asked.tools[0].name != taken
    assert back == {asked.tools[0].name: "files.read"}


@given(st.lists(st.text(min_size=1, max_size=100), unique=True, max_size=6), st.sampled_from(sorted(NAMES)))
def test_any_names(names: list[str], dialect: str) -> None:
    asked, back = fit_names(conversation(*names), dialect)
    told = [tool.name for tool in asked.tools]
    assert [back.get(name, name) for name in told] == names
    assert all(NAMES[dialect].fits.fullmatch(name) for name in told)


# What the dialects take as the id of a call.
IDS = {
    "anthropic": WORDS, "bedrock": WORDS, "openai": any_of(40), "azure": any_of(40), "openai-responses": any_of(64),
}  # fmt: skip
WRITTEN = re.compile(rb'"(?:id|tool_use_id|toolUseId|tool_call_id|call_id)": ?"([^"]+)"')


@pytest.mark.parametrize("name", IDS)
def test_ids(name: str) -> None:
    given_ids = ["call.1", "call_1", "call/1", "c" * 80, "c" * 81, "plain"]
    target = Target(model="m", options={"region": "r", "api_version": "v"})
    found = []
    for given_id in given_ids:
        asked = structs.replace(conversation("f", call_id=given_id), max_tokens=99)
        called, answered = WRITTEN.findall(registry.dialect(name).encode(asked, target, Fit(), stream=False).body)
        assert called == answered
        assert IDS[name].fits.fullmatch(called.decode())
        found.append(called)
    assert len(set(found)) == len(given_ids)
    assert found[-1] == b"plain"


OFFERED = {"type": "function", "function": {"name": "files.read", "parameters": {"type": "object"}}}
MESSAGES = [
    {"role": "user", "content": "Hi"},
    {
        "role": "assistant",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "files.read", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "a"},
]
THEIRS = fitted("files.read", NAMES["anthropic"])


def anthropic_answer(stream: bool) -> bytes:
    block = {"type": "tool_use", "id": "t1", "name": THEIRS, "input": {}}
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [block],
        "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    if not stream:
        return json.dumps(message).encode()
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), json.dumps(e).encode()) for e in events)


@pytest.mark.parametrize("stream", [False, True])
def test_there_and_back_over_the_bridge(stream: bool) -> None:
    bridge = translator(CHAT, "anthropic", frozenset({"anthropic"}))
    body = {
        "model": "m", "messages": MESSAGES, "tools": [OFFERED], "stream": stream,
        "tool_choice": {"type": "function", "function": {"name": "files.read"}},
    }  # fmt: skip
    asked = CHAT.decode(json.dumps(body).encode(), {}, "")
    sent = bridge.encode(asked, TARGET)
    written = json.loads(sent.body)
    assert written["tools"][0]["name"] == written["tool_choice"]["name"] == THEIRS
    assert written["messages"][1]["content"][0]["name"] == THEIRS
    assert sent.tools == {THEIRS: "files.read"}
    if stream:
        reader = bridge.stream(asked, sent)
        said = reader.feed(anthropic_answer(True)) + reader.finish()
    else:
        said = bridge.decode(asked, sent, anthropic_answer(False)).body
    assert b'"files.read"' in said
    assert THEIRS.encode() not in said


def test_a_namespaced_tool_with_a_long_name_comes_back_in_its_namespace() -> None:
    group = {"type": "namespace", "name": "mcp__" + "n" * 40, "tools": [{"type": "function", "name": "t" * 40}]}
    asked = RESPONSES.decode(json.dumps({"model": "m", "input": "Hi", "tools": [group]}).encode(), {}, "")
    bridge = translator(RESPONSES, "openai", frozenset({"openai"}))
    sent = bridge.encode(asked, TARGET)
    [told] = json.loads(sent.body)["tools"]
    name = told["function"]["name"]
    assert len(name) == 64
    calls = [{"id": "c1", "type": "function", "function": {"name": name, "arguments": "{}"}}]
    choice = {"index": 0, "message": {"role": "assistant", "tool_calls": calls}, "finish_reason": "tool_calls"}
    answer = {"id": "x", "model": "m", "created": 1, "choices": [choice]}
    [item] = json.loads(bridge.decode(asked, sent, json.dumps(answer).encode()).body)["output"]
    assert (item["namespace"], item["name"]) == (group["name"], "t" * 40)


def test_hashes_tell_apart_what_looks_the_same() -> None:
    looks = [fitted(name, NAMES["bedrock"]) for name in ("a.b", "a/b", "a b", "a:b")]
    assert all(first != second for first, second in pairwise(sorted(looks)))
