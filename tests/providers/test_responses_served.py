"""Calls in an answer of a Responses upstream that the provider has run itself: they are said, and are no client's."""

import json

import pytest

from tests.apis.test_responses import conversation
from tests.emulator.server import DIALECTS
from tests.providers.test_responses_odd import (
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
    written,
)
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.gemini.api import GEMINI
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.translation import translator
from weebill.providers.base import Target
from weebill.providers.responses.stream import ResponsesStream
from weebill.wire.conversation import Part, Text, ToolUse
from weebill.wire.failure import UpstreamFailure

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
OFFERED = frozenset({"f"})

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


# A call of a function that the client has not, and one that it has.
OTHER = {**CALL_ITEM, "name": "look_up"}
MINE = {**CALL_ITEM, "call_id": "c2"}
FUNCTION = ("function_call", "function_call_output")
LOOK_UP, MY_CALL = ToolUse("c1", "look_up", '{"a":1}'), ToolUse("c2", "f", '{"a":1}')
RUN: dict[str, tuple[list[dict[str, object]], tuple[Part, ...], tuple[str, ...]]] = {
    "a function": ([OTHER, RESULT, MESSAGE], HI, FUNCTION),
    "a function, and nothing after it": ([OTHER, RESULT], (), FUNCTION),
    "two at once": (
        [OTHER, {**OTHER, "call_id": "c3"}, RESULT, {**RESULT, "call_id": "c3"}, MESSAGE], HI, FUNCTION
    ),
    "a function, then one of the client's": ([OTHER, RESULT, MINE], (MY_CALL,), FUNCTION),
    "a function beside one of the client's": ([MINE, OTHER, RESULT], (MY_CALL,), FUNCTION),
    "one that nobody has run": ([OTHER], (LOOK_UP,), ()),
    "one that nobody has run, before a message": ([OTHER, MESSAGE], (LOOK_UP, *HI), ()),
    "one of two": ([OTHER, {**OTHER, "call_id": "c2"}, RESULT], (ToolUse("c2", "look_up", '{"a":1}'),), FUNCTION),
}  # fmt: skip


def _told(items: list[dict[str, object]], how: str) -> list[dict[str, object]]:
    """The events of items, as servers tell of them."""
    told = []
    for at, item in enumerate(items):
        begun = {**item, "status": "in_progress"} | ({"arguments": ""} if "arguments" in item else {})
        if how != "ends alone":
            told.append(added(begun, at))
        if "arguments" in item and how == "pieces":
            told += [event("function_call_arguments.delta", output_index=at, delta=piece) for piece in ('{"a":', "1}")]
        if "arguments" in item and how == "arguments at once":
            told.append(event("function_call_arguments.done", output_index=at, arguments='{"a":1}'))
        told.append(done(begun if how in ("pieces", "arguments at once") else item, at))
    return told


@pytest.mark.parametrize("how", ["pieces", "arguments at once", "at their end", "ends alone"])
@pytest.mark.parametrize("name", RUN)
def test_a_function_that_the_provider_has_run(name: str, how: str) -> None:
    items, parts, dropped = RUN[name]
    replies = [
        whole(*items),
        said_by(CREATED_EVENT, *_told(items, how), COMPLETED, offered=OFFERED),
        said_by(
            CREATED_EVENT,
            *_told(items, how),
            event("completed", response={"id": "r", "usage": USED, "output": items}),
            offered=OFFERED,
        ),
    ]
    for reply in replies:
        [choice] = reply.choices
        assert (choice.parts, set(reply.dropped)) == (parts, set(dropped))
        called = any(isinstance(part, ToolUse) for part in parts)
        assert choice.finish == ("tool_calls" if called else "stop")


def _unplaced(told: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in told.items() if name != "output_index"}


