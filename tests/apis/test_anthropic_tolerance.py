"""The inbound Messages API: what has no place elsewhere is set aside under its path, not refused."""

import json

import pytest

from tests.apis.test_anthropic import HI, SCHEMA, SIMPLE_TOOL, asked, block, counted, one, text
from weebill.wire.conversation import Conversation, Image, Part, Reasoning, ReasoningOptions, Text, ToolResult, ToolUse

EPHEMERAL = {"type": "ephemeral"}


def set_aside(conversation: Conversation) -> dict[str, object]:
    return {path: json.loads(bytes(value)) for path, value in conversation.extra.items()}


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        (one(text("a", cache_control={**EPHEMERAL, "scope": "x"})), {"messages[0].content[0].cache_control.scope"}),
        (one(text("a", cache_control={**EPHEMERAL, "ttl": "2h"})), {"messages[0].content[0].cache_control.ttl"}),
        (one(text("a", cache_control={"type": "eternal"})), {"messages[0].content[0].cache_control"}),
        ({"cache_control": {"type": "eternal"}}, {"cache_control"}),
        ({"cache_control": {**EPHEMERAL, "scope": "org"}}, {"cache_control.scope"}),
        ({"system": [text("a", cache_control={**EPHEMERAL, "x": 1})]}, {"system[0].cache_control.x"}),
        ({"messages": [{**HI, "id": "msg_1", "mood": "good"}]}, {"messages[0].id", "messages[0].mood"}),
        (one(text("a", foo=1)), {"messages[0].content[0].foo"}),
        (one(block("image", source=block("url", url="x", size=1))), {"messages[0].content[0].source.size"}),
        (
            one(block("tool_use", id="a", name="f", input={}, caller={"type": "code_execution_20250825"}), "assistant"),
            {"messages[0].content[0].caller"},
        ),
        (one(block("tool_result", tool_use_id="a", content="", took=1)), {"messages[0].content[0].took"}),
        ({"output_config": {"task_budget": {"type": "tokens", "total": 9}}}, {"output_config.task_budget"}),
        ({"output_config": {"effort": "ultra"}}, {"output_config.effort"}),
        ({"output_config": 1}, {"output_config"}),
        ({"thinking": {"type": "between_tools"}}, {"thinking.type"}),
        ({"thinking": {"type": "adaptive", "display": "full", "foo": 1}}, {"thinking.display", "thinking.foo"}),
        ({"thinking": "hard"}, {"thinking"}),
        ({"metadata": {"user_id": "u", "session": "s"}}, {"metadata.session"}),
        ({"metadata": {"user_id": 1}}, {"metadata.user_id"}),
        ({"service_tier": "express"}, {"service_tier"}),
        ({"betas": ["x-2026"], "speed": "fast", "inference_geo": "eu"}, {"betas", "speed", "inference_geo"}),
        ({"context_management": {"edits": [{"type": "x"}]}, "container": "c"}, {"context_management", "container"}),
        ({"mcp_servers": [], "container": None, "context_management": {}, "metadata": {}, "betas": []}, set()),
        ({"tools": [{**SIMPLE_TOOL, "eager_input_streaming": True, "defer_loading": False}]}, set()),
        ({"tools": [{**SIMPLE_TOOL, "allowed_callers": ["direct"], "input_examples": []}]}, set()),
        ({"tools": [{**SIMPLE_TOOL, "new": 1}]}, {"tools[0].new"}),
        ({"tools": [block("web_search_20250305", name="web_search")]}, {"tools[0]"}),
        ({"tools": [SIMPLE_TOOL, block("mcp_toolset", mcp_server_name="m")]}, {"tools[1]"}),
        ({"tool_choice": {"type": "auto", "mode": "x"}}, {"tool_choice.mode"}),
        (one(block("container_upload", file_id="f")), {"messages[0].content[0]"}),
        (one(block("server_tool_use", id="a", name="web_search", input={"query": "q"}), "assistant"),
         {"messages[0].content[0]"}),
        (one(block("fallback", to={"model": "m"}), "assistant"), {"messages[0].content[0]"}),
    ],
)  # fmt: skip
def test_what_only_anthropic_knows_is_set_aside(fields: dict[str, object], paths: set[str]) -> None:
    assert set(asked(**fields).extra) == paths


@pytest.mark.parametrize(
    ("fields", "demand"),
    [
        ({"tool_choice": {"type": "tool", "name": "web_search"},
          "tools": [SIMPLE_TOOL, block("web_search_20250305", name="web_search")]}, "tool_choice"),
        ({"tool_choice": {"type": "any"}, "tools": [block("web_search_20250305", name="web_search")]}, "tool_choice"),
        ({"tool_choice": {"type": "some"}, "tools": [SIMPLE_TOOL]}, "tool_choice"),
        ({"output_format": {"type": "grammar", "schema": {}}}, "output"),
    ],
)  # fmt: skip
def test_what_changes_the_answer_is_set_aside_as_a_demand(fields: dict[str, object], demand: str) -> None:
    assert demand in asked(**fields).extra


def test_each_kind_is_set_aside_once_and_not_without_end() -> None:
    messages = [{**HI, "content": [text("a", foo=1), text("b", foo=2)]} for _ in range(100)]
    assert set_aside(asked(messages=messages)) == {"messages[0].content[0].foo": 1}
    many = asked(messages=[{**HI, **{f"x{at}": at for at in range(1000)}}])
    assert 10 < len(many.extra) < 100


