"""`weebill users link`, `invite`, `invitations`, `withdraw`, `sessions` and `sign-out`."""

from __future__ import annotations

import json
import re

from tests.fixtures.ledger import SQLITE
from weebill.accounts.sessions import Lifetimes, Visitor
from weebill.storage.sign_in import open_sign_ins

LINK = re.compile(r"http://127\.0\.0\.1:8080/\?token=([\w-]{43})\n")
VISITOR = Visitor("192.0.2.1", "Mozilla/5.0")


def opened(weebill, token):
    with open_sign_ins(weebill.home, SQLITE) as sign_ins:
        return sign_ins.open_by_link(token, VISITOR, Lifetimes(3600, 7200))


def test_the_owner_is_let_in_and_out(weebill):
    first = LINK.search(weebill.ok("users", "link"))
    second = LINK.search(weebill.ok("users", "link", "--quiet"))
    assert first is not None
    assert second is not None
    assert [opened(weebill, found[1]) is None for found in (first, first, second)] == [False, True, False]
    shown = json.loads(weebill.ok("users", "sessions", "owner@localhost", "--json"))
    assert {(each["address"], each["agent"], each["means"]) for each in shown} == {(*VISITOR, "link")}
    assert shown[0]["id"] in weebill.ok("users", "sessions", "owner@localhost")
    one = weebill.ok("users", "sign-out", "owner@localhost", "--session", shown[0]["id"])
    assert one == "Ended 1 session of owner@localhost\n"
    assert "has no session" in weebill.fails(1, "users", "sign-out", "owner@localhost", "--session", shown[0]["id"])
    assert "Ended 1 session" in weebill.ok("users", "sign-out", "owner@localhost")
    assert "no session" in weebill.ok("users", "sessions", "owner@localhost")
    assert "token" not in weebill.ok("audit", "list", "--json")


def test_a_user_is_let_in(weebill):
    weebill.ok("users", "create", "ada@example.com")
    found = LINK.search(weebill.ok("users", "link", "Ada@Example.com"))
    assert found is not None
    session = opened(weebill, found[1])
    assert session is not None
    assert session.user.email == "ada@example.com"
    weebill.ok("users", "disable", "ada@example.com")
    assert "is disabled" in weebill.fails(1, "users", "link", "ada@example.com")
    assert "no user bob@example.com" in weebill.fails(1, "users", "link", "bob@example.com")
    assert "no e-mail address" in weebill.fails(2, "users", "link", "bob")


def test_somebody_is_invited(weebill):
    open_to = {"WEEBILL_ACCOUNTS_SIGN_UP": "invitation"}
    assert "invitations are off" in weebill.fails(1, "users", "invite", "bob@example.com")
    weebill.ok("orgs", "create", "Acme")
    link = weebill.ok("users", "invite", "Bob@Example.com", "--org", "Acme", "--role", "viewer", "--quiet", **open_to)
    assert re.fullmatch(r"http://127\.0\.0\.1:8080/join\?token=[\w-]{43}\n", link)
    said = weebill.ok("users", "invite", "eve@example.com", "--org", "Acme", **open_to)
    assert "Lets eve@example.com join Acme as member, once, within seven days" in said
    assert "There are none" in weebill.ok("users", "invitations")
    shown = json.loads(weebill.ok("users", "invitations", "--org", "Acme", "--json"))
    assert [(each["email"], each["role"]) for each in shown] == [
        ("bob@example.com", "viewer"),
        ("eve@example.com", "member"),
    ]
    assert shown[0]["id"] in weebill.ok("users", "invitations", "--org", "Acme")
    assert "no invitation" in weebill.fails(1, "users", "withdraw", shown[0]["id"])
    gone = weebill.ok("users", "withdraw", shown[0]["id"], "--org", "Acme")
    assert gone == f"Withdrew the invitation of bob@example.com ({shown[0]['id']})\n"
    assert weebill.ok("users", "invitations", "--org", "Acme", "--quiet") == f"{shown[1]['id']}\n"
    assert "is no role" in weebill.fails(2, "users", "invite", "x@y.example", "--role", "boss", **open_to)
    assert "token" not in weebill.ok("audit", "list", "--json")
