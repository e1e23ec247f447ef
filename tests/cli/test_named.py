"""Organisations, projects, users and keys in commands: by their ids and by their names."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.fixtures.databases import insert
from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import RECORD
from weebill.storage.opening import open_ledger


@pytest.fixture(autouse=True)
def acme(weebill):
    weebill.ok("orgs", "create", "Acme")
    weebill.ok("projects", "create", "Shop", "--org", "Acme")
    weebill.ok("users", "create", "bob@example.com")


def id_of(weebill, *words):
    return json.loads(weebill.ok(*words, "--json"))["id"]


def test_limits_are_of_whoever_is_named(weebill):
    shop, acme = id_of(weebill, "projects", "show", "Shop"), id_of(weebill, "orgs", "show", "Acme")
    assert f"of project {shop}" in weebill.ok("limits", "set", "Shop", "requests", "60")
    assert f"of project {shop}" in weebill.ok("limits", "set", shop, "spend", "5")
    assert f"of organisation {acme}" in weebill.ok("limits", "set", "Acme", "requests", "60")
    assert "of user user_" in weebill.ok("limits", "set", "Bob@Example.com", "requests", "60")
    found = json.loads(weebill.ok("limits", "list", "Shop", "--json"))
    assert [(each["subject"], each["measure"]) for each in found] == [(shop, "requests"), (shop, "spend")]


def test_a_name_of_several_is_refused_with_their_ids(weebill):
    weebill.ok("keys", "create", "Acme")
    refused = weebill.fails(2, "limits", "set", "Acme", "requests", "60")
    assert id_of(weebill, "orgs", "show", "Acme") in refused
    assert id_of(weebill, "keys", "show", "Acme") in refused
    weebill("keys", "create", "Acme")  # which is warned of
    assert "2 active keys" in weebill.fails(1, "limits", "set", "Acme", "requests", "60")


def test_credits_are_of_the_organisation_that_is_named(weebill):
    acme = id_of(weebill, "orgs", "show", "Acme")
    assert acme in weebill.ok("credits", "grant", "5", "--org", "Acme")
    assert "$5.00" in weebill.ok("credits", "show", "--org", acme)
    for words in (("show",), ("statement",), ("stop", "hard"), ("alert", "--below", "1")):
        said = weebill.ok("credits", *words, "--org", "Acme")
        assert said == weebill.ok("credits", *words, "--org", acme)
        assert "Nobody" in weebill.fails(1, "credits", *words, "--org", "Nobody")


def test_what_is_kept_is_of_whoever_is_named(weebill, tmp_path):
    shop = id_of(weebill, "projects", "show", "Shop")
    weebill.ok("usage", "retention", "--project", "Shop", "--days", "3")
    assert json.loads(weebill.ok("usage", "retention", "--json")) == [{"project": shop, "days": 3}]
    assert f"of project {shop}" in weebill.ok("usage", "erase", "--project", "Shop", "--yes")
    assert "of organization org_" in weebill.ok("usage", "erase", "--org", "Acme", "--yes")
    assert shop in weebill.ok("usage", "export-tenant", "--project", "Shop", "-o", str(tmp_path / "shop.zip"))
    assert "Nowhere" in weebill.fails(1, "usage", "retention", "--project", "Nowhere", "--days", "3")


def test_usage_is_of_whoever_is_named(weebill):
    weebill.ok("keys", "create", "k", "--project", "Shop")
    weebill.ok("keys", "create", "other")
    shop = id_of(weebill, "projects", "show", "Shop")
    used = [
        msgspec.structs.replace(RECORD, request_id=name, key_id=id_of(weebill, "keys", "show", name))
        for name in ("k", "other")
    ]
    with open_ledger(weebill.home, SQLITE) as ledger:
        insert(ledger, used)
    since = ("--since", "2025-01-01", "--bucket", "all", "--json")
    for only in ("organization=Acme", "project=Shop", f"project={shop}"):
        assert json.loads(weebill.ok("usage", "--only", only, *since))[0]["requests"] == 1
        exported = weebill.ok("usage", "export", "--only", only, "--since", "2025-01-01", "--csv", "-")
        assert len(exported.splitlines()) == 2
    assert "Nowhere" in weebill.fails(1, "usage", "--only", "organization=Nowhere")
    assert json.loads(weebill.ok("usage", "--only", "user=Bob@example.com", *since)) == []
    assert json.loads(weebill.ok("usage", "--only", "organization=org_gone", *since)) == []
