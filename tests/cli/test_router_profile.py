"""`weebill router profile`: asks, checks, writes; goes on where an earlier run ended."""

import json

import msgspec
import pytest

from weebill.auto.profiles import find, read_own

FACT = {
    "id": "fact-1",
    "kind": "fact",
    "messages": [{"role": "user", "content": "What is the capital of Peru?"}],
    "checks": [{"is": "says", "any": ["Lima"]}],
    "max_tokens": 20,
}
TOOL = {
    "id": "tools-1",
    "kind": "tools",
    "messages": [{"role": "user", "content": "Weather in Lima?"}],
    "checks": [{"is": "calls", "name": "weather", "arguments": {"city": "Lima"}}],
    "max_tokens": 30,
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
}
JSON = FACT | {"id": "json-1", "kind": "json", "json": True, "checks": [{"is": "json", "equals": {"city": "Lima"}}]}


def reply(**message):
    return [json.dumps({"choices": [{"index": 0, "message": {"role": "assistant"} | message}]}).encode()]


def script(body):
    if "tools" in body:
        return reply(tool_calls=[{"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}])
    return reply(content='{"city": "Lima"}' if "response_format" in body else "It is Lima.")


@pytest.fixture
def tasks(tmp_path):
    file = tmp_path / "tasks.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in (FACT, TOOL, JSON)))
    return str(file)


def test_a_model_is_asked_and_its_profile_written_where_workers_look(weebill, gateway, tasks):
    gateway.script = script
    said = weebill.ok("router", "profile", "tiny", "--tasks", tasks, "--context", "256")
    assert "Asked 8 of 8 tasks" in said
    assert [body["messages"] for body in gateway.requests[:3]] == [each["messages"] for each in (FACT, TOOL, JSON)]
    first, tool, as_json = gateway.requests[:3]
    assert (first["model"], first["max_tokens"], first["temperature"]) == ("tiny", 20, 0.0)
    assert tool["tools"] == TOOL["tools"]
    assert as_json["response_format"] == {"type": "json_object"}
    found = find("tiny", True, read_own(weebill.home.profiles))
    assert found.basis == "measured"
    assert {kind: share.right for kind, share in found.kinds.items()} == {"fact": 1.0, "tools": 0.0, "json": 1.0}
    assert found.context == 0
    assert found.settings == {"temperature": 0.0}


def test_a_second_run_asks_only_what_is_left(weebill, gateway, tasks):
    gateway.script = script
    weebill.ok("router", "profile", "tiny", "--tasks", tasks, "--context", "0")
    answers = weebill.home.profiles / "tiny.answers.jsonl"
    lines = answers.read_bytes().splitlines(keepends=True)
    answers.write_bytes(b"".join(lines[:2]) + lines[2][:10])
    again = msgspec.json.decode(weebill.ok("router", "profile", "tiny", "--tasks", tasks, "--context", "0", "--json"))
    assert [body["messages"] for body in gateway.requests[3:]] == [JSON["messages"]]
    assert again["kinds"]["fact"] == [1.0, 1, 0.0]
    wrong = weebill.home.root / "wrong.txt"
    wrong.write_text("fact-1\n")
    afresh = ("--afresh", "--wrong", str(wrong), "--json")
    read = msgspec.json.decode(weebill.ok("router", "profile", "tiny", "--tasks", tasks, "--context", "0", *afresh))
    assert read["kinds"]["fact"] == [0.0, 1, 0.0]
    assert "wrong to a reader" in read["source"]
    assert len(gateway.requests) == 7


def test_a_model_that_refuses_is_wrong_and_a_gateway_that_fails_ends_the_run(weebill, gateway, tasks):
    gateway.status = 400
    refused = msgspec.json.decode(weebill.ok("router", "profile", "a", "--tasks", tasks, "--context", "0", "--json"))
    assert refused["kinds"]["fact"] == [0.0, 1, 0.0]
    gateway.status = 503
    assert "503" in weebill.fails(1, "router", "profile", "b", "--tasks", tasks)
    broken = weebill.home.root / "broken.jsonl"
    broken.write_text("{}")
    assert f"{broken}, line 1: " in weebill.fails(1, "router", "profile", "b", "--tasks", str(broken))
