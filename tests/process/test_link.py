import asyncio
import os
import socket
import subprocess
import sys

import msgspec
import pytest

from weebill.config.schema import Settings
from weebill.engine.role import EngineReady
from weebill.gateway.role import WorkerBoot
from weebill.process.link import MAX_LINE_BYTES, ChildLink, Link, LinkClosedError, SyncLink
from weebill.process.messages import Boot, Drain, Failed, Ready, own

WORKER = WorkerBoot(index=3, listen_fds=(4, 5))
BOOT = Boot(role="worker", home="/nowhere", settings=Settings(), own=own(WORKER))
READY = Ready(own=own(EngineReady(base_url="http://127.0.0.1:1", context=8192)))


@pytest.fixture
def inherit(monkeypatch):
    """Put a socket where a child would find it; the child's end is the link's own from then on."""

    def put(end: socket.socket) -> None:
        monkeypatch.setenv("WEEBILL_LINK_FD", str(end.detach()))

    return put


async def test_messages_cross_both_ways_and_iteration_stops_at_end_of_file(inherit):
    ours, theirs = ChildLink.pair()
    await ours.connect()
    inherit(theirs)
    child = Link.open()
    assert "WEEBILL_LINK_FD" not in os.environ
    ours.send(BOOT)
    boot = await child.boot()
    assert boot == BOOT
    assert msgspec.json.decode(boot.own, type=WorkerBoot) == WORKER
    child.send(READY)
    assert await ours.receive() == READY
    ours.send(Drain(grace_s=1.5))
    ours.close()
    assert [message async for message in child] == [Drain(grace_s=1.5)]
    child.close()


async def test_blocking_link_speaks_the_same_language(inherit):
    ours, theirs = ChildLink.pair()
    await ours.connect()
    inherit(theirs)
    child = SyncLink.open()
    ours.send(BOOT)
    ours.send(Drain(grace_s=0))
    ours.close()
    assert await asyncio.to_thread(child.boot) == BOOT
    assert await asyncio.to_thread(list, child) == [Drain(grace_s=0)]
    with pytest.raises(LinkClosedError):
        child.send(Failed(message="nobody listens"))
    child.close()


@pytest.mark.parametrize("line", [b"", b'{"type": "boot"'])
async def test_a_supervisor_gone_before_boot_is_reported(inherit, line):
    ours, theirs = socket.socketpair()
    inherit(theirs)
    child = Link.open()
    ours.sendall(line)
    ours.close()
    with pytest.raises(LinkClosedError, match="gone"):
        await child.boot()
    child.close()


async def test_a_first_message_other_than_boot_is_refused(inherit):
    ours, theirs = ChildLink.pair()
    await ours.connect()
    inherit(theirs)
    child = Link.open()
    ours.send(Drain(grace_s=1))
    with pytest.raises(LinkClosedError, match="not Boot"):
        await child.boot()
    child.close()
    ours.close()


@pytest.mark.parametrize("line", [b"hello\n", b'{"type": "boot"}\n', b"x" * (MAX_LINE_BYTES + 2) + b"\n"])
async def test_what_is_no_message_is_an_error(line):
    ours, theirs = ChildLink.pair()
    await ours.connect()
    sending = asyncio.create_task(asyncio.to_thread(theirs.sendall, line))
    with pytest.raises(LinkClosedError):
        await ours.receive()
    ours.close()
    theirs.close()
    await asyncio.gather(sending, return_exceptions=True)


async def test_a_child_that_never_reads_is_cut_off():
    ours, theirs = ChildLink.pair()
    await ours.connect()
    big = Boot(role="engine", home="h" * (1024 * 1024), settings=Settings())
    for _ in range(64):
        ours.send(big)
    assert await ours.receive() is None
    theirs.close()


def test_a_part_started_by_hand_says_how_to_start_weebill():
    code = "from weebill.process.link import SyncLink; SyncLink.open()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert result.returncode == 1
    assert "weebill serve" in result.stderr
    assert "Traceback" not in result.stderr
