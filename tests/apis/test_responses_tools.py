"""Responses as an inbound API: tools that are no functions, as functions for any model and back for the client."""

import json

import pydantic
import pytest
from openai.types.responses import Response, ResponseStreamEvent

from tests.apis.test_responses import FUNCTION, HI, call, conversation
from tests.apis.test_responses_answer import answered, function, reply
from weebill.apis.responses.api import RESPONSES
from weebill.wire.conversation import Image, Text, Tool, ToolChoice, ToolResult, ToolUse, Turn
from weebill.wire.errors import ApiError
from weebill.wire.reply import Started, ToolArguments, ToolStarted, Usage, UsageReported

_EVENT: pydantic.TypeAdapter[ResponseStreamEvent] = pydantic.TypeAdapter(ResponseStreamEvent)
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"+'}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Edits files.", "format": GRAMMAR}
SHELL = {"type": "local_shell"}
SEARCH = {"type": "tool_search", "execution": "client", "description": "Finds tools."}
LIST = {"type": "function", "name": "list", "description": "Lists.", "parameters": None, "strict": False}
FILES = {"type": "namespace", "name": "mcp__files", "description": "Files.", "tools": [LIST]}
CODEX = [FUNCTION, PATCH, SHELL, SEARCH, FILES, {"type": "web_search", "external_web_access": True}]


def names(asked: list[object], **fields: object) -> list[str]:
    return [tool.name for tool in conversation(tools=asked, **fields).tools]


def test_what_codex_sends() -> None:
    asked = conversation(tools=CODEX, client_metadata={"a": "b"}, include=["reasoning.encrypted_content"])
    assert [tool.name for tool in asked.tools] == ["f", "apply_patch", "local_shell", "tool_search", "mcp__files__list"]
    assert asked.extra.keys() == {"tools[5]", "client_metadata"}
    freeform = asked.tools[1]
    assert freeform.description == 'Edits files.\n\nThe input must follow this lark grammar:\nstart: "a"+'
    assert list(json.loads(bytes(freeform.parameters or b""))["properties"]) == ["input"]
    assert asked.tools[3].description == "Finds tools."
    assert asked.tools[4] == Tool("mcp__files__list", "Lists.", None, False)


# What is offered -> what a model is told the tools are called, and what is passed over.
OFFERS: list[tuple[list[object], list[str], set[str]]] = [
    ([{"type": "custom", "name": "c"}, {"type": "custom", "name": "d", "format": {"type": "text"}}], ["c", "d"], set()),
    ([{"type": "shell"}, {"type": "apply_patch"}], ["shell", "apply_patch"], set()),
    ([{"type": "shell", "environment": {"type": "local"}}], ["shell"], set()),
    ([{"type": "shell", "environment": {"type": "container_auto"}}], [], {"tools[0]"}),
    ([{"type": "tool_search"}, {**LIST, "defer_loading": True}], ["list"], {"tools[0]", "tools.defer_loading"}),
    ([{"type": "namespace", "name": "functions", "tools": [LIST]}], ["list"], set()),
    ([{"type": "namespace", "name": "mcp__a__", "tools": [LIST]}], ["mcp__a__list"], set()),
    ([{"type": "namespace", "name": "a", "tools": [{"type": "custom", "name": "c"}]}], ["a__c"], set()),
    ([{"type": "namespace", "name": "a", "tools": [{"type": "mcp"}]}], [], {"tools[0].tools[0]"}),
    ([{"type": "namespace", "name": "a"}], [], set()),
    ([LIST, LIST, {"type": "namespace", "name": "functions", "tools": [LIST]}], ["list"], set()),
    ([{"type": "computer"}], ["computer"], set()),
    ([{"type": "computer_use_preview", "display_width": 9, "x": 1}], ["computer_use_preview"], {"tools.x"}),
    ([{"type": "image_generation"}, {"type": "future", "name": "x"}], [], {"tools[0]", "tools[1]"}),
]


@pytest.mark.parametrize(("asked", "told", "passed"), OFFERS)
def test_offers(asked: list[object], told: list[str], passed: set[str]) -> None:
    made = conversation(tools=asked)
    assert [tool.name for tool in made.tools] == told
    assert made.extra.keys() == passed


def test_one_name_for_two_tools_is_told_apart() -> None:
    both = [{"type": "function", "name": "shell"}, {"type": "shell"}]
    first, second = names(both)
    assert first == "shell"
    assert second.startswith("shell_")
    assert names(both) == [first, second]
    output = answered(reply(ToolUse("c1", second, '{"commands":["ls"]}'), ToolUse("c2", "shell", "{}")), tools=both)
    assert [item["type"] for item in output["output"]] == ["shell_call", "function_call"]  # type: ignore[attr-defined]


