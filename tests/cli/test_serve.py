"""`weebill serve` with its real children, but for the engine: a provider on loopback answers."""

import asyncio
import contextlib
import os
import pty
import re
import resource
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import psutil
import pytest

from tests.cli.conftest import COMMAND
from tests.fixtures import forked_weebill
from tests.fixtures.upstream import chunk, complete, hang, running_upstream, stream
from weebill.supervisor.commands import Status, StatusRequest, ask

WAIT_S = 60


class Serving:
    """A running `weebill serve`, what it printed, and its processes."""

    def __init__(self, weebill, process, printed):
        self.weebill = weebill
        self.process = process
        self.printed = printed
        self.status = ask(weebill.home, StatusRequest(), Status)
        self.children = [psutil.Process(each.pid) for each in self.status.processes]

    def key(self):
        """The first key, from the file that is named, since what this prints on is no terminal."""
        return self.weebill.home.first_key.read_text().strip()

    def client(self, **options):
        headers = {"authorization": f"Bearer {self.key()}"}
        return httpx.AsyncClient(base_url=f"{self.status.origin}/v1", headers=headers, timeout=WAIT_S, **options)

    async def exit_code(self):
        return await asyncio.to_thread(self.process.wait, WAIT_S)

    async def all_gone(self, within_s=WAIT_S):
        _, alive = await asyncio.to_thread(psutil.wait_procs, self.children, within_s)
        return not alive


@contextlib.asynccontextmanager
async def serving(weebill, *arguments, forked=True, **options) -> AsyncIterator[Serving]:
    """Start, and wait for the announcement, which ends with an empty line after the command or is just values.

    It is `forked`, as are its children, or the commands themselves are started, with further `options`.
    """
    arguments = ("serve", "--port", "0", *arguments)
    with (weebill.home.root / "log").open("ab") as log:
        if forked:
            process = forked_weebill.start(arguments, weebill.env, log)
        else:
            process = subprocess.Popen(
                [*COMMAND, *arguments], env=weebill.env, stdout=subprocess.PIPE, stderr=log, text=True, **options
            )
    try:
        async with asyncio.timeout(WAIT_S):
            printed = ""
            last = "--data" if "--quiet" not in arguments else "first.key"
            while last not in printed:
                line = await asyncio.to_thread(process.stdout.readline)
                assert line, (weebill.home.root / "log").read_text()
                printed += line
        yield Serving(weebill, process, printed)
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
        process.stdout.close()


@pytest.fixture
async def upstream(weebill):
    async with running_upstream() as upstream:
        weebill.home.config_file.write_text(
            f'[local]\nmodels = []\n[providers.acme]\nbase_url = "{upstream.base_url}"\nmodels = ["gpt"]\n'
            '[aliases]\nmini = "gpt"\n[server]\ndrain_grace_s = 120\n'
        )
        yield upstream


ASK = {"model": "mini", "messages": [{"role": "user", "content": "Hello?"}]}


PASTED = """
import json, sys, urllib.request
url, *options = sys.argv[1:]
given = [*zip(options[::2], options[1::2], strict=True)]
headers = dict(value.split(": ", 1) for option, value in given if option == "--header")
with urllib.request.urlopen(urllib.request.Request(url, dict(given)["--data"].encode(), headers)) as response:
    print(json.load(response)["choices"][0]["message"]["content"])
"""


async def paste(printed):
    """What a shell prints that is given what begins with `export`; without the program curl, but with its options."""
    lines = printed[printed.index("\nexport WEEBILL_API_KEY=") :]
    shell = f'curl() {{ {shlex.quote(sys.executable)} -c {shlex.quote(PASTED)} "$@"; }}\n{lines}\n'
    process = await asyncio.create_subprocess_exec(
        "sh", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={"PATH": os.environ["PATH"]}
    )
    async with asyncio.timeout(WAIT_S):
        return (await process.communicate(shell.encode()))[0].decode()


