"""`--json`: every command that shows, checks or makes something has it, and prints one value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain

import pytest
from typer._click.core import Command
from typer.core import TyperGroup

from tests.cli.conftest import CommandLine
from weebill.cli.app import command

# Commands without, by why.
WITHOUT = {
    "serves or chats until it is ended": ("serve", "run"),
    "has a format of its own": (
        *("config show", "config path", "auto export", "usage export", "usage export-tenant"),
        *("router train", "router distil"),
    ),
    "says in a sentence that it is done": (
        *("pull", "create", "cp", "rm", "stop", "reload", "config check", "secrets rotate"),
        *("keys set", "keys revoke", "limits release", "limits remove", "usage erase"),
        *("credits refund", "credits stop", "credits rate", "experiment promote", "experiment rollback"),
        *("providers key test", "providers key disable", "providers key enable", "providers key remove"),
        *("adapters load", "adapters unload", "db upgrade", "db restore", "db rekey"),
        *("orgs rename", "orgs archive", "orgs restore", "projects rename", "projects archive", "projects restore"),
        *("users rename", "users disable", "users enable", "users withdraw", "users sign-out"),
        *("service-accounts set", "service-accounts disable", "service-accounts enable"),
        *("members add", "members set", "members remove"),
    ),
}
# On a new installation with the key `ci`, where nothing runs: what each takes besides, by the kind of what it prints.
PRINTED: dict[type, tuple[str, ...]] = {
    dict: (
        *("version", "db info", "audit verify", "credits verify", "credits show", "credits alert", "keys show ci"),
        *(
            "keys create other",
            "keys rotate ci",
            "orgs create Acme",
            "projects create Web",
            "users create a@example.com",
        ),
        *("service-accounts create bot", "limits set ci requests 60", "credits grant 5", "credits adjust 1"),
        *("users link", "orgs show Default", "projects show Default", "db backup b.db"),
    ),
    list: (
        *("list", "list --known", "keys list", "orgs list", "projects list", "users list", "service-accounts list"),
        *("members list", "users invitations", "limits list", "limits machines", "credits rates"),
        *("credits statement", "experiment list", "providers list", "providers key list", "usage", "usage report"),
        *("usage --by key", "usage retention", "audit list", "models list"),
    ),
}


def verbs(at: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Yields each command with the options it has."""
    if isinstance(at, TyperGroup):
        for name, below in at.commands.items():
            if not below.hidden:
                yield from verbs(below, (*path, name))
    else:
        yield " ".join(path), {option for each in at.params for option in each.opts}


def test_every_command_that_shows_something_has_it() -> None:
    without = {name for name, options in verbs(command()) if "--json" not in options}
    assert without == set(chain.from_iterable(WITHOUT.values()))


@pytest.mark.parametrize("kind", PRINTED)
def test_one_value_is_printed(weebill: CommandLine, monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    monkeypatch.chdir(weebill.home.root)
    weebill.ok("keys", "create", "ci")
    for words in PRINTED[kind]:
        said = weebill.ok(*words.split(), "--json")
        assert isinstance(json.loads(said), kind), words


def test_what_is_made_is_told_with_what_is_shown_only_now(weebill: CommandLine) -> None:
    made = json.loads(weebill.ok("keys", "create", "ci", "--json"))
    assert made["secret"].startswith("sk-")
    assert made["key"]["id"] == json.loads(weebill.ok("keys", "show", "ci", "--json"))["id"]
    rotated = json.loads(weebill.ok("keys", "rotate", "ci", "--json"))
    assert rotated["secret"] not in ("", made["secret"])
    limit = json.loads(weebill.ok("limits", "set", "ci", "spend", "2.50", "--json"))
    assert limit == json.loads(weebill.ok("limits", "show", str(limit["id"]), "--json"))
    head = json.loads(weebill.ok("audit", "verify", "--json"))
    assert weebill.ok("audit", "verify", "--quiet").strip() == f"{head['rows']}:{head['head']}"
    assert json.loads(weebill.ok("credits", "grant", "5", "--json"))["amount_nano"] == 5_000_000_000
    assert [each["kind"] for each in json.loads(weebill.ok("credits", "statement", "--json"))] == ["grant"]


def test_a_statement_has_one_format(weebill: CommandLine) -> None:
    assert "--json" in weebill.fails(2, "credits", "statement", "--json", "--format", "csv")
