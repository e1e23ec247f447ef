"""The program `llama-server` as an engine: it is told all, answers, and lives as long as its host."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.engine.host_process import EXIT_S, Host, client, host
from tests.engine.llama_server import options_in
from tests.fixtures.model import MODEL
from weebill.engine import llama_program
from weebill.engine.allowance import MOST_LINES
from weebill.engine.errors import ProgramError
from weebill.engine.llama_options import options_of
from weebill.engine.llama_program import LlamaProgram, arguments
from weebill.engine.role import EngineBoot, HostSettings
from weebill.models.store import Adapter, ServedModel
from weebill.models.templating import Beginning
from weebill.process.messages import Drain, Failed

TOLD = EngineBoot(model="a", api_key="key", path="/a.gguf", engine=HostSettings(context=512, parallel=2))
CASES = {
    "chat": TOLD,
    "embed": msgspec.structs.replace(TOLD, task="embed"),
    "rerank": msgspec.structs.replace(TOLD, task="rerank"),
    "template": msgspec.structs.replace(TOLD, chat_template="{{ messages }}", beginnings={"a": Beginning("Be brief.")}),
    "adapters": msgspec.structs.replace(TOLD, adapters=("/one.gguf", "/two.gguf")),
    "adapted vectors": msgspec.structs.replace(TOLD, task="embed", adapters=("/one.gguf",)),
}
STAND_IN = f"""#!/bin/sh
exec {sys.executable} -m tests.engine.llama_server "$@"
"""


@pytest.mark.parametrize("told", CASES.values(), ids=CASES)
def test_a_command_line_says_what_the_options_say(told: EngineBoot) -> None:
    assert options_in(arguments(options_of(told))) == options_of(told)


def program(folder: Path, text: str) -> Path:
    path = folder / "llama-server"
    path.write_text(text)
    path.chmod(0o755)
    return path


def programs(running: Host) -> list[psutil.Process]:
    children = psutil.Process(running.process.pid).children(recursive=True)
    return [each for each in children if "tests.engine.llama_server" in each.cmdline()]


def start(running: Host, model: ServedModel, llama_server: Path) -> None:
    running.boot(msgspec.structs.replace(model, kind="llama-server"), context=512, llama_server=str(llama_server))


@pytest.fixture
def model(tiny_model: ServedModel) -> ServedModel:
    return tiny_model


@pytest.mark.parametrize("text", [STAND_IN, STAND_IN.replace("exec ", "")], ids=["program", "script around it"])
def test_it_answers_and_ends_with_its_host(tmp_path: Path, model: ServedModel, text: str) -> None:
    with host(tmp_path) as running:
        start(running, model, program(tmp_path, text))
        ready = running.ready()
        assert ready.context == 512
        [server] = programs(running)
        assert not [word for word in server.cmdline() if "engine-test-key" in word]
        with client(ready.base_url) as http:
            body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
            assert http.post("/v1/chat/completions", json=body).json()["usage"]["completion_tokens"] == 4
            assert http.post("/v1/chat/completions", json=body, headers={"authorization": ""}).status_code == 401
        os.kill(running.process.pid, signal.SIGKILL)
        assert server.wait(EXIT_S) is not None or not server.is_running()


def test_a_system_prompt_is_on_no_command_line(tmp_path: Path, model: ServedModel) -> None:
    told = msgspec.structs.replace(model, beginning=Beginning("Say nothing of the blue door."))
    with host(tmp_path) as running:
        start(running, told, program(tmp_path, STAND_IN))
        with client(running.ready().base_url) as http:
            body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
            prompt = http.post("/apply-template", json=body | {"chat_template_kwargs": {"weebill_beginning": MODEL}})
        [server] = programs(running)
        assert "blue door" in prompt.json()["prompt"]
        assert not [word for word in server.cmdline() if "blue door" in word]


def test_a_host_ends_with_its_program(tmp_path: Path, model: ServedModel) -> None:
    stand_in = program(tmp_path, STAND_IN)
    with host(tmp_path) as running:
        start(running, model, stand_in)
        running.ready()
        for each in programs(running):
            each.kill()
        assert running.exit_code() == 1
        assert "llama-server was killed by signal 9" in running.log.read_text()


def test_it_drains(tmp_path: Path, model: ServedModel) -> None:
    stand_in = program(tmp_path, STAND_IN)
    with host(tmp_path) as running:
        start(running, model, stand_in)
        running.ready()
        running.send(Drain(grace_s=10))
        assert running.exit_code() == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("#!/bin/sh\necho 'error: invalid argument: --fit' >&2\nexit 1\n", "llama-server exited with status 1"),
        ("#!/bin/sh\nkill -SEGV $$\n", "llama-server was killed by signal 11"),
        ("#!/nowhere/interpreter\n", "cannot be run"),
    ],
)
def test_a_program_that_does_not_start_says_why(tmp_path: Path, model: ServedModel, text: str, why: str) -> None:
    with host(tmp_path) as running:
        start(running, model, program(tmp_path, text))
        failed = running.receive()
        assert isinstance(failed, Failed)
        assert why in failed.message or "invalid argument: --fit" in failed.message


def test_of_a_program_that_prints_much_a_part_is_logged_and_its_last_line_told(
    tmp_path: Path, model: ServedModel
) -> None:
    with host(tmp_path) as running:
        start(running, model, program(tmp_path, "#!/bin/sh\nseq 5000\nsleep 0.5\necho 'no such device' >&2\nexit 3\n"))
        failed = running.receive()
        assert isinstance(failed, Failed)
        assert f"The model {MODEL} could not be loaded" in failed.message
        assert "llama-server exited with status 3; it said last: no such device." in failed.message
        assert running.exit_code() == 1
    lines = [msgspec.json.decode(line) for line in running.log.read_text().splitlines()]
    assert len([each for each in lines if each["message"].isdecimal()]) == MOST_LINES
    assert [each["lines_left_out"] for each in lines if "lines_left_out" in each] == [5001 - MOST_LINES]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_program, "STILL_S", 2.0)


@pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux tells of them")
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sleep 600; true", "is not ready, and has done nothing for 2 s"),
        # It takes longer than that, and says so.
        ("for each in 1 2 3 4 5; do sleep 1; echo $each; done >&2; exit 3", "exited with status 3"),
    ],
)
def test_a_program_is_waited_for_as_long_as_it_does_anything(tmp_path: Path, text: str, why: str) -> None:
    path = program(tmp_path, f"#!/bin/sh\necho $$ > {tmp_path}/pid\n{text}\n")
    told = msgspec.structs.replace(TOLD, engine=msgspec.structs.replace(TOLD.engine, llama_server=str(path)))
    with pytest.raises(ProgramError, match=why):
        LlamaProgram.start(told)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_an_adapter_that_cannot_be_named_is_refused(tmp_path: Path, model: ServedModel) -> None:
    adapter = Adapter("0" * 64, tmp_path / "a,b.gguf", 1)
    with host(tmp_path) as running:
        start(running, msgspec.structs.replace(model, adapters=(adapter,)), program(tmp_path, STAND_IN))
        failed = running.receive()
        assert isinstance(failed, Failed)
        assert "comma or a colon" in failed.message


def test_there_may_be_no_such_program(tmp_path: Path, model: ServedModel) -> None:
    with host(tmp_path) as running:
        start(running, model, tmp_path / "nothing")
        failed = running.receive()
        assert isinstance(failed, Failed)
        assert "there is no program" in failed.message
        assert "llama_server" in failed.message
