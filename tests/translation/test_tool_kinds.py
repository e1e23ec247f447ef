"""Tools of kinds and names that a target does not know: offered, called and answered, by every dialect and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.emulator.two_turn import Answer, Calling
from tests.emulator.written import written as answer_of
from tests.rows import every
from tests.translation.clients import CLIENTS, events
from tests.translation.targets import BASE, MODELS, Json, asked, target
from tests.translation.test_noise import APIS
from weebill.gateway.translation import translator

GRAMMAR: Final = {"type": "grammar", "syntax": "lark", "definition": "start: MARK"}
SCHEMA: Final = {"type": "object", "properties": {"a": {"type": "integer"}}}
GIVEN: Final = {"a": 1}
LONG: Final = "n" * 90
DIALECTS: Final = tuple(dialect for dialect in MODELS if dialect != "llamacpp")
NATIVE: Final = {"chat": {"openai", "azure", "mistral"}, "responses": {"openai-responses"}, "anthropic": {"anthropic"},
                 "gemini": {"gemini", "vertex"}}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Tools that are offered, what a model gives to the last one, and the call as the client has it."""

    tools: tuple[Json, ...]
    given: Json
    call: Json
    result: Json
    history: tuple[Json, ...] = ()


def own(kind: str, **fields: Any) -> Json:
    return {"type": kind, **fields}


def custom(name: str, text: str) -> tuple[Json, Json]:
    return own("custom_tool_call", name=name, input=text), own("custom_tool_call_output", output="RESULT")


def function(name: str, **fields: Any) -> tuple[Json, Json]:
    call = own("function_call", name=name, arguments=GIVEN, **fields)
    return call, own("function_call_output", output="RESULT")