@pytest.mark.parametrize("how", ["pieces", "ends alone"])
def test_items_without_a_place_are_each_of_its_own(how: str) -> None:
    """As agents of MLflow's write them, which say nothing of where an item is."""
    items = [
        message_item("Let me look."),
        OTHER,
        RESULT,
        {**OTHER, "call_id": "c2"},
        {**MINE, "call_id": "c3"},
        MESSAGE,
    ]
    told = [_unplaced(each) for each in _told(items, how)]
    [choice] = said_by(CREATED_EVENT, *told, COMPLETED, offered=OFFERED).choices
    calls = (ToolUse("c2", "look_up", '{"a":1}'), ToolUse("c3", "f", '{"a":1}'))
    assert choice.parts == (Text("Let me look."), *calls, *HI)
    pieces = [
        _unplaced(each)
        for text in ("One.", "Two.")
        for each in (delta(text[:2]), delta(text[2:]), done(message_item(text)))
    ]
    [choice] = said_by(CREATED_EVENT, *pieces, COMPLETED).choices
    assert choice.parts == (Text("One."), Text("Two."))


def test_a_call_that_never_ends_is_told_of_with_what_was_said_of_it() -> None:
    begun = [added({**OTHER, "arguments": ""}), event("function_call_arguments.delta", output_index=0, delta='{"a":')]
    [choice] = said_by(CREATED_EVENT, *begun, COMPLETED, offered=OFFERED).choices
    assert choice.parts == (ToolUse("c1", "look_up", '{"a":'),)


def test_a_call_of_the_clients_own_comes_in_pieces_and_others_hold_nothing_up() -> None:
    decoder = ResponsesStream(OFFERED)

    def said(told: dict[str, object]) -> list[str]:
        return [type(each).__name__ for each in decoder.feed(written(told))]

    said(CREATED_EVENT)
    assert said(added({**MINE, "arguments": ""}, 0)) == ["ToolStarted"]
    assert said(event("function_call_arguments.delta", output_index=0, delta="{")) == ["ToolArguments"]
    assert said(done(MINE, 0)) == ["ToolArguments"]
    assert said(added({**OTHER, "arguments": ""}, 1)) == []
    assert said(event("output_text.delta", output_index=2, delta="Hi")) == ["TextDelta"]
    assert said(done(OTHER, 1)) == []
    assert said(event("output_text.delta", output_index=2, delta=" there")) == [
        "ToolStarted", "ToolArguments", "TextDelta"
    ]  # fmt: skip


def test_a_function_that_the_client_has_and_the_provider_has_run_does_not_end_the_answer() -> None:
    """Its arguments have gone out before that is known."""
    [choice] = said_by(
        CREATED_EVENT, *_told([CALL_ITEM, RESULT, MESSAGE], "pieces"), COMPLETED, offered=OFFERED
    ).choices
    assert (choice.parts, choice.finish) == ((ToolUse("c1", "f", '{"a":1}'), *HI), "stop")


@pytest.mark.parametrize("api", [CHAT, ANTHROPIC, GEMINI], ids=lambda api: api.name)
def test_a_client_is_not_asked_to_run_what_its_provider_has_run(api: Api) -> None:
    asked = b'{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"Hi"}]}'
    if api is GEMINI:
        asked = b'{"contents":[{"parts":[{"text":"Hi"}]}]}'
    call = api.decode(asked, {}, "m:streamGenerateContent?alt=sse")
    by = translator(api, "openai-responses", frozenset())
    stream = by.stream(call, by.encode(call, Target(model="m")))
    told = stream.feed(written(CREATED_EVENT, *_told([OTHER, RESULT, MESSAGE], "pieces"), COMPLETED))
    told += stream.finish()
    assert b"Hi" in told
    assert b"look_up" not in told


def test_a_stream_that_stops_while_a_provider_runs_a_call_is_cut() -> None:
    with pytest.raises(UpstreamFailure) as caught:
        said_by(CREATED_EVENT, delta("Hi"), done(MESSAGE), added(IN_CONTAINER, 1), done(IN_CONTAINER, 1))
    assert caught.value.code == "upstream_cut"


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
