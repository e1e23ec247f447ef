"""A child of any role that speaks the real link and does what `<home>/behaviour/<name>` says.

Behaviours: `ready` (default), `failed` (sends Failed), `crash` (exits 3), `silent` (never ready),
`unready` (ready, and as a worker not for requests, until it is told to be anything else),
`loading` (computes without end before it is ready),
`stubborn` (ready, ignores Drain), `slow-drain` (takes its whole grace), `spin` (ready, then an endless loop),
`busy-drain` (answers nobody while it drains).
A worker repeats that it wants the models in `<home>/wanted` and uses those in `<home>/used`, and in `<home>/kept`,
which are to be kept without end.
What happens is appended to `<home>/events`.
"""

import asyncio
import json
import os
import socket
import sys
import time
from pathlib import Path

import msgspec

from weebill.engine.role import EngineReady
from weebill.process import messages
from weebill.process.link import Link, LinkClosedError
from weebill.process.messages import Drain, Engines, Failed, InUse, Ping, Pong, Ready, Reload, Wanted


async def live() -> None:
    link = Link.open()
    boot = await link.boot()
    home = Path(boot.home)
    own = msgspec.json.decode(boot.own) or {}
    names = {"worker": "worker-{index}", "engine": "engine {model}"}
    name = names.get(boot.role, boot.role).format(**own)
    settings = boot.settings
    engines = next((message.engines for message in boot.told if isinstance(message, Engines)), ())

    def event(what: str, **details: object) -> None:
        line = json.dumps({"name": name, "pid": os.getpid(), "event": what, **details}) + "\n"
        descriptor = os.open(home / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        up = {engine.model: engine.base_url for engine in engines}
        cold = [engine.model for engine in engines if engine.cold]
        answers = {engine.model: engine.answers for engine in engines}
        keys = {provider: each.api_key for provider, each in settings.providers.items()}
        body = json.dumps(
            {
                "name": name,
                "pid": os.getpid(),
                "up": up,
                "answers": answers,
                "cold": cold,
                "aliases": settings.aliases,
                "keys": keys,
            }
        ).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd")) if sys.platform == "linux" else []
    event(
        "boot",
        session=os.getsid(0),
        providers=list(settings.providers),
        sockets=count_sockets(fds),
        file=own.get("path"),
    )
    behaviour = home / "behaviour" / name
    mode = behaviour.read_text() if behaviour.exists() else "ready"
    if mode == "crash":
        sys.exit(3)
    if mode == "failed":
        link.send(Failed(message="the model file is damaged; run `weebill pull`"))
        link.close()
        await asyncio.sleep(0)
        sys.exit(1)
    while mode == "loading":
        mode = behaviour.read_text()
    servers = [await asyncio.start_server(handle, sock=socket.socket(fileno=fd)) for fd in own.get("listen_fds", ())]
    if mode != "silent":
        ready = EngineReady(base_url="http://127.0.0.1:1", context=8192) if boot.role == "engine" else None
        link.send(Ready(own=messages.own(ready)))
        event("ready")
    told = asyncio.create_task(tell(link, home)) if boot.role == "worker" else None
    try:
        async for message in link:
            match message:
                case Ping():
                    while mode == "spin":
                        pass
                    mode = "ready" if mode == "unready" != behaviour.read_text() else mode
                    link.send(Pong(ready=boot.role == "worker" and mode != "unready"))
                case Reload():
                    settings = message.settings
                    event("reload")
                case Engines():
                    engines = message.engines
                case Drain() if mode == "stubborn":
                    event("ignored drain")
                case Drain():
                    event("drain", grace_s=message.grace_s)
                    for server in servers:
                        server.close()
                    if mode == "slow-drain" and message.grace_s > 0:
                        continue
                    if mode == "busy-drain":
                        time.sleep(message.grace_s)
                    event("end")
                    return
    except LinkClosedError:
        pass
    if told is not None:
        told.cancel()
    event("orphaned")


async def tell(link: Link, home: Path) -> None:
    while True:
        for model in names_in(home / "wanted"):
            link.send(Wanted(model=model))
        if used := names_in(home / "used"):
            link.send(InUse(models=used))
        if kept := names_in(home / "kept"):
            link.send(InUse(models=kept, keep_s=(-1.0,) * len(kept)))
        await asyncio.sleep(0.1)


def names_in(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text().split()) if path.exists() else ()


def count_sockets(fds: list[int]) -> int:
    count = 0
    for fd in fds:
        try:
            count += os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        except OSError:
            continue
    return count


def main() -> None:
    asyncio.run(live())


if __name__ == "__main__":
    main()
