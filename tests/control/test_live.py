from __future__ import annotations

import asyncio
import json
from typing import Any

from control_process import ControlProcess
from websockets.asyncio.client import ClientConnection, unix_connect

from tests.fixtures.ledger import SQLITE
from weebill.control import live
from weebill.storage.keys import open_keys
from weebill.telemetry.counters import Counters


def connect(control: ControlProcess, **options: Any) -> unix_connect:
    return unix_connect(str(control.home.control_socket), "ws://weebill/api/v1/live", **options)


async def closed_with(socket: ClientConnection) -> tuple[int, str]:
    async with asyncio.timeout(60):
        await socket.wait_closed()
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


async def test_the_state_is_pushed_as_it_changes(control: ControlProcess, admin: str) -> None:
    counters = Counters(control.home.counters, 0)
    async with connect(control) as socket:
        await socket.send(json.dumps({"api_key": admin}))
        first = json.loads(await socket.recv())
        assert first["traffic"]["requests"] == 0
        counters.requests.add(("chat.completions", "200"), 3)
        counters.requests.add(("chat.completions", "502"))
        counters.tokens.add(("tiny", "completion"), 50)
        counters.connections.set(4)
        expected = {"requests": 4, "failures": 1, "completion_tokens": 50, "connections": 4}
        async with asyncio.timeout(60):
            # What is pushed between two of the changes has a part of them.
            while not expected.items() <= (second := json.loads(await socket.recv()))["traffic"].items():
                pass
    assert second["at"] > first["at"]
    assert second["info"]["ready"] is True
    assert second["status"]["engines"] == [{"model": "smollm2:135m", "ready": True, "context": 8192}]
    counters.close()


async def test_a_key_may_come_in_a_header(control: ControlProcess, admin: str) -> None:
    async with connect(control, additional_headers={"authorization": f"Bearer {admin}"}) as socket:
        assert json.loads(await socket.recv())["type"] == "live"


async def test_without_a_key_nothing_is_pushed(control: ControlProcess) -> None:
    for message in ("", "x", "{}", "[]", '{"api_key": 1}', '{"api_key": "sk-wb-nobody"}', b"{}", b"\xff"):
        async with connect(control) as socket:
            await socket.send(message)
            assert (await closed_with(socket))[0] == 4401


async def test_a_user_key_is_not_enough(control: ControlProcess, user: str) -> None:
    async with connect(control) as socket:
        await socket.send(json.dumps({"api_key": user}))
        code, reason = await closed_with(socket)
    assert code == 4403
    assert "admin" in reason


async def test_a_revoked_key_sees_no_more(control: ControlProcess, admin: str) -> None:
    async with connect(control) as socket:
        await socket.send(json.dumps({"api_key": admin}))
        await socket.recv()
        with open_keys(control.home, SQLITE) as keys:
            keys.revoke("admin")
        assert (await closed_with(socket))[0] == 4401


async def test_clients_are_bounded_and_places_are_given_back(control: ControlProcess, admin: str) -> None:
    sockets = [await connect(control) for _ in range(live.MAX_CLIENTS)]
    for socket in sockets:
        await socket.send(json.dumps({"api_key": admin}))
        await socket.recv()
    async with connect(control) as one_too_many:
        assert (await closed_with(one_too_many))[0] == 1013
    for socket in sockets:
        await socket.close()
    async with connect(control) as socket:
        await socket.send(json.dumps({"api_key": admin}))
        assert json.loads(await socket.recv())["type"] == "live"


async def test_draining_does_not_wait_for_clients(control: ControlProcess, admin: str) -> None:
    async with connect(control) as socket:
        await socket.send(json.dumps({"api_key": admin}))
        await socket.recv()
        async with asyncio.timeout(60):
            assert await control.drain() == 0