async def test_the_printed_lines_work_as_they_stand_and_the_key_is_in_no_log(weebill, upstream):
    weebill.home.root.chmod(0o755)
    async with serving(weebill, forked=False) as first:
        assert f"Base URL   {first.status.origin}/v1" in first.printed
        assert f"API key    in {weebill.home.first_key}" in first.printed
        assert await paste(first.printed) == "Hello there.\n"
        assert "sk-wb-" not in first.printed
        weebill.ok("keys", "create", "other")
        # Whatever the folder and whoever made it, nobody else can read or write what is in it.
        found = [path for path in weebill.home.root.rglob("*") if path.name not in ("log", "weebill.toml")]
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) & 0o177 for path in found if not path.is_dir()}
        assert {"weebill.db", "weebill.db-wal", "secret.key", "first.key", "supervisor.sock"} <= set(modes)
        assert any(path.suffix == ".jsonl" for path in found)
        assert set(modes.values()) == {0o000}, modes
        first.process.terminate()
        assert await first.exit_code() == 0
        assert await first.all_gone()
    async with serving(weebill) as second:
        assert "first.key" not in second.printed
        assert "export" not in second.printed
        assert "Bearer $WEEBILL_API_KEY" in second.printed
    assert "sk-wb-" not in (weebill.home.root / "log").read_text()


async def test_a_terminal_is_shown_the_key_once(weebill, upstream):
    ours, theirs = pty.openpty()
    with open(theirs, "wb") as terminal, open(os.devnull, "wb") as nowhere:
        process = forked_weebill.start(("serve", "--port", "0"), weebill.env, nowhere, terminal)
    printed = b""
    try:
        async with asyncio.timeout(WAIT_S):
            while b"--data" not in printed:
                printed += await asyncio.to_thread(os.read, ours, 65536)
        link = re.search(rb"Sign in +(http://127\.0\.0\.1:\d+)(/\?token=[\w-]+)", printed)
        assert link is not None, printed
        origin, path = link[1].decode(), link[2].decode()
        html = {"accept": "text/html"}  # others are told what Ollama says
        async with httpx.AsyncClient(base_url=origin, timeout=WAIT_S, headers=html) as browser:
            assert (await browser.get("/api/v1/status")).status_code == 401
            led = await browser.get(path)
            assert (led.status_code, led.headers["location"]) == (303, "/")
            assert (await browser.get("/api/v1/status")).status_code == 200
            assert (await browser.get("/v1/models")).status_code == 401  # a session is for the management API alone
            async with httpx.AsyncClient(base_url=origin, timeout=WAIT_S, headers=html) as another:
                assert (await another.get(path)).status_code == 400
        process.terminate()
        await asyncio.to_thread(process.wait)
    finally:
        os.close(ours)
        process.kill()
        process.stdout.close()
    text = re.sub(r"\x1b\[[0-9;]*m", "", printed.decode()).replace("\r\n", "\n")
    assert text.count("sk-wb-") == 1
    assert "\nexport WEEBILL_API_KEY=sk-wb-" in text
    assert not weebill.home.first_key.exists()


async def test_a_first_start_that_fails_still_says_where_the_key_is(weebill, upstream):
    weebill.home.supervisor_socket.mkdir()  # found only when the key has been made
    result = await asyncio.to_thread(weebill, "serve", "--port", "0")
    assert result.returncode == 1
    assert result.stdout == f"Your first API key is in {weebill.home.first_key}\n"
    assert weebill.home.first_key.read_text().startswith("sk-wb-")


@pytest.mark.parametrize(("most", "warned"), [(200, True), pytest.param(4096, False, marks=pytest.mark.slow)])
async def test_a_limit_of_files_is_raised_or_warned_of_and_quiet_prints_values_alone(weebill, upstream, most, warned):
    text = weebill.home.config_file.read_text()
    weebill.home.config_file.write_text(text.replace("[server]", "[server]\nmax_connections = 1000"))

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (180, most))

    async with serving(weebill, "--quiet", forked=False, preexec_fn=limit) as running:
        assert running.printed.split() == [f"{running.status.origin}/v1", str(weebill.home.first_key)]
        assert running.key().startswith("sk-wb-")
        worker = next(each for each in running.status.processes if each.role == "worker")
        assert psutil.Process(worker.pid).rlimit(psutil.RLIMIT_NOFILE)[0] == min(most, 2064)
    log = (weebill.home.root / "log").read_text()
    assert log.count(f"may have {most} files open, and `server.max_connections` is 1000") == warned


