"""All that is kept of a tenant: written to a file that other programs read, and erased, without anything of others."""

from __future__ import annotations

import json
import subprocess
import time
import zipfile
from functools import partial
from pathlib import Path

import msgspec
import pytest
from journal_process import make_record
from test_rated import rating
from test_reports import HOLDERS, put, tenants

from tests.fixtures.databases import execute, insert, rows
from weebill.accounts.audit import command_line
from weebill.auto.learning import Audited, Content, Decided, Pair, Report
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.end_users import SeveralOrganisationsError
from weebill.storage.opening import open_outcomes, open_responses
from weebill.storage.outcomes import OutcomeStore
from weebill.storage.rating_search import RatingSearch
from weebill.storage.responses import ResponseStore
from weebill.storage.tables.tenants import ORGANISATIONS
from weebill.storage.tenant_archive import archive
from weebill.storage.tenant_stores import Tenant, TenantKind, located, opened_stores
from weebill.storage.usage import StoredUsage
from weebill.storage.usage_erasure import Erased, erase
from weebill.storage.usage_totals import recent
from weebill.usage.records import Labels
from weebill.wire.responses_state import StoredResponse

ANN = Labels("ann", (("team", "x"),))
PAIR = Pair("s/small", "l/large", "place-1")
SECRET = "what only ann knows"


@pytest.fixture
def used(ledger: Database, home: Home, database_settings: DatabaseSettings) -> Database:
    """Two requests of each key, one of them for ann; ratings and audits of them, and of each key a rating of a request
    that is not there; stored answers of each key.
    """
    ledger.change(tenants)
    records = [
        msgspec.structs.replace(make_record(f"{key}-{who}"), key_id=key, labels=ANN if who == "ann" else None)
        for key in HOLDERS
        for who in ("ann", "nobody")
    ]
    insert(ledger, records)
    given = [
        *(rating(each.request_id, 0.25, each.key_id, comment=SECRET) for each in records),
        *(rating(f"{key}-none", 1, key, comment=SECRET) for key in HOLDERS),
    ]
    StoredUsage(ledger).change(lambda tables: tables.rate(given))
    assert RatingSearch(ledger, lambda: None).look() == len(records)
    with open_outcomes(home) as database:
        store = OutcomeStore(database)
        for each in records:
            name, at = each.request_id, 1
            decided = Decided(request_id=name, key_id=each.key_id, at=at, tier="small", features=b"\x00\x3c")
            content = Content(question=SECRET, small="a", large="b")
            audited = Audited(request_id=name, small=1.0, large=1.0, by="short", content=content)
            store.add(Report(pair=PAIR, decided=(decided,), audited=(audited,)))
            store.rate(name, each.key_id, 1.0, at, comment=SECRET, kept_for=("auto",))
    with open_responses(home, database_settings) as database:
        answers = ResponseStore(database)
        for key in HOLDERS:
            for number in range(25):
                name = f"resp_{key}_{number}"
                answers.put(key, StoredResponse(name, b'[{"id":"msg_1"}]', b'{"output":[]}'), time.time())
    return ledger


def found(ledger: Database, tenant: Tenant) -> Tenant:
    located_tenant = ledger.read(partial(located, tenant=tenant))
    assert located_tenant is not None
    return located_tenant


def written(
    ledger: Database, home: Home, settings: DatabaseSettings, tenant: Tenant, folder: Path
) -> dict[str, list[dict[str, object]]]:
    """What another program makes of the file, by the name of the member."""
    file = folder / f"{tenant.id}-{tenant.organisation}.zip"
    with opened_stores(ledger, home, settings) as stores:
        file.write_bytes(b"".join(archive(stores, tenant)))
    subprocess.run(["unzip", "-tq", file], check=True, stdout=subprocess.DEVNULL)
    members = {}
    with zipfile.ZipFile(file) as packed:
        for name in packed.namelist():
            lines = packed.read(name).decode()
            members[name] = (
                [json.loads(lines)] if name == "manifest.json" else list(map(json.loads, lines.splitlines()))
            )
    return members