def test_items_bring_tools_along() -> None:
    brought = [
        {"type": "additional_tools", "role": "developer", "tools": [PATCH, {"type": "web_search"}]},
        {"type": "tool_search_call", "call_id": "c1", "execution": "client", "arguments": {"query": "files"}},
        {"type": "tool_search_output", "call_id": "c1", "execution": "client", "tools": [FILES]},
        {"type": "tool_search_output", "call_id": None, "execution": "server", "tools": [LIST]},
        {"role": "user", "content": "Hi"},
    ]
    asked = conversation(input=brought, tools=[SEARCH])
    assert [tool.name for tool in asked.tools] == ["tool_search", "apply_patch", "mcp__files__list", "list"]
    assert asked.turns == (
        Turn("assistant", (ToolUse("c1", "tool_search", '{"query": "files"}'),)),
        Turn("tool", (ToolResult("c1", (Text(json.dumps([FILES])),)),)),
        HI,
    )
    assert asked.extra.keys() == {"input[0].tools[1]", "input.tool_search_output"}
    output = answered(reply(ToolUse("c2", "mcp__files__list", "{}")), input=brought, tools=[SEARCH])["output"]
    assert output[0]["namespace"] == "mcp__files"  # type: ignore[index]


CHOICES: list[tuple[object, tuple[str, ...]]] = [
    ({"type": "custom", "name": "apply_patch"}, ("apply_patch",)),
    ({"type": "function", "name": "list", "namespace": "mcp__files"}, ("mcp__files__list",)),
    ({"type": "function", "name": "mcp__files__list"}, ("mcp__files__list",)),
    ({"type": "local_shell"}, ("local_shell",)),
    (
        {"type": "allowed_tools", "mode": "required",
         "tools": [{"type": "local_shell"}, {"type": "custom", "name": "apply_patch"}]},
        ("local_shell", "apply_patch"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("choice", "chosen"), CHOICES)
def test_choices(choice: object, chosen: tuple[str, ...]) -> None:
    assert conversation(tools=CODEX, tool_choice=choice).tool_choice == ToolChoice("required", chosen)


def test_a_choice_of_what_is_not_offered() -> None:
    with pytest.raises(ApiError) as caught:
        conversation(tools=CODEX, tool_choice={"type": "custom", "name": "g"})
    assert caught.value.detail.param == "tool_choice"


# A call as the client has it -> its name and arguments as a model made them.
OLD_COMPUTER = {
    "type": "computer_use_preview", "display_width": 1024, "display_height": 768, "environment": "browser"
}  # fmt: skip
ALL = [*CODEX, {"type": "shell"}, {"type": "apply_patch"}, {"type": "computer"}, OLD_COMPUTER]
CALLS: dict[str, tuple[dict[str, object], str, str]] = {
    "custom": (
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": 'a "b"\n'},
        "apply_patch", '{"input":"a \\"b\\"\\n"}',
    ),
    "namespace": (
        {"type": "function_call", "call_id": "c1", "name": "list", "namespace": "mcp__files", "arguments": "{}"},
        "mcp__files__list", "{}",
    ),
    "local shell": (
        {
            "type": "local_shell_call", "call_id": "c1", "status": "completed",
            "action": {"command": ["ls", "-l"], "env": {"A": "b"}, "working_directory": "/tmp", "timeout_ms": 5,
                       "user": None, "type": "exec"},
        },
        "local_shell", '{"command":["ls","-l"],"env":{"A":"b"},"working_directory":"/tmp","timeout_ms":5}',
    ),
    "shell": (
        {
            "type": "shell_call", "call_id": "c1", "status": "completed",
            "action": {"commands": ["ls", "pwd"], "timeout_ms": None, "max_output_length": 9},
        },
        "shell", '{"commands":["ls","pwd"],"max_output_length":9}',
    ),
    "tool search": (
        {"type": "tool_search_call", "call_id": "c1", "status": "completed", "execution": "client",
         "arguments": {"query": "x"}},
        "tool_search", '{"query":"x"}',
    ),
    "computer": (
        {"type": "computer_call", "call_id": "c1", "status": "completed", "pending_safety_checks": [],
         "actions": [{"type": "click", "x": 1, "y": 2, "button": "left"}, {"type": "screenshot"}]},
        "computer", '{"actions":[{"type":"click","x":1,"y":2,"button":"left"},{"type":"screenshot"}]}',
    ),
    "computer of one action": (
        {"type": "computer_call", "call_id": "c1", "status": "completed", "pending_safety_checks": [],
         "action": {"type": "keypress", "keys": ["ENTER"]}},
        "computer_use_preview", '{"type":"keypress","keys":["ENTER"]}',
    ),
}  # fmt: skip
PATCH_CALL = {"type": "update_file", "path": "a.py", "diff": "@@\n-a\n+b"}


@pytest.mark.parametrize("name", CALLS)
def test_calls_of_every_kind_there_and_back(name: str) -> None:
    item, told, arguments = CALLS[name]
    tools = [tool for tool in ALL if tool != {"type": "apply_patch"}]
    made = ToolUse("c1", told, arguments)
    [turn] = conversation(tools=tools, input=[item]).turns
    [part] = turn.parts
    assert isinstance(part, ToolUse)
    assert (part.id, part.name, json.loads(part.arguments)) == ("c1", told, json.loads(arguments))
    output = answered(reply(made, finish="tool_calls"), tools=tools)["output"]
    assert isinstance(output, list)
    [found] = output
    assert found["id"].startswith(("ctc_", "fc_", "lsh_", "sh_", "tsc_", "cu_"))
    assert item.items() <= found.items()
    [again] = conversation(tools=tools, input=output).turns
    assert again == turn


def test_patches_there_and_back() -> None:
    tools = [{"type": "apply_patch"}]
    item = {"type": "apply_patch_call", "call_id": "c1", "status": "completed", "operation": PATCH_CALL}
    [turn] = conversation(tools=tools, input=[item]).turns
    assert turn.parts[0].name == "apply_patch"  # type: ignore[union-attr]
    output = answered(reply(*turn.parts), tools=tools)["output"]
    assert item.items() <= output[0].items()  # type: ignore[index]
    deletion = ToolUse("c1", "apply_patch", '{"type":"delete_file","path":"a","diff":""}')
    [deleted] = answered(reply(deletion), tools=tools)["output"]  # type: ignore[misc]
    assert deleted["operation"] == {"type": "delete_file", "path": "a"}


# What a model makes as arguments of a tool that takes text, or a shell -> what the client gets.
ODD: list[tuple[str, str, str, object]] = [
    ("apply_patch", '{"input":"a"}', "input", "a"),
    ("apply_patch", '{"patch":"a"}', "input", "a"),
    ("apply_patch", "*** Begin", "input", "*** Begin"),
    ("apply_patch", '{"input":"a', "input", "a"),
    ("apply_patch", '{"input":{"a":1}}', "input", '{"input":{"a":1}}'),
    ("apply_patch", "", "input", ""),
    ("local_shell", '{"command":"ls -l"}', "action", ["bash", "-lc", "ls -l"]),
    ("local_shell", '{"command":["ls",1]}', "action", ["ls", "1"]),
    ("local_shell", '{"command":["rm","-rf","/tm', "action", []),
    ("local_shell", '{"command":["ls"],"env":7,"timeout_ms":"x"}', "action", ["ls"]),
]


@pytest.mark.parametrize("arguments", ['{"type":"cli', "{}", "[]", '{"actions":[{"x":1}]}', '{"type":1}'])
def test_a_screen_is_but_looked_at_where_no_action_is_said(arguments: str) -> None:
    uses = [ToolUse("c1", "computer", arguments), ToolUse("c2", "computer_use_preview", arguments)]
    new, old = answered(reply(*uses), tools=ALL)["output"]  # type: ignore[misc]
    assert new["actions"] == [old["action"]] == [{"type": "screenshot"}]


def test_a_computer_is_described_by_its_screen() -> None:
    [tool] = conversation(tools=[OLD_COMPUTER], tool_choice={"type": "computer_use_preview"}).tools
    assert (tool.description or "").endswith(" The screen is 1024 x 768 pixels. Its system: browser.")


@pytest.mark.parametrize(("told", "arguments", "member", "expected"), ODD)
def test_what_models_make_of_it(told: str, arguments: str, member: str, expected: object) -> None:
    [item] = answered(reply(ToolUse("c1", told, arguments)), tools=CODEX)["output"]  # type: ignore[misc]
    assert (item[member]["command"] if member == "action" else item[member]) == expected


def test_a_function_that_is_not_offered_stays_one() -> None:
    [item] = answered(reply(ToolUse("c1", "g", "{}")), tools=CODEX)["output"]  # type: ignore[misc]
    del item["id"]
    assert item == function("c1", "g", "{}")


RESULTS: list[tuple[dict[str, object], ToolResult]] = [
    ({"type": "custom_tool_call_output", "output": "Done"}, ToolResult("c1", (Text("Done"),))),
    (
        {"type": "custom_tool_call_output", "output": [{"type": "input_text", "text": "Done"}]},
        ToolResult("c1", (Text("Done"),)),
    ),
    ({"type": "local_shell_call_output", "output": "a\n"}, ToolResult("c1", (Text("a\n"),))),
    (
        {
            "type": "shell_call_output",
            "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
        },
        ToolResult("c1", (Text('[{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]'),)),
    ),
    (
        {"type": "apply_patch_call_output", "status": "failed", "output": "No"},
        ToolResult("c1", (Text("No"),), None, True),
    ),
    ({"type": "apply_patch_call_output", "status": "completed"}, ToolResult("c1", (Text(""),))),
    (
        {
            "type": "computer_call_output", "acknowledged_safety_checks": [],
            "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,iVBORw0KGgo="},
        },
        ToolResult("c1", (Image(data="iVBORw0KGgo=", media_type="image/png"),)),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("item", "result"), RESULTS)
def test_results(item: dict[str, object], result: ToolResult) -> None:
    assert conversation(input=[{**item, "call_id": "c1"}]).turns == (Turn("tool", (result,)),)


def test_a_local_shells_output_names_its_call_by_id() -> None:
    [turn] = conversation(input=[{"type": "local_shell_call_output", "id": "c1", "output": "a"}]).turns
    assert turn.parts == (ToolResult("c1", (Text("a"),)),)


def streamed(told: str, arguments: str) -> list[dict[str, object]]:
    encoder = RESPONSES.stream(call(stream=True, tools=ALL))
    middle = len(arguments) * 2 // 3
    events = [
        Started("r", "m"), ToolStarted("c1", told), ToolArguments(arguments[:middle]),
        ToolArguments(arguments[middle:]), UsageReported(Usage()),
    ]  # fmt: skip
    data = b"".join(encoder.feed([event]) for event in events) + encoder.finish()
    found = []
    for number, block in enumerate(data.decode().strip().split("\n\n")):
        line = block.split("\n")[1].removeprefix("data: ")
        _EVENT.validate_json(line)
        event = json.loads(line)
        assert event["sequence_number"] == number
        found.append(event)
    Response.model_validate(found[-1]["response"])
    return found


# Besides those of an item and of the response.
EVENTS = {
    "custom": ["custom_tool_call_input.delta", "custom_tool_call_input.delta", "custom_tool_call_input.done"],
    "namespace": ["function_call_arguments.delta", "function_call_arguments.delta", "function_call_arguments.done"],
    "local shell": [],
    "shell": ["shell_call_command.added", "shell_call_command.done"] * 2,
    "tool search": [],
    "computer": [],
    "computer of one action": [],
}


@pytest.mark.parametrize("name", CALLS)
def test_streamed_calls(name: str) -> None:
    item, told, arguments = CALLS[name]
    events = streamed(told, arguments)
    kinds = [str(event["type"]).removeprefix("response.") for event in events]
    assert kinds == [
        "created", "in_progress", "output_item.added", *EVENTS[name], "output_item.done", "completed"
    ]  # fmt: skip
    added, done = events[2]["item"], events[-2]["item"]
    assert isinstance(added, dict)
    assert isinstance(done, dict)
    assert (added["type"], added["id"], added["status"]) == (item["type"], done["id"], "in_progress")
    assert item.items() <= done.items()
    assert events[-1]["response"]["output"] == [done]  # type: ignore[index]
    if name == "custom":
        assert "".join(str(event["delta"]) for event in events[3:5]) == events[5]["input"] == item["input"]


def test_offers_are_bounded() -> None:
    asked = conversation(tools=[{"type": "function", "name": f"f{at}"} for at in range(5000)])
    assert len(asked.tools) == 4096
    assert len(asked.extra) == 904


def test_a_call_keeps_its_signature_whatever_its_kind() -> None:
    use = ToolUse("c1", "apply_patch", '{"input":"a"}', "c2ln", "gemini")
    output = answered(reply(use), tools=CODEX)["output"]
    [turn] = conversation(tools=CODEX, input=output).turns
    assert turn.parts == (use,)
