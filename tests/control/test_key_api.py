"""API keys through the management API: scopes, rotation, use."""

from __future__ import annotations

import time
from typing import Any

import pytest
from control_process import ControlProcess
from msgspec import structs

from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import RECORD, write
from weebill.accounts.scopes import ScopeChanges
from weebill.config.paths import Home
from weebill.storage.keys import open_keys
from weebill.storage.opening import open_ledger
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester

SCOPES: dict[str, Any] = {
    "expires_at": 4_000_000_000,
    "networks": ["10.0.0.0/8"],
    "models": ["mini", "gpt-*"],
    "endpoints": ["embeddings"],
    "local_only": True,
    "preferences": {"sort": "price"},
}
NO_SCOPES: dict[str, Any] = {
    "expires_at": None, "networks": [], "models": [], "endpoints": [], "local_only": False, "preferences": {},
}  # fmt: skip
NO_USE = {
    "requests": 0, "failures": 0, "prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0, "cost_nano": 0,
    "unpriced": 0,
}  # fmt: skip


async def test_a_key_is_made_shown_and_changed(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        made = await client.post("/api/v1/keys", json={"name": "ci", **SCOPES})
        assert made.status_code == 201
        key, secret = made.json()["key"], made.json()["secret"]
        address = f"/api/v1/keys/{key['id']}"
        expected = {
            "id": key["id"], "name": "ci", "role": "user", "hint": f"{secret[:8]}...{secret[-4:]}",
            "created_at": key["created_at"], "revoked_at": None, "previous_until": None, "status": "active",
            "last_used_at": None, "usage": NO_USE, "project_id": "proj_default", "user_id": None,
            "service_account_id": None, **SCOPES,
        }  # fmt: skip
        assert key == expected
        assert (await client.get(address)).json() == expected
        changed = await client.patch(address, json={"models": ["mini"], "local_only": False})
        assert changed.json() == {**expected, "models": ["mini"], "local_only": False}
        assert (await client.patch(address, json={})).json() == changed.json()
        assert (await client.patch(address, json=NO_SCOPES)).json() == {**expected, **NO_SCOPES}
        listed = (await client.get("/api/v1/keys")).json()["data"]
        assert {**expected, **NO_SCOPES} in listed
        assert secret not in (await client.get("/api/v1/keys")).text


async def test_a_key_is_rotated_and_revoked(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        made = (await client.post("/api/v1/keys", json={"name": "ci"})).json()
        address = f"/api/v1/keys/{made['key']['id']}"
        rotated = await client.post(f"{address}/rotate", json={"overlap_s": 60})
        assert rotated.status_code == 200
        assert rotated.json()["secret"] != made["secret"]
        assert abs(rotated.json()["key"]["previous_until"] - time.time() - 60) < 30
        again = (await client.post(f"{address}/rotate")).json()  # for a day
        assert abs(again["key"]["previous_until"] - time.time() - 86_400) < 30
        assert (await client.post(f"{address}/rotate", json={"overlap_s": 0})).json()["key"]["previous_until"] is None
        assert (await client.delete(address)).json()["status"] == "revoked"
        for method, path, body in (("POST", f"{address}/rotate", {}), ("PATCH", address, {"models": ["mini"]})):
            refused = await client.request(method, path, json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "key_revoked")


async def test_a_key_is_named_by_its_id_alone(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        await client.post("/api/v1/keys", json={"name": "ci"})
        for name in ("ci", "key_0", "admin"):
            for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
                body = {} if method in ("PATCH", "POST") else None
                answer = await client.request(method, f"/api/v1/keys/{name}{path}", json=body)
                assert (answer.status_code, answer.json()["error"]["code"]) == (404, "key_not_found"), (method, name)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"expires_at": 1}, "expires_at"),
    ({"expires_at": "2027-01-31"}, "expires_at"),
    ({"expires_at": True}, "expires_at"),
    ({"networks": ["here"]}, "networks"),
    ({"networks": "10.0.0.0/8"}, "networks"),
    ({"networks": [7]}, "networks.0"),
    ({"models": [""]}, "models"),
    ({"models": None}, "models"),
    ({"endpoints": ["chat"]}, "endpoints"),
    ({"local_only": "yes"}, "local_only"),
    ({"preferences": {"sort": "beauty"}}, "preferences.sort"),
    ({"preferences": []}, "preferences"),
    ({"colour": "red"}, "colour"),
]


async def test_a_bad_scope_names_the_field(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        made = (await client.post("/api/v1/keys", json={"name": "ci"})).json()["key"]
        address = f"/api/v1/keys/{made['id']}"
        for body, param in BAD:
            for method, path, more in (("POST", "/api/v1/keys", {"name": "other"}), ("PATCH", address, {})):
                answer = await client.request(method, path, json={**body, **more})
                assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), (method, body)
        for overlap in (-1, 10**9, "1d", True):
            answer = await client.post(f"{address}/rotate", json={"overlap_s": overlap})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "overlap_s")
        odd = {"content": b'{"preferences": {"order": ["\\ud800"]}}', "headers": {"content-type": "application/json"}}
        answer = await client.patch(address, **odd)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "preferences.order.0")
        admins = await client.post("/api/v1/keys", json={"name": "boss", "role": "admin", "models": ["mini"]})
        assert (admins.status_code, admins.json()["error"]["param"]) == (400, "models")
        assert (await client.get(address)).json() == made
        assert len((await client.get("/api/v1/keys")).json()["data"]) == 2


async def test_use_so_far_is_shown(control: ControlProcess, home: Home, admin: str) -> None:
    async with control.client(admin) as client:
        key = (await client.post("/api/v1/keys", json={"name": "ci"})).json()["key"]
        write(home, [structs.replace(RECORD, key_id=key["id"], cost_nano=5)] * 2)
        with open_ledger(home, SQLITE) as ledger:
            Ingester(StoredUsage(ledger), home.journal).run()
        shown = (await client.get(f"/api/v1/keys/{key['id']}")).json()
    assert shown["last_used_at"] == RECORD.started_at // 1_000_000
    tokens = {"prompt_tokens": 20, "cached_tokens": 8, "completion_tokens": 6}
    assert shown["usage"] == {**NO_USE, "requests": 2, "cost_nano": 10, **tokens}


@pytest.mark.parametrize(
    ("networks", "peer", "status"),
    [
        (("10.0.0.0/8",), "10.1.2.3", 200),
        (("10.0.0.0/8",), "11.1.2.3", 403),
        (("10.0.0.0/8",), None, 403),
        ((), None, 200),
    ],
)
async def test_an_admin_key_manages_from_its_networks_alone(
    control: ControlProcess, home: Home, networks: tuple[str, ...], peer: str | None, status: int
) -> None:
    """The address is in the header that the worker sets."""
    with open_keys(home, SQLITE) as keys:
        secret = keys.create("boss", "admin", ScopeChanges(networks=networks)).secret
    async with control.client(secret) as client:
        answer = await client.get("/api/v1/status", headers={} if peer is None else {"x-forwarded-for": peer})
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["code"] == "network_not_allowed"


async def test_an_expired_admin_key_manages_nothing(control: ControlProcess, home: Home) -> None:
    with open_keys(home, SQLITE) as keys:
        created = keys.create("boss", "admin", ScopeChanges(expires_at=int(time.time()) + 2))
    async with control.client(created.secret) as client:
        asked_at = time.time()
        while (answer := await client.get("/api/v1/status")).status_code == 200:
            assert asked_at < (created.key.expires_at or 0) + 1
            asked_at = time.time()
    assert (answer.status_code, "expired" in answer.json()["error"]["message"]) == (401, True)
