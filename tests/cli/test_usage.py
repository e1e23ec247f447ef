"""`weebill usage`: reports for people and programs, and exports that other programs read."""

from __future__ import annotations

import csv
import io
import json
import time
import zipfile
from datetime import UTC, datetime

import msgspec
import pytest
from pyarrow import parquet

from tests.fixtures.databases import insert
from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import RECORD
from weebill.storage.opening import open_ledger
from weebill.storage.rating_search import RatingSearch
from weebill.storage.usage import StoredUsage
from weebill.usage.records import Labels, Rating

NOW_US = int(time.time()) * 1_000_000
SINCE = ("--since", "2d")
RECORDS = [
    msgspec.structs.replace(
        RECORD, request_id="a", started_at=NOW_US, cost_nano=2_500_000_000, labels=Labels("ann", (("team", "x, y"),))
    ),
    msgspec.structs.replace(
        RECORD, request_id="b", started_at=NOW_US, cost_nano=None, model_served="new", dropped='top_k,"x"\n'
    ),
    msgspec.structs.replace(RECORD, request_id="c", started_at=NOW_US - 86_400_000_000, cost_nano=1_000_000),
]


@pytest.fixture
def used(weebill):
    with open_ledger(weebill.home, SQLITE) as ledger:
        insert(ledger, RECORDS)
    return weebill


def test_a_report_for_people(used):
    shown = used.ok("usage", "--by", "model", *SINCE)
    lines = shown.splitlines()
    assert lines[0].split()[:3] == ["model", "requests", "failed"]
    assert [line.split()[0] for line in lines[1:4]] == ["smollm2:135m", "new", "total"]
    assert "$2.5010" in lines[1]
    assert "█" * 16 in lines[1]
    assert "The price of 1 requests is not known" in shown
    days = used.ok("usage", *SINCE).splitlines()
    assert days[0].split()[0] == "day"
    assert len(days) in (4, 5)
    assert used.ok("usage", "report", *SINCE) == used.ok("usage", *SINCE)
    assert used.ok("usage", "--only", "model=other").startswith("No usage from ")


def test_a_report_for_programs(used):
    rows = json.loads(used.ok("usage", "--by", "end_user", *SINCE, "--json"))
    assert {row["group"]["end_user"]: row["requests"] for row in rows} == {"ann": 1, None: 2}
    table = list(csv.DictReader(io.StringIO(used.ok("usage", "--by", "tag:team", *SINCE, "--csv", "-"))))
    assert [(row["tag:team"], row["requests"]) for row in table] == [("", "2"), ("x, y", "1")]


