"""`weebill serve` with its real children, but for the engine: a provider on loopback answers."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import urllib.request
from collections.abc import AsyncIterator

import httpx
import psutil
import pytest

from tests.cli.conftest import COMMAND
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
        return next(word for word in self.printed.split() if word.startswith("sk-wb-"))

    def client(self, **options):
        headers = {"authorization": f"Bearer {self.key()}"}
        return httpx.AsyncClient(base_url=f"{self.status.origin}/v1", headers=headers, timeout=WAIT_S, **options)

    async def exit_code(self):
        async with asyncio.timeout(WAIT_S):
            return await self.process.wait()

    async def all_gone(self, within_s=WAIT_S):
        _, alive = await asyncio.to_thread(psutil.wait_procs, self.children, within_s)
        return not alive


@contextlib.asynccontextmanager
async def serving(weebill, *arguments) -> AsyncIterator[Serving]:
    """Start, and wait for the announcement, which ends with an empty line after the command or is just values."""
    with (weebill.home.root / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "serve", "--port", "0", *arguments, env=weebill.env, stdout=asyncio.subprocess.PIPE, stderr=log
        )
    try:
        async with asyncio.timeout(WAIT_S):
            printed = ""
            last = "--data" if "--quiet" not in arguments else "sk-wb-"
            while last not in printed:
                line = await process.stdout.readline()
                assert line, (weebill.home.root / "log").read_text()
                printed += line.decode()
        yield Serving(weebill, process, printed)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def upstream(weebill):
    async with running_upstream() as upstream:
        weebill.home.config_file.write_text(
            f'[local]\nmodels = []\n[providers.acme]\nbase_url = "{upstream.base_url}"\nmodels = ["gpt"]\n'
            '[aliases]\nmini = "gpt"\n[server]\ndrain_grace_s = 30\n'
        )
        yield upstream


ASK = {"model": "mini", "messages": [{"role": "user", "content": "Hello?"}]}


async def test_the_printed_command_works_as_it_stands_and_the_key_is_shown_once(weebill, upstream):
    async with serving(weebill) as first:
        assert f"Base URL   {first.status.origin}/v1" in first.printed
        command = shlex.split(first.printed[first.printed.index("\ncurl ") :].replace("\\\n", " "))
        assert command[:2] == ["curl", f"{first.status.origin}/openai/v1/chat/completions"]
        options = list(zip(command[2::2], command[3::2], strict=True))
        request = urllib.request.Request(
            command[1],
            data=dict(options)["--data"].encode(),
            headers=dict(value.split(": ", 1) for option, value in options if option == "--header"),
        )
        answer = await asyncio.to_thread(lambda: json.load(urllib.request.urlopen(request, timeout=WAIT_S)))
        assert answer["choices"][0]["message"]["content"] == "Hello there."
        first.process.terminate()
        assert await first.exit_code() == 0
        assert await first.all_gone()
    async with serving(weebill) as second:
        assert "sk-wb-" not in second.printed
        assert "Bearer $WEEBILL_API_KEY" in second.printed
    assert "sk-wb-" not in (weebill.home.root / "log").read_text()


async def test_quiet_prints_values_alone(weebill, upstream):
    async with serving(weebill, "--quiet") as running:
        assert running.printed.split() == [f"{running.status.origin}/v1", running.key()]


async def test_run_asks_what_is_served(weebill, upstream):
    upstream.script = stream(chunk("Good "), chunk("day."), chunk(finish="stop"))
    async with serving(weebill):
        answer = await asyncio.to_thread(weebill.ok, "run", "mini", "Hello?")
    assert answer == "Good day.\n"


async def test_reload_brings_a_model_without_dropping_a_request(weebill, upstream):
    upstream.script = hang()
    async with serving(weebill) as running, running.client() as client:
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
        assert await running.all_gone(within_s=15)
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
        assert await running.all_gone(within_s=15)


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