@pytest.mark.parametrize(
    ("content", "role", "parts"),
    [
        (None, "user", ()),
        ([], "assistant", ()),
        (text("Hi."), "user", (Text("Hi."),)),
        (["Hi."], "user", (Text("Hi."),)),
        ([{"type": "text", "text": None}], "user", (Text(""),)),
        ([{"type": "text"}], "user", (Text(""),)),
        ([text("  \n")], "user", (Text("  \n"),)),
        ([block("thinking", thinking="Hm.")], "assistant", (Reasoning("Hm.", origin="anthropic"),)),
        ([block("thinking", thinking="Hm.", signature=None)], "assistant", (Reasoning("Hm.", origin="anthropic"),)),
        ([block("thinking", thinking="Hm.", signature="")], "assistant", (Reasoning("Hm.", origin="anthropic"),)),
        ([block("tool_use", id="a", name="f")], "assistant", (ToolUse("a", "f", "{}"),)),
        ([block("tool_use", id="a", name="f", input=None)], "assistant", (ToolUse("a", "f", "{}"),)),
        ([block("tool_use", id="a", name="f", input=[1])], "assistant", (ToolUse("a", "f", "[1]"),)),
        (
            [block("tool_use", id="a", name="f", input={"weebill_arguments": '{"city": "Ber'})],
            "assistant",
            (ToolUse("a", "f", '{"city": "Ber'),),
        ),
        ([block("tool_result", tool_use_id="a", content=None)], "user", (ToolResult("a", ()),)),
        ([block("tool_result", tool_use_id="a", content=text("x"))], "user", (ToolResult("a", (Text("x"),)),)),
        ([block("tool_result", tool_use_id="a", content=12)], "user", (ToolResult("a", (Text("12"),)),)),
        (
            [block("tool_result", tool_use_id="a", content=[block("tool_reference", tool_name="f"), text("x", y=1)])],
            "user",
            (ToolResult("a", (Text("f"), Text("x"))),),
        ),
        (
            [block("tool_result", tool_use_id="a", content=[block("image", source=block("url", url="x", y=1))])],
            "user",
            (ToolResult("a", (Image(url="x"),)),),
        ),
        (
            [block("search_result", source="https://a.example", title="Birds", content=[text("Small.")])],
            "user",
            (Text("Birds\nhttps://a.example\nSmall."),),
        ),
        (
            [block("document", source=block("content", content=[text("One."), text("Two.")]), title="T")],
            "user",
            (Text("T\nOne.\nTwo."),),
        ),
        (
            [block("web_search_tool_result", tool_use_id="a", content=[
                block("web_search_result", title="Birds", url="https://a.example", encrypted_content="e")])],
            "assistant",
            (Text("Birds\nhttps://a.example"),),
        ),
        (
            [block("code_execution_tool_result", tool_use_id="a", content=block(
                "code_execution_result", stdout="4\n", stderr="", return_code=0))],
            "assistant",
            (Text("4\n"),),
        ),
        ([block("mcp_tool_result", tool_use_id="a", content=[text("Rain.")])], "assistant", (Text("Rain."),)),
        ([block("advisor_tool_result", content=block("advisor_result", text="Stop."))], "assistant", (Text("Stop."),)),
        ([block("compaction", content="They spoke.")], "assistant", (Text("They spoke."),)),
    ],
)  # fmt: skip
def test_what_clients_replay(content: object, role: str, parts: tuple[Part, ...]) -> None:
    found = asked(messages=[HI, {"role": role, "content": content}])
    assert tuple(part for turn in found.turns[1:] for part in turn.parts) == parts


@pytest.mark.parametrize(
    ("kind", "name", "command"),
    [
        ("bash_20250124", "bash", "command"),
        ("text_editor_20250728", "str_replace_based_edit_tool", "command"),
        ("text_editor_20250124", "str_replace_editor", "command"),
        ("computer_20250124", "computer", "action"),
        ("computer_20251124", "computer", "action"),
        ("memory_20250818", "memory", "command"),
    ],
)
def test_a_tool_that_anthropic_defines_and_the_client_runs_is_a_function(kind: str, name: str, command: str) -> None:
    found = asked(tools=[block(kind, name=name, display_width_px=800, display_height_px=600)],
                  tool_choice={"type": "tool", "name": name})  # fmt: skip
    (tool,) = found.tools
    assert tool.parameters is not None
    assert (tool.name, found.extra) == (name, {})
    assert command in json.loads(bytes(tool.parameters))["properties"]
    assert "800 x 600" in (tool.description or "")
    assert found.tool_choice is not None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"thinking": {"type": "enabled"}}, ReasoningOptions(enabled=True, include=True)),
        ({"thinking": {"type": "between_tools"}}, ReasoningOptions(include=True)),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}},
         ReasoningOptions(enabled=True, budget_tokens=0, include=True)),
        ({"output_config": {"effort": "minimal"}}, ReasoningOptions(effort="minimal")),
        ({"output_config": {"effort": "ultra"}}, None),
    ],
)  # fmt: skip
def test_ways_to_think(fields: dict[str, object], expected: ReasoningOptions | None) -> None:
    assert asked(**fields).reasoning == expected


def test_a_schemas_name_is_kept() -> None:
    output = asked(output_format={"type": "json_schema", "schema": SCHEMA, "name": "n", "description": "d"}).output
    assert output is not None
    assert (output.name, output.description) == ("n", "d")


def test_counting_takes_the_same() -> None:
    assert counted(messages=[{**HI, "content": [block("new", content="x" * 400)]}], thinking={"type": "x"}) > 90
