"""Requests as real clients write them: what they mean, and what of them has no place."""

from __future__ import annotations

import json

import pytest

from tests.apis.chat import HI, PNG, USER, call, function, read
from weebill.apis.chat.api import CHAT
from weebill.wire.body import decode_chat
from weebill.wire.conversation import (
    Conversation,
    Document,
    Image,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningOptions,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.errors import ApiError

PICTURE = Image(data=PNG.partition(",")[2], media_type="image/png")
PARTS: list[tuple[object, tuple[Part, ...], dict[str, str]]] = [
    ("a", (Text("a"),), {}),
    ({"text": "a"}, (Text("a"),), {}),
    ({"type": "text", "text": None}, (Text(""),), {}),
    ({"type": "text", "text": "a", "x": 1, "y": None}, (Text("a"),), {"x": "1"}),
    ({"type": "text", "text": "a", "cache_control": None}, (Text("a"),), {}),
    ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "g"}},
     (Text("a", "1h"),), {"cache_control.scope": '"g"'}),
    ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "8h"}},
     (Text("a", "5m"),), {"cache_control.ttl": '"8h"'}),
    ({"type": "text", "text": "a", "cache_control": {"type": "forever"}},
     (Text("a"),), {"cache_control": '{"type":"forever"}'}),
    ({"type": "image_url", "image_url": "https://example.com/a"}, (Image(url="https://example.com/a"),), {}),
    ({"type": "image_url", "image_url": {"url": PNG, "detail": "ultra", "format": "png"}},
     (PICTURE,), {"image_url.detail": '"ultra"', "image_url.format": '"png"'}),
    ({"type": "input_text", "text": "a"}, (Text("a"),), {}),
    ({"type": "input_image", "image_url": PNG, "detail": "low"},
     (Image(data=PICTURE.data, media_type="image/png", detail="low"),), {}),
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE.data}}, (PICTURE,), {}),
    ({"type": "image", "image": PNG}, (PICTURE,), {}),
    ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, (Document(url="https://example.com/a.pdf"),), {}),
    ({"type": "document_url", "document_url": "https://example.com/a.pdf", "document_name": "a"},
     (Document(url="https://example.com/a.pdf", name="a"),), {}),
    ({"type": "note", "text": "a"}, (Text("a"),), {"type": '"note"'}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "meant", "aside"), PARTS)
def test_parts(given: object, meant: tuple[Part, ...], aside: dict[str, str]) -> None:
    asked = read({"role": "user", "content": [given]})
    assert asked.turns == (Turn("user", meant),)
    assert told(asked) == {f"messages[0].content[0].{path}": value for path, value in aside.items()}


def told(asked: Conversation) -> dict[str, str]:
    """What was set aside, in compact JSON."""
    return {path: json.dumps(json.loads(bytes(raw)), separators=(",", ":")) for path, raw in asked.extra.items()}


MESSAGES: list[tuple[dict[str, object], tuple[Part, ...]]] = [
    ({"content": None}, ()),
    ({"content": []}, ()),
    ({"content": "a", "function_call": {"name": "", "arguments": ""}, "audio": {"data": "", "id": ""}}, (Text("a"),)),
    ({"content": "a", "function_call": {}, "tool_calls": [], "annotations": [], "refusal": None}, (Text("a"),)),
    ({"tool_calls": [function("f", "[1]")]}, (ToolUse("c1", "f", "[1]"),)),
    ({"tool_calls": [function("f", '{"a":')]}, (ToolUse("c1", "f", '{"a":'),)),
    ({"tool_calls": [function("f", {"a": 1})]}, (ToolUse("c1", "f", '{"a": 1}'),)),
    ({"tool_calls": [function("f", None)]}, (ToolUse("c1", "f", "{}"),)),
    ({"tool_calls": [{"id": "", "function": {"name": "f"}, "index": 0}]}, (ToolUse("call_0_0", "f", "{}"),)),
    ({"tool_calls": [{"id": "c1", "type": "function", "function": {"name": "", "arguments": ""}}]}, ()),
    ({"tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]},
     (ToolUse("c1", "sh", '{"input":"ls"}'),)),
    ({"content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "a"}]},
     (Reasoning("Hm."), Text("a"))),
    ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, "a"]},
     (Reasoning("Hm."), Text("a"))),
    ({"content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}]},
     (ToolUse("c1", "f", '{"a": 1}'),)),
    ({"content": "a", "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": "0"}, 3]},
     (Reasoning("Hm."), Text("a"))),
    ({"content": "a", "annotations": [{"type": "file", "file": {}}, "x"], "images": [{"url": "u"}]}, (Text("a"),)),
]  # fmt: skip


