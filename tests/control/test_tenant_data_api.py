"""All that is kept of a tenant, through the management API."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from control_process import ControlProcess
from msgspec import structs

from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import RECORD, write
from weebill.config.paths import Home
from weebill.storage.opening import open_ledger
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester
from weebill.usage.records import Labels


@pytest.fixture
def used(home: Home, control: ControlProcess) -> None:
    """Two requests, one of them for ann."""
    write(home, [structs.replace(RECORD, labels=Labels("ann")), RECORD])
    with open_ledger(home, SQLITE) as ledger:
        assert Ingester(StoredUsage(ledger), home.journal).run() == 2


async def test_somebodys_data_is_fetched_and_erased(control: ControlProcess, admin: str, used: None) -> None:
    async with control.client(admin) as client:
        answer = await client.get("/api/v1/export", params={"end_user": "ann"})
        assert answer.headers["content-type"] == "application/zip"
        assert answer.headers["content-disposition"] == 'attachment; filename="end_user-ann.zip"'
        with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
            [request] = map(json.loads, packed.read("requests.jsonl").splitlines())
        assert (request["end_user"], request["request_id"]) == ("ann", RECORD.request_id)
        erased = (await client.post("/api/v1/erasures", json={"end_user": "ann"})).json()
        assert (erased["requests"], erased["responses"], erased["feedback"], erased["done"]) == (1, 0, 0, True)
        assert any("backups" in each for each in erased["not_reached"])
        assert any("stored answers" in each for each in erased["not_reached"])
        assert (await client.post("/api/v1/erasures", json={"end_user": "ann"})).json()["requests"] == 0
        log = (await client.get("/api/v1/audit")).json()["data"]
        acts = [(each["action"], each["target"]) for each in log if each["action"].startswith("usage.")]
        assert acts == [("usage.erase", "an end user")] * 2 + [("usage.export", "an end user")]
        assert "ann" not in [each["target"] for each in log]


WRONG: list[tuple[dict[str, str], int, str]] = [
    ({}, 400, "project"),
    ({"project": "proj_default", "organization": "org_default"}, 400, "project"),
    ({"project": "proj_default", "organization": "org_default", "end_user": "ann"}, 400, "project"),
    ({"project": "proj_none", "end_user": "ann"}, 404, "project"),
    ({"organization": "org_none", "end_user": "ann"}, 404, "organization"),
    ({"project": ""}, 400, "project"),
    ({"project": "proj_none"}, 404, "project"),
    ({"organization": "org_none"}, 404, "organization"),
]


async def test_what_is_not_one_tenant_is_refused_by_name(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        for given, status, param in WRONG:
            exported = await client.get("/api/v1/export", params=given)
            erased = await client.post("/api/v1/erasures", json=given)
            for answer in (exported, erased):
                assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), given


async def test_an_end_user_of_several_organisations_is_asked_about(
    control: ControlProcess, home: Home, admin: str
) -> None:
    async with control.client(admin) as client:
        acme = (await client.post("/api/v1/organizations", json={"name": "Acme"})).json()["id"]
        [project] = (await client.get(f"/api/v1/organizations/{acme}/projects")).json()["data"] or [
            (await client.post(f"/api/v1/organizations/{acme}/projects", json={"name": "web"})).json()
        ]
        keys = [
            (await client.post(f"/api/v1/projects/{each}/api_keys", json={"name": "k"})).json()["key"]["id"]
            for each in ("proj_default", project["id"])
        ]
        write(home, [structs.replace(RECORD, key_id=key, labels=Labels("1")) for key in keys])
        with open_ledger(home, SQLITE) as ledger:
            assert Ingester(StoredUsage(ledger), home.journal).run() == 2
        for asked in (
            await client.get("/api/v1/export", params={"end_user": "1"}),
            await client.post("/api/v1/erasures", json={"end_user": "1"}),
        ):
            error = asked.json()["error"]
            assert (asked.status_code, error["code"], error["param"]) == (409, "several_organizations", "organization")
            assert acme in error["message"]
            assert "org_default" in error["message"]
        erased = (await client.post("/api/v1/erasures", json={"end_user": "1", "organization": acme})).json()
        assert (erased["requests"], erased["end_user"], erased["organization"]) == (1, "1", acme)
        log = (await client.get(f"/api/v1/organizations/{acme}/audit")).json()["data"]
        assert "usage.erase" in [each["action"] for each in log]
        left = (await client.post("/api/v1/erasures", json={"end_user": "1", "project": "proj_default"})).json()
        assert (left["requests"], left["project"]) == (1, "proj_default")
