"""Calls in an answer of a Responses upstream that the provider has run itself: they are said, and are no client's."""

import json

import pytest

from tests.apis.test_responses import conversation
from tests.emulator.server import DIALECTS
from tests.providers.test_responses import (
    CALL_ITEM,
    COMPLETED,
    CREATED_EVENT,
    HI,
    USED,
    added,
    delta,
    done,
    event,
    message_item,
    said_by,
    whole,
)
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.translation import translator
from weebill.providers.base import Target
from weebill.wire.conversation import Part, Text, ToolUse
from weebill.wire.errors import ApiError

LINES = {"commands": ["ls"]}
SHELL = {"type": "shell_call", "id": "sh_1", "call_id": "c1", "status": "completed", "action": LINES}
IN_CONTAINER = {**SHELL, "environment": {"type": "container_reference", "container_id": "cntr_1"}}
LOCAL = {**SHELL, "environment": {"type": "local"}}
SHELL_OUTPUT = {"type": "shell_call_output", "id": "sho_1", "call_id": "c1", "output": [{"stdout": "a"}]}
SEARCH = {"type": "tool_search_call", "id": "tsc_1", "call_id": None, "arguments": {"query": "x"}}
SERVED_SEARCH = {**SEARCH, "execution": "server"}
FOUND = {"type": "tool_search_output", "id": "tso_1", "call_id": None, "execution": "server", "tools": []}
CUSTOM = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "f", "input": "x"}
CUSTOM_OUTPUT = {"type": "custom_tool_call_output", "call_id": "c1", "output": "y"}
PATCH = {"type": "apply_patch_call", "call_id": "c1", "operation": {"type": "delete_file", "path": "a"}}
PATCH_OUTPUT = {"type": "apply_patch_call_output", "call_id": "c1", "status": "completed"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "y"}
MESSAGE = message_item("Hi")
SHELL_USE = ToolUse("c1", "shell", '{"commands":["ls"]}')
TWO = ("shell_call", "shell_call_output")