def test_ratings_are_shown_and_nothing_where_nothing_is_rated(used, tmp_path):
    """Nothing is not 0, which is a score that clients give."""
    by_model = ("usage", "--by", "model", *SINCE)
    assert "score" not in used.ok(*by_model)
    assert {each["mean_score"] for each in json.loads(used.ok(*by_model, "--json"))} == {None}

    given = [
        Rating(request_id=name, key_id=RECORD.key_id, at=NOW_US, score_micro=score, comment=comment)
        for name, score, comment in (("a", 250_000, "=1+1"), ("b", 0, ""))
    ]
    with open_ledger(used.home, SQLITE) as ledger:
        StoredUsage(ledger).change(lambda tables: tables.rate(given))
        assert RatingSearch(ledger, lambda: None).look() == 2
        insert(ledger, [msgspec.structs.replace(RECORD, request_id="d", started_at=NOW_US, model_served="unrated")])

    shown = {line.split()[0]: line.split() for line in used.ok(*by_model).splitlines()}
    assert shown["model"][-2:] == ["rated", "score"]
    figures = {name: [each for each in line if not each.startswith("█")][-2:] for name, line in shown.items()}
    assert (figures["smollm2:135m"], figures["new"]) == (["1", "0.25"], ["1", "0.00"])
    assert (figures["unrated"], figures["total"]) == (["-", "-"], ["2", "0.12"])

    expected = {"smollm2:135m": (1, 0.25), "new": (1, 0.0), "unrated": (0, None)}
    found = json.loads(used.ok(*by_model, "--json"))
    assert {each["group"]["model"]: (each["rated"], each["mean_score"]) for each in found} == expected
    table = csv.DictReader(io.StringIO(used.ok(*by_model, "--bucket", "all", "--csv", "-")))
    assert {row["model"]: (row["rated"], row["mean_score"]) for row in table} == {
        "smollm2:135m": ("1", "0.25"), "new": ("1", "0.0"), "unrated": ("0", "")
    }  # fmt: skip
    file = tmp_path / "report.parquet"
    used.ok(*by_model, "--bucket", "all", "--parquet", str(file))
    found = parquet.read_table(file).to_pylist()
    assert {each["model"]: (each["rated"], each["mean_score"]) for each in found} == expected

    used.ok("usage", "export", *SINCE, "--parquet", str(tmp_path / "requests.parquet"))
    requests = {each["request_id"]: each for each in parquet.read_table(tmp_path / "requests.parquet").to_pylist()}
    at = datetime.fromtimestamp(NOW_US / 1_000_000, UTC)
    of_rating = ("score", "rated_at", "rated_by", "comment")
    assert [requests["a"][name] for name in of_rating] == [0.25, at, RECORD.key_id, "=1+1"]
    assert [requests["c"][name] for name in of_rating] == [None] * 4
    used.ok("usage", "export", *SINCE, "--csv", str(tmp_path / "requests.csv"))
    with (tmp_path / "requests.csv").open(newline="") as opened:
        requests = {row["request_id"]: row for row in csv.DictReader(opened)}
    assert [requests["a"][name] for name in of_rating] == ["0.25", at.isoformat(), RECORD.key_id, "'=1+1"]
    assert [requests["c"][name] for name in of_rating] == [""] * 4
    said = used.ok("usage", "erase", "--end-user", "ann", "--yes")
    assert said.startswith("Erased 1 requests, 1 ratings of them, 0 stored answers")


def test_requests_are_exported_as_csv_and_parquet(used, tmp_path):
    table = tmp_path / "requests.csv"
    assert used.ok("usage", "export", *SINCE, "--csv", str(table)) == f"Wrote 3 rows to {table}\n"
    with table.open(newline="") as opened:
        rows = {row["request_id"]: row for row in csv.DictReader(opened)}
    assert rows.keys() == {"a", "b", "c"}
    assert (rows["b"]["dropped"], rows["b"]["cost_nano"], rows["a"]["cost_nano"]) == ('top_k,"x"\n', "", "2500000000")
    assert datetime.fromisoformat(rows["a"]["started_at"]).timestamp() == NOW_US / 1_000_000
    assert json.loads(rows["a"]["tags"]) == {"team": "x, y"}
    assert table.stat().st_mode & 0o777 == 0o600
    columns = tmp_path / "requests.parquet"
    used.ok("usage", "export", *SINCE, "--parquet", str(columns))
    found = {row["request_id"]: row for row in parquet.read_table(columns).to_pylist()}
    assert found["b"]["cost_nano"] is None
    assert found["a"]["started_at"] == datetime.fromtimestamp(NOW_US / 1_000_000, UTC)
    assert (found["a"]["stream"], found["a"]["end_user"], found["c"]["end_user"]) == (True, "ann", None)
    for name in ("prompt_tokens", "total_us", "endpoint", "model_served"):
        assert {each[name] for each in found.values()} == {getattr(record, name) for record in RECORDS}
    only = tmp_path / "ann.csv"
    used.ok("usage", "export", *SINCE, "--only", "end_user=ann", "--only", "tag:team=x, y", "--csv", str(only))
    assert only.read_text().count("\n") == 2
    assert {each.name for each in tmp_path.iterdir()} >= {"requests.csv", "requests.parquet", "ann.csv"}
    assert not list(tmp_path.glob(".*.draft"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--since", "soon"), "--since"),
        (("--by", "colour"), "--by"),
        (("--bucket", "year"), "--bucket"),
        (("--timezone", "Mars"), "--timezone"),
        (("--only", "model"), "--only"),
        (("--only", "colour=red"), "--only"),
    ],
)
def test_what_cannot_be_reported_is_refused_by_its_option(used, options, said):
    assert f"error: {said}: " in used.fails(2, "usage", *options)


def test_an_export_needs_a_file(used):
    assert "--csv FILE or --parquet FILE" in used.fails(2, "usage", "export")
    assert "at once" in used.fails(2, "usage", "--csv", "a", "--parquet", "b")


