"""`weebill keys`: scopes, rotation and use so far."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime

import pytest
from msgspec import structs

from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import RECORD, write
from weebill.accounts.scopes import ScopeChanges
from weebill.cli import times
from weebill.cli.errors import CommandError
from weebill.storage.keys import open_keys
from weebill.storage.opening import open_ledger
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester

NO_SCOPES = {
    "expires_at": None, "networks": [], "models": [], "endpoints": [], "local_only": False, "preferences": {},
}  # fmt: skip


def scopes(weebill, name):
    shown = json.loads(weebill.ok("keys", "show", name, "--json"))
    return {field: shown[field] for field in NO_SCOPES}


def test_a_key_is_made_with_scopes_and_changed(weebill):
    weebill.ok("keys", "create", "plain")
    assert scopes(weebill, "plain") == NO_SCOPES
    options = ("--model", "mini", "--model", "gpt-*", "--endpoint", "embeddings", "--network", "10.0.0.0/8")
    weebill.ok("keys", "create", "ci", *options, "--local-only", "--expires", "30d", "--prefer", '{"sort":"price"}')
    made = scopes(weebill, "ci")
    assert abs(made.pop("expires_at") - time.time() - 30 * 86_400) < 7200  # summer time may begin or end
    assert made == {
        "networks": ["10.0.0.0/8"], "models": ["mini", "gpt-*"], "endpoints": ["embeddings"], "local_only": True,
        "preferences": {"sort": "price"},
    }  # fmt: skip
    weebill.ok("keys", "set", "ci", "--model", "large")
    assert scopes(weebill, "ci")["models"] == ["large"]
    assert scopes(weebill, "ci")["endpoints"] == ["embeddings"]
    cleared = ("--all-models", "--all-endpoints", "--all-networks", "--not-local-only", "--prefer", "{}")
    weebill.ok("keys", "set", "ci", *cleared, "--expires", "never")
    assert scopes(weebill, "ci") == NO_SCOPES


WRONG = [
    (("create", "a", "--expires", "soon"), "--expires: 'soon' is no time"),
    (("create", "a", "--expires", "2001-01-31"), "--expires: A key expires in the future"),
    (("create", "a", "--expires", "999999w"), "--expires"),
    (("create", "a", "--network", "10.0.0.1/8"), "--network: '10.0.0.1/8' is no network"),
    (("create", "a", "--endpoint", "chat"), "--endpoint: 'chat' is no endpoint; there are chat.completions"),
    (("create", "a", "--model", ""), "--model"),
    (("create", "a", "--prefer", "price"), "--prefer"),
    (("create", "a", "--prefer", '{"sort":"beauty"}'), "--prefer: Invalid value for 'preferences.sort'"),
    (("create", "a", "--admin", "--model", "mini"), "--model: An admin key"),
    (("set", "ci"), "nothing is to be changed"),
    (("set", "ci", "--network", "there"), "--network"),
    (("rotate", "ci", "--overlap", "long"), "--overlap: 'long' is no time span"),
    (("rotate", "ci", "--overlap", "5000d"), "--overlap: The overlap is"),
]


def test_wrong_options_are_named(weebill):
    weebill.ok("keys", "create", "ci")
    for arguments, said in WRONG:
        assert said in weebill.fails(2, "keys", *arguments), arguments
    assert len(weebill.ok("keys", "list", "-q").split()) == 1
    assert scopes(weebill, "ci") == NO_SCOPES
    for command in (("show",), ("set", "--local-only"), ("rotate",)):
        assert "There is no key 'carol'" in weebill.fails(1, "keys", *command, "carol")


def test_a_key_is_rotated(weebill):
    first = weebill.ok("keys", "create", "ci", "-q").strip()
    said = weebill.ok("keys", "rotate", "ci")
    second = re.search(r"sk-wb-\S+", said)[0]
    assert second != first
    assert "old secret is valid until" in said
    shown = json.loads(weebill.ok("keys", "show", "ci", "--json"))
    assert abs(shown["previous_until"] - time.time() - 86_400) < 60
    third = weebill.ok("keys", "rotate", shown["id"], "--overlap", "0", "--quiet").strip()
    assert third.startswith("sk-wb-")
    assert "The old secret ends now" in weebill.ok("keys", "rotate", "ci", "--overlap", "0")
    weebill.ok("keys", "revoke", "ci")
    assert "is revoked for good" in weebill.fails(1, "keys", "rotate", "ci")


def test_what_has_become_of_a_key_is_shown(weebill):
    with open_keys(weebill.home, SQLITE) as keys:
        used = keys.create("used", scopes=ScopeChanges(models=("mini", "gpt-*"))).key
        keys.create("brief", scopes=ScopeChanges(expires_at=int(time.time()) + 100_000))
        over = keys.create("over", scopes=ScopeChanges(expires_at=int(time.time()) + 1)).key
        keys.revoke(keys.create("gone").key.id)
    write(weebill.home, [structs.replace(RECORD, key_id=used.id, cost_nano=1_500_000_000)] * 2)
    with open_ledger(weebill.home, SQLITE) as ledger:
        Ingester(StoredUsage(ledger), weebill.home.journal).run()
    while time.time() < over.expires_at:
        time.sleep(0.05)
    lines = {line.split()[1]: line for line in weebill.ok("keys", "list", "--all").splitlines()[1:]}
    assert re.search(r"2025-11-1\d \d\d:\d\d +2 +\$3\.0000 +active", lines["used"])
    assert re.search(r"- +0 +\$0\.0000 +expires 20", lines["brief"])
    assert "expired 20" in lines["over"]
    assert "revoked 20" in lines["gone"]
    shown = weebill.ok("keys", "show", "used")
    assert re.search(r"^models +mini, gpt-\*$", shown, re.M)
    assert re.search(r"^endpoints +all$", shown, re.M)
    assert re.search(r"^tokens +20 read, 8 of them cached; 6 written$", shown, re.M)
    assert "expired 20" in weebill.ok("keys", "show", "over")
    listed = json.loads(weebill.ok("keys", "list", "--json"))
    assert [(each["name"], each["status"]) for each in listed] == [
        ("used", "active"), ("brief", "active"), ("over", "expired"),
    ]  # fmt: skip
    assert listed[0]["usage"]["requests"] == 2


def local(text):
    return int(datetime.fromisoformat(text).astimezone().timestamp())


MOMENTS = [
    ("90s", 90),
    ("15m", 900),
    ("12h", 43_200),
    ("30d", 2_592_000),
    ("2w", 1_209_600),
    (" 1D ", 86_400),
    ("0", 0),
]


@pytest.mark.parametrize(("text", "seconds"), MOMENTS)
def test_time_spans(text, seconds):
    assert times.span_s(text, "--overlap") == seconds
    assert times.moment(text, 1_000_000.0, "--expires") == 1_000_000 + seconds


def test_days_and_times_are_those_of_this_machine():
    assert times.moment("2027-01-31", 0.0, "--expires") == local("2027-01-31T00:00:00")
    assert times.moment("2027-01-31T12:30", 0.0, "--expires") == local("2027-01-31T12:30:00")
    assert times.moment("2027-01-31T12:30:00+00:00", 0.0, "--expires") == 1_801_398_600


@pytest.mark.parametrize("text", ["", "d", "-1d", "1.5d", "1y", "2027-13-01", "31.01.2027", "never"])
def test_no_times(text):
    with pytest.raises(CommandError, match="--expires"):
        times.moment(text, 0.0, "--expires")
    with pytest.raises(CommandError, match="--overlap"):
        times.span_s(text, "--overlap")


def test_a_route_is_explained_as_it_is_for_a_key(weebill, tmp_path):
    acme = '[providers.acme]\nbase_url = "http://127.0.0.1:1/v1"\napi_key = "k"\nmodels = ["far", "both"]\n'
    here = '[providers.here]\nbase_url = "http://127.0.0.1:1/v1"\napi_key = "k"\nmodels = ["both"]\nlocal = true\n'
    (weebill.home.root / "weebill.toml").write_text(f"[local]\nmodels = []\n{acme}{here}")
    weebill.ok("keys", "create", "mine", "--model", "both", "--local-only")
    request = tmp_path / "request.json"

    def explain(command, model, key):
        request.write_text(json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}))
        return command("route", "explain", str(request), "--key", key, "--json")

    assert json.loads(explain(weebill.ok, "far", "another"))["choices"][0]["deployment"] == "acme/far"
    plan = json.loads(explain(weebill.ok, "both", "mine"))
    assert [each["deployment"] for each in plan["choices"]] == ["here/both"]
    assert [each["param"] for each in plan["removed"]] == ["provider.local_only"]
    refused = explain(lambda *arguments: weebill.fails(1, *arguments), "far", "mine")
    assert "403: The API key 'mine' may not use the model 'far'" in refused