# Items of an answer -> what is left of them for the client, and what is said of the others.
SERVED: dict[str, tuple[list[dict[str, object]], tuple[Part, ...], tuple[str, ...]]] = {
    "shell in a container": ([IN_CONTAINER, SHELL_OUTPUT, MESSAGE], HI, TWO),
    "shell in a container, without its output": ([IN_CONTAINER, MESSAGE], HI, ("shell_call",)),
    "shell with its output": ([SHELL, SHELL_OUTPUT, MESSAGE], HI, TWO),
    "shell with its output at the end": ([SHELL, SHELL_OUTPUT], (), TWO),
    "two with their outputs": (
        [SHELL, {**SHELL, "call_id": "c2"}, SHELL_OUTPUT, {**SHELL_OUTPUT, "call_id": "c2"}, MESSAGE], HI, TWO
    ),
    "tool search of the server": (
        [SERVED_SEARCH, FOUND, CALL_ITEM], (ToolUse("c1", "f", '{"a":1}'),),
        ("tool_search_call", "tool_search_output"),
    ),
    "custom tool": ([CUSTOM, CUSTOM_OUTPUT, MESSAGE], HI, ("custom_tool_call", "custom_tool_call_output")),
    "patch": ([PATCH, PATCH_OUTPUT, MESSAGE], HI, ("apply_patch_call", "apply_patch_call_output")),
    "hosted tools": (
        [{"type": "web_search_call", "id": "ws_1"}, {"type": "mcp_call", "id": "mcp_1", "output": "x"},
         {"type": "mcp_approval_request", "id": "mcpr_1"}, MESSAGE],
        HI, ("web_search_call", "mcp_call", "mcp_approval_request"),
    ),
    "shell of the client's": ([LOCAL], (SHELL_USE,), ()),
    "shell that says nothing": ([MESSAGE, SHELL], (*HI, SHELL_USE), ()),
    "shell that says nothing, before a message": ([SHELL, MESSAGE], (SHELL_USE, *HI), ()),
    "shell of each": (
        [SHELL, {**LOCAL, "call_id": "c2"}, SHELL_OUTPUT, {**CALL_ITEM, "call_id": "c3"}],
        (ToolUse("c2", "shell", '{"commands":["ls"]}'), ToolUse("c3", "f", '{"a":1}')), TWO,
    ),
    "computer": (
        [{"type": "computer_call", "id": "cu_1", "call_id": "c1", "action": {"type": "wait"}}],
        (ToolUse("c1", "computer_use_preview", '{"type":"wait"}'),), (),
    ),
    "tool search of the client's": (
        [{**SEARCH, "call_id": "c1", "execution": "client"}], (ToolUse("c1", "tool_search", '{"query":"x"}'),), ()
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVED)
def test_a_whole_answer(name: str) -> None:
    items, parts, dropped = SERVED[name]
    reply = whole(*items)
    [choice] = reply.choices
    assert (choice.parts, set(reply.dropped)) == (parts, set(dropped))
    called = any(isinstance(part, ToolUse) for part in parts)
    assert choice.finish == ("tool_calls" if called else "stop")


@pytest.mark.parametrize("ending", ["as said", "with all of the output", "nothing but the end"])
@pytest.mark.parametrize("name", SERVED)
def test_a_stream(name: str, ending: str) -> None:
    items, parts, dropped = SERVED[name]
    told = [
        each for at, item in enumerate(items) for each in (added({**item, "status": "in_progress"}, at), done(item, at))
    ]
    all_of_it = event("completed", response={"id": "r", "usage": USED, "output": items})
    if ending == "nothing but the end":
        told = []
    reply = said_by(CREATED_EVENT, *told, COMPLETED if ending == "as said" else all_of_it)
    [choice] = reply.choices
    assert choice.parts == parts
    assert ending == "nothing but the end" or set(reply.dropped) == set(dropped)
    called = any(isinstance(part, ToolUse) for part in parts)
    assert choice.finish == ("tool_calls" if called else "stop")


def test_a_function_that_the_provider_has_run() -> None:
    """Streamed, its arguments have gone out before that is known; then the answer does not end in it, at least."""
    items = [CALL_ITEM, RESULT, MESSAGE]
    reply = whole(*items)
    assert (reply.choices[0].parts, reply.choices[0].finish) == (HI, "stop")
    assert reply.dropped == ("function_call", "function_call_output")
    told = [each for at, item in enumerate(items) for each in (added(item, at), done(item, at))]
    [choice] = said_by(CREATED_EVENT, *told, COMPLETED).choices
    assert (choice.parts, choice.finish) == ((ToolUse("c1", "f", '{"a":1}'), *HI), "stop")


def test_a_stream_that_stops_while_a_provider_runs_a_call_is_cut() -> None:
    with pytest.raises(ApiError) as caught:
        said_by(CREATED_EVENT, delta("Hi"), done(MESSAGE), added(IN_CONTAINER, 1), done(IN_CONTAINER, 1))
    assert caught.value.detail.code == "upstream_cut"


# Items of a history -> what is named of them; nothing is left of them for another model.
REPLAYED: dict[str, tuple[list[dict[str, object]], set[str]]] = {
    "shell in a container": ([IN_CONTAINER, SHELL_OUTPUT], {"input.shell_call", "input.shell_call_output"}),
    "tool search of the server": (
        [SERVED_SEARCH, FOUND], {"input.tool_search_call", "input.tool_search_output"}
    ),
    "tool search of the server, with ids": (
        [{**SERVED_SEARCH, "call_id": "c1"}, {**FOUND, "call_id": "c1"}],
        {"input.tool_search_call", "input.tool_search_output"},
    ),
    "approvals": (
        [{"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "s", "tools": [{"name": "f"}]},
         {"type": "mcp_approval_request", "id": "mcpr_1", "name": "f", "arguments": "{}", "server_label": "s"},
         {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True, "reason": None}],
        {"input.mcp_list_tools", "input.mcp_approval_request", "input.mcp_approval_response"},
    ),
}  # fmt: skip


SCREEN = {"type": "computer_screenshot", "image_url": "data:image/png;base64,iVBORw0KGgo="}
WORKED: list[dict[str, object]] = [
    {"type": "computer_call", "id": "cu_1", "call_id": "c1", "pending_safety_checks": [], "action": {"type": "wait"}},
    {"type": "computer_call_output", "call_id": "c1", "output": SCREEN},
]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_history_of_computer_use_and_approvals_fails_no_request(dialect: str) -> None:
    items = [{"role": "user", "content": "Hi"}, *WORKED, *REPLAYED["approvals"][0], {"role": "user", "content": "So?"}]
    asked = RESPONSES.decode(json.dumps({"model": "m", "input": items}).encode(), {}, "")
    options = {"region": "r", "api_version": "v", "project": "p", "location": "l"}
    sent = translator(RESPONSES, dialect, frozenset()).encode(asked, Target(model="m", options=options))
    assert b"iVBORw0KGgo=" in sent.body
    relayed = dialect == "openai-responses"
    assert set(sent.dropped) == (set() if relayed else REPLAYED["approvals"][1])


@pytest.mark.parametrize("name", REPLAYED)
def test_a_history(name: str) -> None:
    items, passed = REPLAYED[name]
    asked = conversation(input=[{"role": "user", "content": "Hi"}, *items, {"role": "user", "content": "So?"}])
    assert [part for turn in asked.turns for part in turn.parts] == [Text("Hi"), Text("So?")]
    assert asked.extra.keys() == passed