@pytest.mark.parametrize(("given", "meant"), MESSAGES)
def test_what_an_assistant_said(given: dict[str, object], meant: tuple[Part, ...]) -> None:
    asked = read({"role": "assistant", **given})
    assert asked.turns == (Turn("assistant", meant),)
    assert asked.extra == {}


def test_members_of_a_message_that_have_no_place_are_named() -> None:
    asked = read({"role": "assistant", "content": "a", "thinking_blocks": [{"type": "thinking"}], "id": None})
    assert told(asked) == {"messages[0].thinking_blocks": '[{"type":"thinking"}]'}


def test_results_without_content_or_call() -> None:
    asked = read(
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c0", "content": [{"text": "r"}]}, "a"]},
        {"role": "tool", "tool_call_id": "c1", "content": None},
        {"role": "tool", "tool_call_id": "c2", "content": []},
        {"role": "function", "name": "f", "content": "r"},
        {"role": "system", "content": None},
    )
    assert asked.turns == (
        Turn("tool", (ToolResult("c0", (Text("r"),)),)),
        Turn("user", (Text("a"),)),
        Turn("tool", (ToolResult("c1", ()), ToolResult("c2", ()), ToolResult("call_4", (Text("r"),), "f"))),
        Turn("system", (Text(""),)),
    )


F = {"function": {"name": "f"}}
TOOLS: list[tuple[object, tuple[Tool, ...], dict[str, str]]] = [
    (F, (Tool("f"),), {}),
    ({**F, "type": None}, (Tool("f"),), {}),
    ({"type": "function", "function": {"name": "f", "parameters": {}, "x": 1}, "y": 2}, (Tool("f"),),
     {"tools[0].function.x": "1", "tools[0].y": "2"}),
    ({**F, "cache_control": {"type": "ephemeral", "x": 1}}, (Tool("f", cache="5m"),),
     {"tools[0].cache_control.x": "1"}),
    ({"type": "function", "name": "f", "description": "d"}, (Tool("f", "d"),), {}),
    ({"type": "web_search", "max_uses": 3}, (), {"tools[0]": '{"type":"web_search","max_uses":3}'}),
    ({"google_search": {"x": 1}}, (), {"tools[0]": '{"google_search":{"x":1}}'}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "meant", "aside"), TOOLS)
def test_tools(given: object, meant: tuple[Tool, ...], aside: dict[str, str]) -> None:
    asked = read(tools=[given])
    assert asked.tools == meant
    assert told(asked) == aside


def test_custom_tools_are_functions_of_one_text() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}}
    asked = read(tools=[{"type": "custom", "custom": {"name": "sh", "description": "Runs it.", "format": grammar}}])
    (tool,) = asked.tools
    assert tool.name == "sh"
    assert tool.description == "Runs it.\n\nThe input must follow this lark grammar:\nstart: A"
    assert json.loads(bytes(tool.parameters or b""))["required"] == ["input"]


