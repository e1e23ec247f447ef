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
from weebill.storage.rating_search import RatingSearch
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester
from weebill.usage.records import MICRO, Labels, Rating


@pytest.fixture
def used(home: Home, control: ControlProcess) -> None:
    """Two requests that are rated, one of them for ann, who left a comment."""
    write(home, [structs.replace(RECORD, labels=Labels("ann")), structs.replace(RECORD, request_id="req_2")])
    given = [rating(RECORD.request_id, 0.25, comment="Not so good."), rating("req_2", 1)]
    with open_ledger(home, SQLITE) as ledger:
        usage = StoredUsage(ledger)
        assert Ingester(usage, home.journal).run() == 2
        usage.change(lambda tables: tables.rate(given))
        assert RatingSearch(ledger, lambda: None).look() == 2


def rating(request_id: str, score: float, comment: str = "") -> Rating:
    return Rating(request_id=request_id, key_id="key_1", at=5, score_micro=round(score * MICRO), comment=comment)


async def test_somebodys_data_is_fetched_and_erased(control: ControlProcess, admin: str, used: None) -> None:
    async with control.client(admin) as client:
        answer = await client.get("/api/v1/export", params={"end_user": "ann"})
        assert answer.headers["content-type"] == "application/zip"
        assert answer.headers["content-disposition"] == 'attachment; filename="end_user-ann.zip"'
        with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
            [request] = map(json.loads, packed.read("requests.jsonl").splitlines())
        assert (request["end_user"], request["request_id"]) == ("ann", RECORD.request_id)
        assert [request[name] for name in ("score", "rated_at", "rated_by", "comment")] == [
            0.25, 5, "key_1", "Not so good."
        ]  # fmt: skip
        erased = (await client.post("/api/v1/erasures", json={"end_user": "ann"})).json()
        assert {name: erased[name] for name in ("requests", "ratings", "responses", "feedback", "done")} == {
            "requests": 1, "ratings": 1, "responses": 0, "feedback": 0, "done": True
        }  # fmt: skip
        assert any("ratings whose requests were not found" in each for each in erased["not_reached"])
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


async def test_a_report_has_ratings_and_null_where_nothing_is_rated(
    control: ControlProcess, home: Home, admin: str, used: None
) -> None:
    write(home, [structs.replace(RECORD, request_id="req_3", model_served="other")])
    with open_ledger(home, SQLITE) as ledger:
        assert Ingester(StoredUsage(ledger), home.journal).run() == 1
    asked = {"bucket": "all", "start": "2025-11-01", "end": "2025-12-01", "group_by": "model"}
    async with control.client(admin) as client:
        answer = await client.get("/api/v1/usage/report", params=asked)
    found = {each["group"]["model"]: (each["rated"], each["mean_score"]) for each in answer.json()["data"]}
    assert found == {RECORD.model_served: (2, 0.625), "other": (0, None)}


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
