"""`weebill orgs`, `members`, `projects`, `users`, `service-accounts` and `audit`."""

import json
import sqlite3
from contextlib import closing


def test_a_laptop_does_not_see_the_word(weebill):
    weebill.ok("keys", "create", "plain")
    for arguments in (("keys", "list"), ("keys", "show", "plain"), ("keys", "create", "other")):
        assert "project" not in weebill.ok(*arguments).lower()


def test_tenants_from_the_command_line(weebill):
    user = weebill.ok("users", "create", "Ada@Example.com", "--name", "Ada", "-q").strip()
    org = weebill.ok("orgs", "create", "Acme", "--owner", "ada@example.com", "-q").strip()
    project = weebill.ok("projects", "create", "web", "--org", "Acme", "-q").strip()
    account = weebill.ok("service-accounts", "create", "ci", "--project", "web", "--role", "viewer", "-q").strip()
    assert weebill.ok("orgs", "list", "-q").split() == ["org_default", org]
    assert weebill.ok("projects", "list", "--org", org, "-q").strip() == project
    assert "ada@example.com   Ada    owner" in weebill.ok("members", "list", "--org", "Acme")
    assert json.loads(weebill.ok("users", "show", user, "--json"))["roles"] == {org: "owner"}
    assert f"owner of {org}" in weebill.ok("users", "show", "ada@example.com")

    weebill.ok("keys", "create", "held", "--project", "web", "--service-account", "ci")
    held = json.loads(weebill.ok("keys", "show", "held", "--json"))
    assert (held["project_id"], held["service_account_id"]) == (project, account)
    assert "PROJECT" in weebill.ok("keys", "list")
    assert weebill.ok("keys", "list", "--project", "web", "-q").strip() == held["id"]
    assert account in weebill.ok("keys", "show", "held")

    weebill.ok("users", "create", "bob@example.com")
    weebill.ok("members", "add", "bob@example.com", "--org", "Acme", "--role", "billing")
    assert "is owner" in weebill.ok("members", "set", "bob@example.com", "--org", "Acme", "--role", "owner")
    weebill.ok("members", "remove", "ada@example.com", "--org", "Acme")
    assert "only owner" in weebill.fails(1, "members", "remove", "bob@example.com", "--org", "Acme")

    assert "Renamed" in weebill.ok("projects", "rename", "web", "shop")
    assert "Changed" in weebill.ok("service-accounts", "set", "ci", "--project", "shop", "--role", "admin")
    for group, name, shut, let in (
        ("orgs", "Acme", "archive", "restore"),
        ("projects", "shop", "archive", "restore"),
        ("users", "ada@example.com", "disable", "enable"),
    ):
        weebill.ok(group, shut, name)
        assert name not in weebill.ok(group, "list")
        assert f"{shut}d" in weebill.ok(group, "list", "--all")
        weebill.ok(group, let, name)
    weebill.ok("service-accounts", "disable", "ci", "--project", "shop")
    assert weebill.ok("service-accounts", "list", "--project", "shop", "-q") == ""
    assert "project_id" in weebill.ok("service-accounts", "list", "--project", "shop", "--all", "--json")


def test_what_is_wrong_says_so(weebill):
    for code, arguments, why in (
        (1, ("orgs", "show", "nobody"), "There is no organisation 'nobody'"),
        (1, ("projects", "archive", "Default"), "it is not archived"),
        (2, ("users", "create", "nobody"), "'nobody' is no e-mail address"),
        (2, ("service-accounts", "create", "ci", "--role", "boss"), "'boss' is no role"),
        (1, ("members", "add", "nobody@example.com"), "There is no user 'nobody@example.com'"),
        (1, ("keys", "create", "a", "--project", "nope"), "There is no project 'nope'"),
        (1, ("keys", "create", "a", "--service-account", "svc_0"), "There is no service account"),
        (2, ("service-accounts", "set", "svc_0"), "nothing is to be changed"),
        (2, ("orgs", "delete", "Acme"), "has no command `delete`"),
        (2, ("audit", "verify", "--noted", "1:x"), "--noted: '1:x' is no row and its hash"),
    ):
        assert why in weebill.fails(code, *arguments), arguments


def test_the_log_is_listed_and_checked(weebill):
    weebill.ok("keys", "create", "a")
    weebill.ok("orgs", "create", "Acme")
    listed = json.loads(weebill.ok("audit", "list", "--json"))
    assert [row["action"] for row in listed] == ["organization.created", "key.created"]
    assert listed[0]["author"]["kind"] == "command_line"
    assert [row["id"] for row in json.loads(weebill.ok("audit", "list", "--org", "Acme", "--json"))] == [2]
    assert "(command line)" in weebill.ok("audit", "list", "--limit", "1")
    noted = weebill.ok("audit", "verify", "-q").strip()
    assert noted == f"2:{listed[0]['hash']}"
    weebill.ok("keys", "revoke", "a")
    assert "All 3 rows" in weebill.ok("audit", "verify", "--noted", noted)
    with closing(sqlite3.connect(weebill.home.database)) as connection, connection:
        connection.execute("UPDATE audit_log SET author_name = 'somebody else' WHERE id = 2")
    assert "row 2 was changed" in weebill.fails(1, "audit", "verify")
