"""Limits through the management API."""

from __future__ import annotations

import sqlite3
from typing import Any

from control_process import ControlProcess

LIMIT: dict[str, Any] = {"subject": "proj_default", "measure": "spend", "window": "month", "amount": 25 * 10**9}


async def test_a_limit_is_set_shown_listed_and_removed(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        made = await client.post("/api/v1/limits", json=LIMIT)
        assert made.status_code == 201
        limit = made.json()
        assert {name: limit[name] for name in LIMIT} == LIMIT
        assert (limit["object"], limit["level"], limit["model"]) == ("limit", "project", None)
        assert (limit["used"], limit["reserved"], limit["left"]) == (0, 0, 25 * 10**9)
        assert limit["resets_at"] > limit["created_at"]
        again = await client.post("/api/v1/limits", json={**LIMIT, "amount": 5})
        assert (again.json()["id"], again.json()["amount"]) == (limit["id"], 5)
        other = (await client.post("/api/v1/limits", json={**LIMIT, "window": "none"})).json()
        assert other["resets_at"] is None
        first = (await client.get("/api/v1/limits", params={"limit": 1})).json()
        assert [each["id"] for each in first["data"]] == [limit["id"]]
        rest = (await client.get("/api/v1/limits", params={"cursor": first["next_cursor"]})).json()
        assert [each["id"] for each in rest["data"]] == [other["id"]]
        assert rest["next_cursor"] is None
        path = f"/api/v1/limits/{limit['id']}"
        assert (await client.get(path)).json()["amount"] == 5
        assert (await client.delete(path)).json()["object"] == "limit.deleted"
        gone = await client.get(path)
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "limit_not_found")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"amount": -1}, "amount"),
    ({"amount": 2**53}, "amount"),
    ({"amount": "5"}, "amount"),
    ({"measure": "tea"}, "measure"),
    ({"measure": "concurrent"}, "window"),
    ({"model": "m" * 300}, "model"),
    ({"more": 1}, "more"),
]


async def test_a_limit_without_a_window_has_that_of_its_measure(control: ControlProcess, admin: str) -> None:
    windows = {}
    async with control.client(admin) as client:
        for measure in ("requests", "tokens", "spend", "concurrent"):
            new = {"subject": "proj_default", "measure": measure, "amount": 8}
            made = await client.post("/api/v1/limits", json=new)
            assert made.status_code == 201, made.text
            windows[measure] = made.json()["window"]
    assert windows == {"requests": "minute", "tokens": "minute", "spend": "none", "concurrent": "none"}


async def test_what_cannot_be_set_names_its_field(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        for changed, param in WRONG:
            refused = await client.post("/api/v1/limits", json={**LIMIT, **changed})
            assert refused.status_code in (400, 422), changed
            assert refused.json()["error"]["param"] == param


async def test_nobody_is_limited_who_is_not_there(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        for asked in ({"json": {**LIMIT, "subject": "proj_nobody"}, "method": "POST"}, {"method": "GET"}):
            refused = await client.request(**asked, url="/api/v1/limits", params={"subject": "proj_nobody"})
            assert refused.status_code == 404
        for number in (0, -5, 2**70):
            assert (await client.get(f"/api/v1/limits/{number}")).status_code == 404


async def test_what_a_lost_machine_holds_is_shown_and_released(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        limit = (await client.post("/api/v1/limits", json=LIMIT)).json()["id"]
        path = "/api/v1/limits/machines"
        assert (await client.get(path)).json() == {"object": "list", "data": []}
        missing = await client.post(f"{path}/gone-1/release")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "machine_not_found")
        with sqlite3.connect(control.home.database) as ledger:
            ledger.execute("INSERT INTO leases VALUES (?, 0, 'w1', 300, 100, 1)", (limit,))
            ledger.execute("INSERT INTO borrowers VALUES ('w1', 'gone-1', strftime('%s') + 600, NULL, '')")
        alive = await client.post(f"{path}/gone-1/release")
        assert (alive.status_code, alive.json()["error"]["code"]) == (409, "machine_alive")
        with sqlite3.connect(control.home.database) as ledger:
            ledger.execute("UPDATE borrowers SET heard_at = heard_at - 1000")
        [machine] = (await client.get(path)).json()["data"]
        assert {name: machine[name] for name in ("object", "name", "workers", "silent", "held_silently")} == {
            "object": "machine", "name": "gone-1", "workers": 1, "silent": 1, "held_silently": {"spend": 200},
        }  # fmt: skip
        released = await client.post(f"{path}/gone-1/release")
        assert (released.status_code, released.json()["object"]) == (200, "machine.released")
        assert (await client.get(path)).json()["data"] == []
        [act] = [
            each for each in (await client.get("/api/v1/audit")).json()["data"] if each["action"] == "limit.released"
        ]
        assert act["target"] == "gone-1"