OFFER: Final = own("function", name="list", parameters=SCHEMA)
SHELL_OUTPUT: Final = [{"stdout": "RESULT", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]
PATCH: Final = {"type": "update_file", "path": "a.py", "diff": "@@\n-a\n+b"}
KINDS: Final[dict[str, Row]] = {
    "custom": Row((own("custom", name="sh", description="d"),), {"input": 'a "b"\n'}, *custom("sh", 'a "b"\n')),
    "custom with a grammar": Row((own("custom", name="patch", format=GRAMMAR),), {"input": "*** x"},
                                 *custom("patch", "*** x")),
    "custom of text": Row((own("custom", name="t", format={"type": "text"}),), {"input": ""}, *custom("t", "")),
    "custom in a namespace": Row((own("namespace", name="ns", tools=[own("custom", name="sh")]),), {"input": "x"},
                                 *custom("sh", "x")),
    "custom with a dot": Row((own("custom", name="a.sh"),), {"input": "x"}, *custom("a.sh", "x")),
    "namespace": Row((own("namespace", name="mcp__files", tools=[OFFER]),), GIVEN,
                     *function("list", namespace="mcp__files")),
    "long namespace": Row((own("namespace", name="mcp__" + "x" * 60, tools=[OFFER]),), GIVEN,
                          *function("list", namespace="mcp__" + "x" * 60)),
    "two namespaces of one function": Row(
        (own("namespace", name="one", tools=[OFFER]), own("namespace", name="two", tools=[OFFER])), GIVEN,
        *function("list", namespace="two")),
    "local shell": Row(
        (own("local_shell"),), {"command": ["ls", "-l"], "working_directory": "/tmp"},
        own("local_shell_call", action={"type": "exec", "command": ["ls", "-l"], "working_directory": "/tmp"}),
        own("local_shell_call_output", output="RESULT")),
    "shell": Row((own("shell"),), {"commands": ["ls", "pwd"]}, own("shell_call", action={"commands": ["ls", "pwd"]}),
                 own("shell_call_output", output=SHELL_OUTPUT)),
    "apply patch": Row((own("apply_patch"),), PATCH, own("apply_patch_call", operation=PATCH),
                       own("apply_patch_call_output", status="completed", output="RESULT")),
    "tool search": Row((own("tool_search", execution="client"),), {"query": "x"},
                       own("tool_search_call", arguments={"query": "x"}),
                       own("tool_search_output", execution="client", tools=[{**OFFER, "description": "RESULT"}])),
    "additional tools": Row((), {"input": "x"}, *custom("later", "x"),
                            (own("additional_tools", role="developer", tools=[own("custom", name="later")]),)),
    "deferred": Row(({**OFFER, "defer_loading": True},), GIVEN, *function("list")),
    "a dot": Row(({**OFFER, "name": "files.read"},), GIVEN, *function("files.read")),
    "a slash": Row(({**OFFER, "name": "files/read"},), GIVEN, *function("files/read")),
    "over 64 characters": Row(({**OFFER, "name": LONG},), GIVEN, *function(LONG)),
    "other letters": Row(({**OFFER, "name": "größe ファイル"},), GIVEN, *function("größe ファイル")),
    "one that looks the same": Row(({**OFFER, "name": "a.b"}, {**OFFER, "name": "a/b"}), GIVEN, *function("a/b")),
    "beside a provider's own": Row((own("web_search"), own("code_interpreter"), own("custom", name="sh")),
                                   {"input": "x"}, *custom("sh", "x")),
    "beside a computer": Row((own("computer_use_preview", environment="linux"), OFFER), GIVEN, *function("list")),
}  # fmt: skip


def round_trip(
    api: str, dialect: str, fields: Json, given: Json, stream: bool, called: int = 1
) -> tuple[str, str, str]:
    """The name that the model is told of the last tool, and the client's answer, with calls of that tool."""
    bridge, there = translator(APIS[api], dialect, frozenset()), target(dialect)
    call = asked(api, fields, stream=stream)
    sent = bridge.encode(call, there)
    name = sent.asked.tools[-1].name if sent.asked is not None else native_name(fields)
    body, pieces = answer_of(dialect, Answer(calls=tuple(Calling(f"k{at}", name, given) for at in range(called))))
    if not stream:
        return name, bridge.decode(call, sent, json.dumps(body).encode()).body.decode(), sent.body.decode()
    reader = bridge.stream(call, sent)
    return name, (b"".join(map(reader.feed, pieces)) + reader.finish()).decode(), sent.body.decode()


def native_name(fields: Json) -> str:
    """That of the last tool in Chat's, Anthropic's or Google's own form."""
    tool: Json = fields["tools"][-1]
    tool = tool.get("function") or tool.get("custom") or (tool.get("functionDeclarations") or [tool])[-1]
    return str(tool["name"])


def output_of(text: str, stream: bool) -> list[Json]:
    if not stream:
        return list(json.loads(text)["output"])
    *_, (_, last) = events(text)
    response = json.loads(last)["response"]
    assert response["status"] == "completed"
    return list(response["output"])


def holds(found: Any, expected: Any) -> bool:
    """Whether all that is expected is in what was found; JSON in a text counts as what it says."""
    if isinstance(expected, dict):
        if isinstance(found, str):
            found = json.loads(found)
        return all(name in found and holds(found[name], value) for name, value in expected.items())
    return bool(found == expected)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@every("dialect", [each for each in DIALECTS if each not in NATIVE["responses"]])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_the_responses_api(kind: str, dialect: str, stream: bool) -> None:
    row = KINDS[kind]
    history = [*row.history, {"role": "user", "content": "Hi"}]
    fields = {"input": history, "tools": list(row.tools)}
    name, text, first = round_trip("responses", dialect, fields, row.given, stream, called=2)
    made = [item for item in output_of(text, stream) if item["type"] != "reasoning"]
    assert len(made) == 2
    assert all(holds(item, row.call) for item in made), made
    assert len({item["call_id"] for item in made}) == 2
    if kind == "custom with a grammar":
        assert "start: MARK" in first

    results = [{**row.result, "call_id": item["call_id"]} for item in made]
    again = asked("responses", {"input": [*history, *made, *results], "tools": list(row.tools)})
    sent = translator(APIS["responses"], dialect, frozenset()).encode(again, target(dialect))
    second = sent.body.decode()
    assert sent.asked is not None
    assert name in [tool.name for tool in sent.asked.tools]
    told = json.dumps(name)[1:-1]
    assert second.count(told) >= 3 or second.count(name) >= 3
    assert second.count("RESULT") >= 2


def declared(api: str, name: str) -> Json:
    described = {"name": name, "description": "d"}
    if api == "chat":
        return {"type": "function", "function": {**described, "parameters": SCHEMA}}
    if api == "anthropic":
        return {**described, "input_schema": SCHEMA}
    if api == "gemini":
        return {"functionDeclarations": [{**described, "parametersJsonSchema": SCHEMA}]}
    return {"type": "function", **described, "parameters": SCHEMA}


TRANSLATED: Final = [(api, dialect) for api in CLIENTS for dialect in DIALECTS if dialect not in NATIVE[api]]
NAMES: Final = ("files.read", "files/read", LONG, "größe", "mcp:server:tool", "1st tool", "-x")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", NAMES)
@every(("api", "dialect"), TRANSLATED)
def test_names_that_a_target_refuses(api: str, dialect: str, name: str, stream: bool) -> None:
    """Another tool is there that would be called the same; both are again in the next turn, where one more is."""
    client = CLIENTS[api]
    near = name.replace(".", "_").replace("/", "_").replace(":", "_").replace(" ", "_")
    tools = [declared(api, near if near != name else "other"), declared(api, name)]
    told, text, _ = round_trip(api, dialect, {"tools": tools}, GIVEN, stream, called=2)
    said = client.streamed(text) if stream else client.whole(json.loads(text))
    assert [(call.name, call.arguments) for call in said.calls] == [(name, GIVEN)] * 2
    assert len({call.id for call in said.calls}) == 2

    prompt = {"chat": "messages", "anthropic": "messages", "gemini": "contents", "responses": "input"}[api]
    first = BASE[api][prompt] if isinstance(BASE[api][prompt], list) else [{"role": "user", "content": "Hi"}]
    history = [*first, *said.echo, *client.results(said, ["RESULT", "RESULT"])]
    again = asked(api, {prompt: history, "tools": [declared(api, "a.new"), *tools]})
    sent = translator(APIS[api], dialect, frozenset()).encode(again, target(dialect))
    assert sent.asked is not None
    assert sent.asked.tools[-1].name == told
    parts = [part for turn in sent.asked.turns for part in turn.parts]
    assert [part.name for part in parts if type(part).__name__ == "ToolUse"] == [told] * 2  # type: ignore[union-attr]
    assert sent.body.count(b"RESULT") == 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("form", [None, {"type": "text"}, {"type": "grammar", "grammar": GRAMMAR}], ids=str)
@every("dialect", [each for each in DIALECTS if each not in NATIVE["chat"]])
def test_custom_tools_of_chat(dialect: str, form: Json | None, stream: bool) -> None:
    tool = {"name": "a.sh", "description": "d"} | ({} if form is None else {"format": form})
    tools = [{"type": "custom", "custom": tool}]
    told, text, first = round_trip("chat", dialect, {"tools": tools}, {"input": 'a "b"'}, stream)
    assert ("start: MARK" in first) is (form is not None and form["type"] == "grammar")
    if stream:
        [call] = streamed_calls(text)
    else:
        [call] = json.loads(text)["choices"][0]["message"]["tool_calls"]
    assert (call["type"], call["custom"]) == ("custom", {"name": "a.sh", "input": 'a "b"'})

    result = {"role": "tool", "tool_call_id": call["id"], "content": "RESULT"}
    messages = [*BASE["chat"]["messages"], {"role": "assistant", "content": None, "tool_calls": [call]}, result]
    sent = translator(APIS["chat"], dialect, frozenset()).encode(
        asked("chat", {"messages": messages, "tools": tools}), target(dialect)
    )
    assert sent.body.count(told.encode()) >= 2
    assert b"RESULT" in sent.body


def streamed_calls(text: str) -> list[Json]:
    """The custom calls of a chat stream, put together as an SDK does."""
    calls: list[Json] = []
    for _, data in events(text):
        for choice in [] if data == "[DONE]" else json.loads(data)["choices"]:
            for piece in choice["delta"].get("tool_calls") or ():
                if piece["index"] == len(calls):
                    calls.append({name: value for name, value in piece.items() if name != "index"})
                else:
                    calls[piece["index"]]["custom"]["input"] += piece["custom"]["input"]
    return calls


FOUND: Final[list[tuple[Json, str]]] = [
    ({"type": "tool_reference", "tool_name": "a.tool"}, "a.tool"),
    ({"type": "tool_search_tool_result", "tool_use_id": "t1", "content": {"type": "tool_search_tool_search_result",
      "tool_references": [{"type": "tool_reference", "tool_name": "a.tool"}]}}, ""),
    ({"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "RESULT"}]}, "RESULT"),
]  # fmt: skip


@pytest.mark.parametrize(("block", "told"), FOUND, ids=[block["type"] for block, _ in FOUND])
@every("dialect", [each for each in MODELS if each not in NATIVE["anthropic"]])
def test_what_a_search_for_tools_found(dialect: str, block: Json, told: str) -> None:
    """In a history, in what a tool gave or beside it: never an error, and said in words where there are any."""
    tools = [{**declared("anthropic", "a.tool"), "defer_loading": True}, declared("anthropic", "find")]
    call = {"type": "tool_use", "id": "t1", "name": "find", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [block, {"type": "text", "text": "more"}]}
    said = [call] if told else [call, block]
    if not told:
        result["content"] = "more"
    messages = [
        *BASE["anthropic"]["messages"], {"role": "assistant", "content": said}, {"role": "user", "content": [result]}
    ]  # fmt: skip
    sent = translator(APIS["anthropic"], dialect, frozenset()).encode(
        asked("anthropic", {"messages": messages, "tools": tools}), target(dialect)
    )
    assert b"more" in sent.body
    assert told.encode() in sent.body
