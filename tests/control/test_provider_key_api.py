"""Providers' keys through the management API."""

from __future__ import annotations

from typing import Any

from control_process import ControlProcess

from weebill.config.paths import Home

SECRET = "sk-given-through-the-api-0001"
KEYS = "/api/v1/providers/openai/keys"


async def test_a_key_is_given_listed_disabled_and_removed(control: ControlProcess, admin: str, home: Home) -> None:
    said = []
    async with control.client(admin) as client:
        made = await client.post(KEYS, json={"key": SECRET, "test": False})
        assert made.status_code == 201, made.text
        key = made.json()
        assert key == {
            "object": "provider.key", "id": key["id"], "provider": "openai", "project_id": None, "hint": "...0001",
            "created_at": key["created_at"], "created_by": key["created_by"], "fallback": False, "disabled_at": None,
            "last_used_at": None, "refused_at": None, "refusal": "", "status": "active",
        }  # fmt: skip
        listed = await client.get(KEYS)
        assert listed.json() == {"object": "list", "data": [key]}
        address = f"{KEYS}/{key['id']}"
        shown = await client.get(address)
        assert shown.json() == key
        disabled = await client.patch(address, json={"disabled": True})
        assert disabled.json()["status"] == "disabled"
        elsewhere = await client.get(f"/api/v1/providers/groq/keys/{key['id']}")
        assert elsewhere.status_code == 404
        removed = await client.delete(address)
        assert removed.json() == {"id": key["id"], "object": "provider.key", "deleted": True}
        assert (await client.get(address)).status_code == 404
        log = (await client.get("/api/v1/audit")).json()["data"]
        acts = [each["action"] for each in log if each["action"].startswith("provider_key.")]
        assert acts == ["provider_key.removed", "provider_key.disabled", "provider_key.created"]
        assert SECRET not in str(log)
        said += [made, listed, shown, disabled, removed]
    assert all(SECRET not in each.text for each in said)
    assert all(SECRET.encode() not in path.read_bytes() for path in home.root.rglob("*") if path.is_file())


async def test_what_cannot_be_kept_is_refused_and_not_quoted(control: ControlProcess, admin: str) -> None:
    bodies: list[tuple[str, dict[str, Any], int, str | None]] = [
        (KEYS, {"key": "env:OPENAI_API_KEY"}, 400, "key"),
        (KEYS, {"key": ["sk-in-a-list-0123"]}, 400, "key"),
        (KEYS, {"key": SECRET, "fallback": True, "test": False}, 400, "fallback"),
        (KEYS, {"key": SECRET, "project_id": "proj_none", "test": False}, 400, "project_id"),
        (KEYS, {"key": SECRET, "secret": SECRET}, 400, "secret"),
        (KEYS, {}, 400, "key"),
        ("/api/v1/providers/opnai/keys", {"key": SECRET}, 404, "provider"),
        ("/api/v1/providers/azure/keys", {"key": SECRET}, 404, "provider"),
    ]
    async with control.client(admin) as client:
        for address, body, status, param in bodies:
            answered = await client.post(address, json=body)
            assert (answered.status_code, answered.json()["error"]["param"]) == (status, param), answered.text
            assert SECRET not in answered.text
            assert "sk-in-a-list" not in answered.text
        assert (await client.get(KEYS)).json()["data"] == []


async def test_nobody_else_may(control: ControlProcess) -> None:
    async with control.client() as client:
        assert (await client.get(KEYS)).status_code == 401
        assert (await client.post(KEYS, json={"key": SECRET})).status_code == 401