async def test_run_asks_what_is_served_and_reload_brings_a_model_without_dropping_a_request(weebill, upstream):
    async with serving(weebill) as running, running.client() as client:
        upstream.script = stream(chunk("Good "), chunk("day."), chunk(finish="stop"))
        assert await asyncio.to_thread(weebill.ok, "run", "mini", "Hello?") == "Good day.\n"
        upstream.requests.clear()
        upstream.script = hang()
        under_way = asyncio.create_task(client.post("/chat/completions", json=ASK | {"stream": False}))
        async with asyncio.timeout(WAIT_S):
            while not upstream.requests:
                await asyncio.sleep(0.01)
        text = weebill.home.config_file.read_text()
        weebill.home.config_file.write_text(text.replace('["gpt"]', '["gpt", "newer"]'))
        assert await asyncio.to_thread(weebill.ok, "reload") == "Reloaded\n"
        upstream.script = complete()
        async with asyncio.timeout(WAIT_S):
            while (await client.get("/models/newer")).status_code != 200:
                await asyncio.sleep(0.01)
        assert (await client.post("/chat/completions", json=ASK | {"model": "newer"})).status_code == 200
        assert not under_way.done()
        under_way.cancel()
        weebill.home.config_file.write_text("[sever]\n")
        refused = await asyncio.to_thread(weebill.fails, 2, "reload")
        assert "did you mean `server`?" in refused
        assert (await client.get("/models/newer")).status_code == 200


async def test_a_drain_finishes_streams_and_leaves_nobody(weebill, upstream):
    upstream.script = stream(*(chunk(f"{n} ") for n in range(20)), chunk(finish="stop"), pause_s=0.05)
    async with serving(weebill) as running, running.client() as client:
        async with client.stream("POST", "/chat/completions", json=ASK | {"stream": True}) as response:
            lines = response.aiter_lines()
            first = await anext(lines)
            running.process.send_signal(signal.SIGINT)
            rest = [line async for line in lines]
        assert "0 " in first
        assert [line for line in rest if line][-1] == "data: [DONE]"
        # The client would keep its connection; the drain does not wait for that.
        assert await running.all_gone(within_s=60)
        assert await running.exit_code() == 0
        assert await running.all_gone()


async def test_a_second_interrupt_cuts_the_drain_short(weebill, upstream):
    upstream.script = stream(chunk("never ending"), pause_s=600)
    async with serving(weebill) as running, running.client() as client:
        async with client.stream("POST", "/chat/completions", json=ASK | {"stream": True}) as response:
            lines = response.aiter_lines()
            await anext(lines)
            running.process.send_signal(signal.SIGINT)
            await until_draining(running)
            running.process.send_signal(signal.SIGINT)
            with contextlib.suppress(httpx.HTTPError):
                assert "data: [DONE]" not in [line async for line in lines]
        assert await running.exit_code() == 0
        assert await running.all_gone()
    assert "killing it" not in (weebill.home.root / "log").read_text()


@pytest.mark.parametrize("draining", [False, True])
async def test_sigkill_of_the_supervisor_leaves_no_orphan_even_in_the_middle_of_a_stream(weebill, upstream, draining):
    upstream.script = stream(chunk("never ending"), pause_s=600)
    streamed = ASK | {"stream": True}
    async with (
        serving(weebill) as running,
        running.client() as client,
        client.stream("POST", "/chat/completions", json=streamed) as response,
    ):
        await anext(response.aiter_lines())
        if draining:
            running.process.terminate()
            await until_draining(running)
        running.process.kill()
        # Much sooner than the grace that a drain would have.
        assert await running.all_gone(within_s=60)


async def until_draining(running):
    async with asyncio.timeout(WAIT_S):
        while True:
            status = ask(running.weebill.home, StatusRequest(), Status)
            if any(process.state == "draining" for process in status.processes):
                return
            await asyncio.sleep(0.01)


async def test_killed_children_come_back_and_the_service_with_them(weebill, upstream):
    async with serving(weebill) as running, running.client() as client:
        for child in running.children:
            os.kill(child.pid, signal.SIGKILL)
        assert (await client.post("/chat/completions", json=ASK)).status_code == 200
        async with asyncio.timeout(WAIT_S):
            while any(each.state != "ready" for each in ask(weebill.home, StatusRequest(), Status).processes):
                await asyncio.sleep(0.05)
        running.children += [psutil.Process(each.pid) for each in ask(weebill.home, StatusRequest(), Status).processes]
        running.process.terminate()
        assert await running.exit_code() == 0
        assert await running.all_gone()
