import json
import subprocess
import threading

import pytest

from tests.cli.conftest import COMMAND, DONE, TIMEOUT_S, chunk
from tests.fixtures.ledger import SQLITE
from weebill.storage.keys import open_keys

ERROR = json.dumps(
    {"error": {"message": "It is no use.", "type": "server_error", "param": None, "code": None}}
).encode()


def test_the_answer_streams_to_stdout_and_a_key_lives_as_long_as_the_command(weebill, gateway):
    def script(body):
        with open_keys(weebill.home, SQLITE) as keys:
            assert keys.count() == 1
        return [chunk("Hel"), b": a comment\n\n", chunk("lo"), DONE]

    gateway.script = script
    assert weebill.ok("run", "mini", "Say hello.") == "Hello\n"
    assert gateway.requests == [
        {"model": "mini", "messages": [{"role": "user", "content": "Say hello."}], "stream": True}
    ]
    with open_keys(weebill.home, SQLITE) as keys:
        assert [key.name for key in keys.all() if key.revoked_at is None] == []
        assert len(keys.all()) == 1


def test_a_key_in_the_environment_is_used_instead(weebill, gateway):
    weebill.ok("run", "mini", "hi", WEEBILL_API_KEY="sk-wb-mine")
    assert gateway.keys == ["sk-wb-mine"]
    assert not weebill.home.database.exists()


def test_the_prompt_may_come_from_standard_input(weebill, gateway):
    weebill.ok("run", "mini", stdin="What is\nthis?\n")
    assert gateway.requests[0]["messages"] == [{"role": "user", "content": "What is\nthis?"}]
    assert "standard input is empty" in weebill.fails(1, "run", "mini", stdin=" \n")


@pytest.mark.parametrize(
    ("status", "script", "said"),
    [
        (404, [ERROR], "error: It is no use.\nhint: `weebill list` shows the models\n"),
        (500, [b"<html>"], "error: the gateway answered 500 Internal Server Error\n"),
        (200, [chunk("Hel")], "error: the answer was cut before its end\n"),
        (200, [chunk("Hel"), b"data: " + ERROR + b"\n\n"], "error: It is no use.\n"),
    ],
)
def test_failures_are_told(weebill, gateway, status, script, said):
    gateway.status, gateway.script = status, lambda body: script
    assert weebill.fails(1, "run", "mini", "hi").startswith(said)
    with open_keys(weebill.home, SQLITE) as keys:
        assert keys.count() == 0


def test_a_conversation_on_a_terminal_remembers_and_forgets(weebill, gateway):
    seen = weebill.on_terminal("run", "mini", typed="one\ntwo\n/clear\nthree\n/bye\n")
    assert "Hello" in seen
    assert "\x1b[2J" not in seen
    conversations = [[turn["content"] for turn in body["messages"]] for body in gateway.requests]
    assert conversations == [["one"], ["one", "Hello\x1b[2J", "two"], ["three"]]


def test_the_key_of_a_run_that_is_ended_does_not_outlive_it(weebill, gateway):
    answering, over = threading.Event(), threading.Event()

    def script(body):
        yield chunk("Hel")
        answering.set()
        over.wait(TIMEOUT_S)

    gateway.script = script
    process = subprocess.Popen([*COMMAND, "run", "mini", "hi"], env=weebill.env, stdout=subprocess.DEVNULL)
    assert answering.wait(TIMEOUT_S)
    process.terminate()
    assert process.wait(TIMEOUT_S) == 143
    over.set()
    with open_keys(weebill.home, SQLITE) as keys:
        assert keys.count() == 0
