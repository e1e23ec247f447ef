"""How many bytecodes a worker executes for a request, by function: the same figure on a busy machine as on a quiet one.

`python -m bench.bytecodes` is a gateway worker that counts what it executes (started by `count_bytecodes` alone).
Bytecodes differ in what they cost, and C code is not counted; so this compares versions and paths and says where a
request's time goes, rather than how long it takes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import msgspec
import uvloop
from rich.table import Table

import weebill
from bench import nginx
from bench.contenders import Endpoint
from bench.load import Load, LoadResult
from bench.measure import generate
from bench.proc import HARNESS_CORE, free_port
from bench.routed import DEPLOYMENTS, FDS, PATH, PROVIDERS
from bench.upstream import REPLY_TEXT
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings, LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.gateway.role import WorkerBoot
from weebill.gateway.worker import main as worker
from weebill.ledger.process import question_server
from weebill.process import messages
from weebill.process.link import LINK_FD_VARIABLE, ChildLink
from weebill.process.messages import Boot, Ready
from weebill.storage.keys import open_keys
from weebill.storage.opening import open_ledger, open_responses

_OUT_VARIABLE: Final = "WEEBILL_BENCH_BYTECODES"
_START_S: Final = 60.0
_PACKAGE: Final = Path(weebill.__file__).parent
# What happens for at least every second request belongs to requests; the rest is starting and housekeeping.
_OFTEN: Final = 0.5


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """One function of Weebill's; `bytecodes` and `calls` are for each request."""

    name: str
    bytecodes: float
    calls: float


def count_bytecodes(model: str, connections: int = 4, seconds: float = 4.0) -> list[Function]:
    """What a request for `model` (of `bench/routed.py`) executes, the most first."""
    return asyncio.run(_count(model, connections, seconds))


async def _count(model: str, connections: int, seconds: float) -> list[Function]:
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as name, ExitStack() as stack:
        folder, upstream = Path(name), free_port()
        os.sched_setaffinity(0, {HARNESS_CORE})
        server = nginx.start(folder / "nginx", [nginx.fixed_answer(upstream)], core=HARNESS_CORE, fds=FDS)
        stack.callback(server.stop)
        home = Home(folder / "home")
        home.create()
        database = DatabaseSettings()
        with open_keys(home, database) as keys:
            secret = keys.create("bench").secret
        providers = {
            provider: ProviderSettings(base_url=f"http://127.0.0.1:{upstream}/v1", models=(served,))
            for provider, served in PROVIDERS.items()
        }
        settings = Settings(server=ServerSettings(port=0), local=LocalSettings(models=()), providers=providers)
        ledger = question_server(
            stack.enter_context(open_ledger(home, database)),
            stack.enter_context(open_responses(home, database)),
            home,
        )
        await ledger.listen(home.ledger_socket)
        stack.callback(ledger.close)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        link, theirs = ChildLink.pair()
        stack.callback(link.close)
        out = folder / "counted.json"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.bytecodes",
            env=os.environ | {LINK_FD_VARIABLE: str(theirs.fileno()), _OUT_VARIABLE: str(out)},
            pass_fds=(listener.fileno(), theirs.fileno()), cwd=Path(__file__).parent.parent,
        )  # fmt: skip
        theirs.close()
        await link.connect()
        own = messages.own(WorkerBoot(listen_fds=(listener.fileno(),)))
        link.send(Boot(role="worker", home=str(folder / "home"), settings=settings, own=own))
        async with asyncio.timeout(_START_S):
            if not isinstance(await link.receive(), Ready):
                raise AssertionError("a worker says first that it is ready")
        endpoint = Endpoint(listener.getsockname()[1], PATH, model, {"authorization": f"Bearer {secret}"})
        load = Load(
            port=endpoint.port, request=endpoint.request(), content=REPLY_TEXT, connections=connections,
            warmup_s=0.0, seconds=seconds,
        )  # fmt: skip
        result = await asyncio.to_thread(generate, "bench.load", load, LoadResult)
        link.close()
        await process.wait()
        counted = msgspec.json.decode(out.read_bytes(), type=list[tuple[str, int, int]])
    functions = (
        Function(name=name, bytecodes=executed / result.total, calls=calls / result.total)
        for name, executed, calls in counted
    )
    return sorted((it for it in functions if it.calls >= _OFTEN), key=lambda it: -it.bytecodes)


def bytecodes_table(counted: dict[str, list[Function]], shown: int) -> Table:
    """The sums, and those functions that differ or execute the most."""
    table = Table(title="Bytecodes a worker executes for a request", caption="Weebill's own and the standard library's")
    table.add_column("function")
    for model in counted:
        deployments = DEPLOYMENTS[model]
        table.add_column("1 deployment" if deployments == 1 else f"{deployments} deployments", justify="right")
    by_name = {model: {it.name: it.bytecodes for it in functions} for model, functions in counted.items()}
    sums = {model: sum(functions.values()) for model, functions in by_name.items()}
    first = next(iter(sums.values()))
    table.add_row("all", *(f"{each:,.0f} ({each / first - 1:+.1%})" for each in sums.values()), style="bold")
    names = list(dict.fromkeys(it.name for functions in counted.values() for it in functions))
    names.sort(key=lambda name: -max(functions.get(name, 0.0) for functions in by_name.values()))
    for name in names[:shown]:
        table.add_row(name, *(f"{functions.get(name, 0.0):,.0f}" for functions in by_name.values()))
    return table


def _main() -> None:
    executed: Counter[CodeType] = Counter()
    calls: Counter[CodeType] = Counter()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            calls[frame.f_code] += 1
        elif event == "opcode":
            executed[frame.f_code] += 1
        return trace

    sys.settrace(trace)
    try:
        uvloop.run(worker())
    finally:
        sys.settrace(None)
        rows: Counter[str] = Counter()
        times: Counter[str] = Counter()
        for code, count in executed.items():
            rows[_name(code)] += count
            times[_name(code)] += calls[code]
        counted = [(name, count, times[name]) for name, count in rows.items()]
        Path(os.environ[_OUT_VARIABLE]).write_bytes(msgspec.json.encode(counted))


def _name(code: CodeType) -> str:
    path = Path(code.co_filename)
    where = path.relative_to(_PACKAGE) if path.is_relative_to(_PACKAGE) else path.name
    return f"{where} {code.co_qualname}"


if __name__ == "__main__":
    _main()