def test_retention_is_set_and_shown(used):
    assert used.ok("usage", "retention").split() == ["project", "requests", "are", "all", "kept", "for", "good"]
    said = used.ok("usage", "retention", "--project", "proj_default", "--days", "30")
    assert said == "Requests of proj_default are kept for 30 days; sums stay\n"
    used.ok("usage", "retention", "--counts-only")
    assert json.loads(used.ok("usage", "retention", "--json")) == [
        {"project": None, "days": 0},
        {"project": "proj_default", "days": 30},
    ]
    assert "all others     not kept, only counted" in used.ok("usage", "retention")
    used.ok("usage", "retention", "--forever")
    assert len(json.loads(used.ok("usage", "retention", "--json"))) == 1
    assert "no project" in used.fails(1, "usage", "retention", "--project", "proj_x", "--days", "1")
    assert "one of" in used.fails(2, "usage", "retention", "--days", "1", "--forever")
    assert "--days" in used.fails(2, "usage", "retention", "--days", "0")


def test_what_is_kept_of_somebody_is_erased(used):
    counts = "Erased 1 requests, 0 ratings of them, 0 stored answers, 0 ratings and audits of `auto` of end user ann."
    assert counts in used.ok("usage", "erase", "--end-user", "ann", "--yes")
    rows = json.loads(used.ok("usage", "--by", "end_user", *SINCE, "--json"))
    assert [(row["group"], row["requests"]) for row in rows] == [({"end_user": None}, 3)]
    assert "for good. Delete them?" in used.on_terminal("usage", "erase", "--project", "Default", typed="n\n", code=1)
    said = used.fails(1, "usage", "erase", "--project", "proj_default")
    assert "All requests of project proj_default would be deleted for good" in said
    assert "`--yes`" in said
    said = used.ok("usage", "erase", "--project", "proj_default", "--yes")
    assert said.startswith("Erased 0 requests, 0 ratings of them, 0 stored answers")  # whose key nobody knows
    assert "- backups of the ledger" in said
    assert "one of" in used.fails(2, "usage", "erase")
    assert "one of" in used.fails(2, "usage", "erase", "--org", "org_default", "--project", "proj_default")
    assert "Erased 0 requests" in used.ok("usage", "erase", "--org", "Default", "--end-user", "ann", "--yes")
    assert "no organisation" in used.fails(1, "usage", "erase", "--org", "org_x")


def test_an_end_user_of_several_organisations_is_asked_about(weebill, tmp_path):
    weebill.ok("orgs", "create", "Acme")
    weebill.ok("projects", "create", "Shop", "--org", "Acme")
    weebill.ok("keys", "create", "a")
    weebill.ok("keys", "create", "b", "--project", "Shop")
    keys = [json.loads(weebill.ok("keys", "show", name, "--json"))["id"] for name in ("a", "b")]
    with open_ledger(weebill.home, SQLITE) as ledger:
        insert(ledger, [msgspec.structs.replace(RECORDS[0], request_id=key, key_id=key) for key in keys])
    for words in (("erase", "--yes"), ("export-tenant", "-o", str(tmp_path / "ann.zip"))):
        said = weebill.fails(2, "usage", *words, "--end-user", "ann")
        assert "(Acme)" in said
        assert "org_default" in said
    assert not (tmp_path / "ann.zip").exists()
    assert "Erased 1 requests" in weebill.ok("usage", "erase", "--end-user", "ann", "--project", "Shop", "--yes")
    said = weebill.ok("usage", "erase", "--end-user", "ann", "--yes")
    assert "Erased 1 requests" in said
    assert "of end user ann of org_default." in said


def test_what_is_kept_of_somebody_is_written(used, tmp_path):
    file = tmp_path / "ann.zip"
    said = used.ok("usage", "export-tenant", "--end-user", "ann", "-o", str(file))
    assert said.startswith("Wrote all that is kept of end user ann to ")
    with zipfile.ZipFile(file) as packed:
        [request] = [json.loads(line) for line in packed.read("requests.jsonl").splitlines()]
    assert request["end_user"] == "ann"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "is there already" in used.fails(2, "usage", "export-tenant", "--end-user", "ann", "-o", str(file))
