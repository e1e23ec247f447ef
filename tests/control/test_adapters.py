"""The management API's endpoints for LoRA adapters, in front of a discovery process."""

from __future__ import annotations

import asyncio

import httpx
from control_process import ControlProcess

from tests.fixtures.child import ending
from tests.fixtures.discovering import discovering, serving
from tests.fixtures.ledger import answering
from tests.fixtures.model_servers import running_server
from weebill.config.paths import Home
from weebill.control.role import ROLE


async def shown(client: httpx.AsyncClient) -> dict[str, object]:
    """The only server, as the status has it."""
    [server] = (await client.get("/api/v1/status")).json()["servers"]
    return server


async def test_an_admin_loads_lists_and_unloads_adapters(home: Home, admin: str, user: str) -> None:
    async with running_server("vllm") as server:
        settings = serving(own=server)

        async def start() -> ControlProcess:
            return await ControlProcess.start(ROLE, home, settings=settings)

        with answering(home):
            async with discovering(home, settings), ending(start) as starting:
                control = await (await starting()).ready()
                async with control.client(user) as client:
                    assert (await client.get("/api/v1/adapters")).status_code == 403
                async with control.client(admin) as client:
                    wish = {"name": "team/sql", "path": "/loras/sql", "provider": "own"}
                    loaded = await client.post("/api/v1/adapters", json=wish)
                    assert (loaded.status_code, loaded.json()["loaded"]) == (201, True)
                    listed = (await client.get("/api/v1/adapters")).json()["data"]
                    assert listed == [{"name": "team/sql", "provider": "own", "parent": server.base}]
                    again = await client.post("/api/v1/adapters", json=wish)
                    assert (again.status_code, again.json()["error"]["param"]) == (400, "name")
                    for wrong, param in (
                        ({"name": ""}, "name"),
                        ({"path": 7}, "path"),
                        ({"provider": "x"}, "provider"),
                    ):
                        refused = await client.post("/api/v1/adapters", json=wish | wrong)
                        assert refused.status_code in (400, 404)
                        assert refused.json()["error"]["param"] == param
                    gone = await client.delete("/api/v1/adapters/own/team/sql")
                    assert (gone.status_code, gone.json()["loaded"]) == (200, False)
                    assert not server.adapters
                    unknown = await client.delete("/api/v1/adapters/own/team/sql")
                    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "adapter_not_found")
                    listed = (await client.get("/api/v1/audit")).json()["data"]
                    acts = [each for each in listed if each["target"] == "own/team/sql"]
                    assert [each["action"] for each in acts] == ["adapter.unload"] * 2 + ["adapter.load"] * 2
                    assert acts[-1]["after"] == {"path": "/loras/sql"}
                    # The control process is told within a moment.
                    async with asyncio.timeout(60):
                        while (await shown(client))["models"] != [server.base]:
                            await asyncio.sleep(0.02)
                    assert (await shown(client))["status"] == "ready"


async def test_without_such_servers_there_are_no_adapters(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        assert (await client.get("/api/v1/adapters")).json() == {"object": "list", "data": []}
        wish = {"name": "sql", "path": "/loras/sql", "provider": "own"}
        refused = await client.post("/api/v1/adapters", json=wish)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "no_servers")
