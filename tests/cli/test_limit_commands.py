"""`weebill limits`: set, listed, shown and removed."""

from __future__ import annotations

import json
import sqlite3

import pytest


@pytest.fixture(autouse=True)
def key(weebill):
    weebill.ok("keys", "create", "ci")


def listed(weebill, *arguments):
    return json.loads(weebill.ok("limits", "list", "--json", *arguments))


def test_limits_are_set_listed_and_removed(weebill):
    assert "60 requests per minute of key key_" in weebill.ok("limits", "set", "ci", "requests", "60")
    weebill.ok("limits", "set", "ci", "spend", "2.50", "--per", "month", "--model", "gpt-*")
    weebill.ok("limits", "set", "proj_default", "concurrent", "8")
    found = [(each["level"], each["measure"], each["window"], each["amount"]) for each in listed(weebill)]
    assert found == [
        ("key", "requests", "minute", 60),
        ("key", "spend", "month", 2_500_000_000),
        ("project", "concurrent", "none", 8),
    ]
    assert [each["model"] for each in listed(weebill, "ci")] == [None, "gpt-*"]
    assert "$2.50 per month" in weebill.ok("limits", "list")
    shown = weebill.ok("limits", "show", "2")
    assert "left      $2.50" in shown
    assert "removed" in weebill.ok("limits", "remove", "1").lower()
    assert [each["id"] for each in listed(weebill)] == [2, 3]


def test_a_limit_of_the_same_kind_gets_the_new_amount(weebill):
    weebill.ok("limits", "set", "ci", "requests", "60")
    weebill.ok("limits", "set", "ci", "requests", "70")
    weebill.ok("limits", "set", "ci", "requests", "1000", "--per", "day")
    assert [(each["id"], each["amount"]) for each in listed(weebill)] == [(1, 70), (2, 1000)]


def test_a_removed_limit_may_be_set_again_as_another_one(weebill):
    weebill.ok("limits", "set", "ci", "requests", "60")
    weebill.ok("limits", "remove", "1")
    weebill.ok("limits", "set", "ci", "requests", "60")
    assert [each["id"] for each in listed(weebill)] == [2]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("ci", "tea", "1"), 2, "'tea' cannot be limited"),
        (("ci", "spend", "0.0000000001"), 2, "no amount of dollars"),
        (("ci", "spend", "much"), 2, "no amount of dollars"),
        (("ci", "requests", "1.5"), 2, "no whole number"),
        (("ci", "requests", "99999999999999999999"), 2, "whole number from 0"),
        (("ci", "concurrent", "1", "--per", "day"), 2, "--per"),
        (("nobody", "requests", "1"), 1, "nobody with the id or name"),
    ],
    ids=["measure", "too-fine", "no-number", "no-whole", "too-great", "window", "nobody"],
)
def test_what_cannot_be_set_is_said(weebill, arguments, code, said):
    assert said in weebill.fails(code, "limits", "set", *arguments)


def test_there_are_no_more_than_records_can_name(weebill):
    for number in range(10):
        weebill.ok("limits", "set", "ci", "requests", "60", "--model", f"model-{number}")
    assert "may have no more" in weebill.fails(2, "limits", "set", "ci", "requests", "60")


def test_what_a_lost_machine_holds_is_shown_and_released(weebill):
    assert "No machine holds" in weebill.ok("limits", "machines")
    assert "No machine 'gone-1' holds anything" in weebill.fails(1, "limits", "release", "gone-1")
    weebill.ok("limits", "set", "ci", "spend", "5")
    with sqlite3.connect(weebill.home.database) as ledger:
        ledger.execute("INSERT INTO leases VALUES (1, 0, 'w1', 3000000000, 1000000000, 1)")
        ledger.execute("INSERT INTO borrowers VALUES ('w1', 'gone-1', strftime('%s') + 600, NULL, '')")
    shown = weebill.ok("limits", "machines")
    assert "gone-1" in shown
    assert "$2.00" in shown
    assert "was heard of" in weebill.fails(1, "limits", "release", "gone-1")
    with sqlite3.connect(weebill.home.database) as ledger:
        ledger.execute("UPDATE borrowers SET heard_at = heard_at - 1000")
    [machine] = json.loads(weebill.ok("limits", "machines", "--json"))
    assert (machine["silent"], machine["held_silently"]) == (1, {"spend": 2_000_000_000})
    assert "Released what 1 workers of gone-1 held: $2.00" in weebill.ok("limits", "release", "gone-1")
    assert [each["reserved"] for each in listed(weebill)] == [0]
    assert "limit.released" in weebill.ok("audit", "list")