CHOICES: list[tuple[object, ToolChoice | None]] = [
    ("any", ToolChoice("required")),
    ({"type": "any"}, ToolChoice("required")),
    ({"type": "auto"}, ToolChoice()),
    ({"function": {"name": "f"}}, ToolChoice("required", ("f",))),
    ({"type": "tool", "name": "f"}, ToolChoice("required", ("f",))),
    ({"type": "custom", "custom": {"name": "f"}}, ToolChoice("required", ("f",))),
]


@pytest.mark.parametrize(("given", "meant"), CHOICES)
def test_choices_of_tools(given: object, meant: ToolChoice | None) -> None:
    assert read(tools=[F], tool_choice=given).tool_choice == meant


FIELDS: list[tuple[dict[str, object], dict[str, object], dict[str, str]]] = [
    ({"max_tokens": 0, "max_completion_tokens": None, "top_k": -1}, {}, {}),
    ({"max_tokens": 7, "max_completion_tokens": -1}, {"max_tokens": 7}, {}),
    ({"temperature": 3.5, "stop": None}, {"temperature": 3.5}, {}),
    ({"reasoning_effort": "HIGH"}, {"reasoning": ReasoningOptions(effort="high")}, {}),
    ({"reasoning_effort": "ultra"}, {}, {"reasoning_effort": '"ultra"'}),
    ({"reasoning": {"effort": "ultra", "x": 1, "max_tokens": 9}}, {"reasoning": ReasoningOptions(budget_tokens=9)},
     {"reasoning.effort": '"ultra"', "reasoning.x": "1"}),
    ({"reasoning": True}, {}, {"reasoning": "true"}),
    ({"modalities": ["smell"]}, {}, {"modalities": '["smell"]'}),
    ({"audio": {"voice": {"id": "v"}, "format": "mp3"}}, {}, {"audio": '{"voice":{"id":"v"},"format":"mp3"}'}),
    ({"logit_bias": {"1": "x"}}, {}, {"logit_bias": '{"1":"x"}'}),
    ({"logprobs": 5}, {"logprobs": True}, {}),
    ({"response_format": {"type": "grammar", "grammar": "x"}}, {},
     {"response_format": '{"type":"grammar","grammar":"x"}'}),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"output": OutputFormat("json_schema")}, {}),
    ({"response_format": {}, "function_call": {"name": ""}}, {}, {}),
    ({"tools": [], "tool_choice": {"type": "web_search"}}, {}, {"tool_choice": '{"type":"web_search"}'}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "meant", "aside"), FIELDS)
def test_fields(given: dict[str, object], meant: dict[str, object], aside: dict[str, str]) -> None:
    asked = read(**given)
    assert told(asked) == aside
    assert asked == Conversation(turns=(USER,), extra=asked.extra, **meant)  # type: ignore[arg-type]


def test_a_part_that_no_target_knows_is_refused_unless_all_may_be_dropped() -> None:
    video = {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "u"}}, "a"]}]}
    with pytest.raises(ApiError) as caught:
        CHAT.conversation(call(**video))
    assert (caught.value.status, caught.value.detail.param) == (400, "messages[0].content[0].type")
    asked = CHAT.conversation(call(**video, drop_params=True))
    assert asked.turns == (Turn("user", (Text("a"),)),)
    assert list(asked.extra) == ["messages[0].content[0]"]


def test_what_is_set_aside_is_bounded() -> None:
    asked = read({"role": "user", "content": "a", **{f"x{at}": 1 for at in range(1000)}})
    assert len(asked.extra) == 64


def test_messages_are_otherwise_as_they_were() -> None:
    assert CHAT.conversation(call(messages=HI, tools=[F])).turns == (USER,)
    tools = b'[{"function":{"name":"f","parameters":{ "b":1.0, "a":2}}}]'
    spaced = b'{"model":"m","messages":[{"role":"user","content":"a","x":1}],"tools":%b}' % tools
    (tool,) = CHAT.conversation(decode_chat(spaced)).tools
    assert bytes(tool.parameters or b"") == b'{ "b":1.0, "a":2}'