def gone(
    ledger: Database, home: Home, settings: DatabaseSettings, kind: TenantKind, name: str
) -> tuple[int, int, int, int]:
    """The numbers of requests, ratings, answers and outcomes that are erased."""
    erased = Erased()
    with opened_stores(ledger, home, settings) as stores:
        erase(stores, found(ledger, Tenant(kind, name)), command_line(), lambda: None, erased)
    return erased.requests, erased.ratings, erased.answers, erased.outcomes


def rated(ledger: Database) -> dict[str, set[str]]:
    """The requests whose ratings are kept with them, and those whose ratings wait."""
    with_them = "SELECT request_id FROM usage_ratings JOIN usage_entries ON usage_entries.id = entry"
    queries = {"found": with_them, "waiting": "SELECT request_id FROM usage_ratings_waiting"}
    return {name: {request for (request,) in rows(ledger, query)} for name, query in queries.items()}


def kept(ledger: Database) -> set[str]:
    return {entry.record.request_id for entry in ledger.read(partial(recent, limit=100))}


@pytest.mark.parametrize(
    ("kind", "name", "requests", "holders", "answers"),
    [
        (
            "organization",
            "org_a",
            {f"{key}-{who}" for key in ("key_0", "key_1") for who in ("ann", "nobody")},
            ["key_0", "key_1"],
            50,
        ),
        ("project", "proj_b", {"key_1-ann", "key_1-nobody"}, ["key_1"], 25),
        ("end_user", "ann", {f"{key}-ann" for key in HOLDERS}, [], 0),
    ],
)
def test_a_tenants_data_is_written_and_erased(
    used: Database, home: Home, database_settings: DatabaseSettings, tmp_path: Path,
    kind: TenantKind, name: str, requests: set[str], holders: list[str], answers: int,
) -> None:  # fmt: skip
    tenant = found(used, Tenant(kind, name))
    before, keys = kept(used), len(holders)
    members = written(used, home, database_settings, tenant, tmp_path)
    assert {each["request_id"] for each in members["requests.jsonl"]} == requests
    for each in members["requests.jsonl"]:
        assert (each["score"], each["rated_at"], each["rated_by"]) == (0.25, 1, each["key_id"])
        assert each["comment"] == SECRET
    assert len(members["feedback.jsonl"]) == 2 * len(requests)
    assert {each["request_id"] for each in members["feedback.jsonl"]} == requests
    assert len(members.get("keys.jsonl", [])) == keys
    assert len({each["id"] for each in members.get("responses.jsonl", [])}) == answers
    assert "digest" not in str(members.get("keys.jsonl", []))
    [manifest] = members["manifest.json"]
    assert manifest[kind] == name
    assert manifest["rows"] == {each: len(rows) for each, rows in members.items() if each != "manifest.json"}
    tags = [each["tags"] for each in members["requests.jsonl"] if each["end_user"] == "ann"]
    assert tags == [{"team": "x"}] * len({each for each in requests if each.endswith("ann")})

    ratings = rated(used)
    assert gone(used, home, database_settings, kind, name) == (
        len(requests), len(requests) + len(holders), answers, 2 * len(requests)
    )  # fmt: skip
    assert kept(used) == before - requests
    assert rated(used) == {
        "found": ratings["found"] - requests, "waiting": ratings["waiting"] - {f"{key}-none" for key in holders}
    }  # fmt: skip
    # Sums name nobody, and stay.
    sums = "SELECT sum(rated), sum(score_micro) FROM usage_sums WHERE hours = 24"
    assert [tuple(map(int, row)) for row in rows(used, sums)] == [(6, 1_500_000)]
    empty = written(used, home, database_settings, tenant, tmp_path)
    assert {each: rows for each, rows in empty.items() if each.endswith(".jsonl") and each != "keys.jsonl"} == {
        each: [] for each in members if each.endswith(".jsonl") and each != "keys.jsonl"
    }
    others = 2 * (len(before) - len(requests))
    with open_outcomes(home) as outcomes:
        assert rows(outcomes, "SELECT count(*) FROM outcomes") == [(others,)]
        assert rows(outcomes, "SELECT count(*) FROM contents") == [(others,)]
        assert rows(outcomes, "SELECT count(*) FROM decisions") == [(others // 2,)]
    assert gone(used, home, database_settings, kind, name) == (0, 0, 0, 0)
    logged = rows(used, "SELECT target, organisation_id FROM audit_log WHERE action = 'usage.erase'")
    target = "an end user" if kind == "end_user" else name
    # An end user of whom nothing is left is no organisation's.
    assert logged == [(target, "org_a"), (target, None if kind == "end_user" else "org_a")]


def test_an_end_user_is_one_of_an_organisations_or_of_a_projects(
    used: Database, home: Home, database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    used.change(partial(put, table=ORGANISATIONS, id="org_b", name="B", created_at=1, changed_in=1))
    execute(used, "UPDATE projects SET organisation_id = 'org_b' WHERE id = 'proj_b'")  # of key_1
    ann = Tenant("end_user", "ann")
    with pytest.raises(SeveralOrganisationsError) as several:
        found(used, ann)
    assert several.value.said == "org_a (A), org_b (B)"
    assert used.read(partial(located, tenant=ann._replace(organisation="org_c"))) is None
    assert used.read(partial(located, tenant=ann._replace(project="proj_c"))) is None

    of_a, of_b = found(used, ann._replace(organisation="org_a")), found(used, ann._replace(project="proj_b"))
    for tenant, request in ((of_a, "key_0-ann"), (of_b, "key_1-ann")):
        members = written(used, home, database_settings, tenant, tmp_path)
        assert {each["request_id"] for each in members["requests.jsonl"]} == {request}
        assert {each["request_id"] for each in members["feedback.jsonl"]} == {request}
        assert members["manifest.json"][0]["organization"] == tenant.organisation

    before = kept(used)
    erased = Erased()
    with opened_stores(used, home, database_settings) as stores:
        erase(stores, of_b, command_line(), lambda: None, erased)
    assert (erased.requests, erased.ratings, erased.outcomes) == (1, 1, 2)
    assert kept(used) == before - {"key_1-ann"}
    left = "FROM usage_label_series AS label JOIN usage_series AS series ON series.id = label.series"
    assert sorted(rows(used, f"SELECT key_id {left} WHERE name = 'end_user'")) == [("key_0",), ("key_2",)]
    assert rows(used, "SELECT organisation_id FROM audit_log WHERE action = 'usage.erase'") == [("org_b",)]
    assert gone(used, home, database_settings, "end_user", "ann") == (2, 2, 0, 4)  # which one organisation has now


def test_an_erasure_that_is_broken_off_is_taken_up_again(
    used: Database, home: Home, database_settings: DatabaseSettings
) -> None:
    class EnoughError(Exception):
        pass

    def stop() -> None:
        raise EnoughError

    erased = Erased()
    with opened_stores(used, home, database_settings) as stores, pytest.raises(EnoughError):
        erase(stores, Tenant("organization", "org_a"), command_line(), stop, erased)
    assert (erased.answers, len(kept(used))) == (0, 2)
    again = gone(used, home, database_settings, "organization", "org_a")
    assert (again[0], again[1], again[2]) == (0, 2, 50)  # the ratings that waited
    assert rated(used)["found"] == {"key_2-ann", "key_2-nobody"}


def test_a_machine_that_has_learnt_nothing_has_no_file_of_it_afterwards(
    ledger: Database, home: Home, database_settings: DatabaseSettings
) -> None:
    ledger.change(tenants)
    assert gone(ledger, home, database_settings, "project", "proj_a") == (0, 0, 0, 0)
    assert not home.lessons.exists()
