"""`weebill experiment`, as a person uses it."""

import json
from pathlib import Path

import msgspec
import pytest

from tests.cli.conftest import CommandLine
from tests.fixtures.databases import insert
from tests.fixtures.ledger import SQLITE
from weebill.storage.opening import open_ledger
from weebill.usage.records import UsageRecord

CONFIG = """
[providers.acme]
base_url = "http://127.0.0.1:9/v1"
models = ["acme-small", "acme-large"]

[aliases]
large = "acme-large"
"""


@pytest.fixture
def weebill(tmp_path: Path) -> CommandLine:
    command_line = CommandLine(tmp_path / "home")
    command_line.home.config_file.write_text(CONFIG)
    return command_line


def test_from_beginning_to_end(weebill: CommandLine) -> None:
    assert "There are no experiments" in weebill.ok("experiment", "list")
    made = weebill.ok("experiment", "create", "cheaper", "--model", "large", "--candidate", "acme-small")
    assert made == "Began cheaper: 10% of the requests for large go to acme-small\n"
    assert weebill.ok("experiment", "list", "--quiet") == "cheaper\n"
    heading, row = weebill.ok("experiment", "list").splitlines()
    assert heading.split() == ["NAME", "MODEL", "CANDIDATE", "SHARE", "KIND", "STATE", "CREATED", "CHANGED"]
    assert row.split()[:6] == ["cheaper", "large", "acme-small", "10%", "A/B", "running"]
    shown = weebill.ok("experiment", "show", "cheaper")
    assert "No requests yet" in shown
    comparison = json.loads(weebill.ok("experiment", "show", "cheaper", "--json"))
    assert (comparison["experiment"]["share"], comparison["control"]["requests"]) == (0.1, 0)
    assert "acme-small answers for large" in weebill.ok("experiment", "promote", "cheaper")
    assert "promoted" in weebill.ok("experiment", "list")
    assert "large is answered as before" in weebill.ok("experiment", "rollback", "cheaper")
    assert "rolled back" in weebill.ok("experiment", "list")


def test_a_shadow_of_auto(weebill: CommandLine) -> None:
    arguments = ("--model", "auto", "--candidate", "large", "--share", "0.5", "--shadow")
    assert "a copy of 50% of the requests for auto go to large" in weebill.ok(
        "experiment", "create", "watch", *arguments
    )
    assert "shadow" in weebill.ok("experiment", "list")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "x", "--model", "larg", "--candidate", "acme-small"), "no model 'larg'; did you mean `large`?"),
        (("create", "x", "--model", "large", "--candidate", "acme-smal"), "no model 'acme-smal'; did you mean"),
        (("create", "x", "--model", "large", "--candidate", "mini", "--share", "2"), "at most 1"),
        (("create", "X", "--model", "large", "--candidate", "mini"), "cannot name an experiment"),
        (("show", "x"), "no experiment 'x'"),
        (("promote", "x"), "no experiment 'x'"),
        (("rollback", "x"), "no experiment 'x'"),
    ],
)
def test_what_is_refused(weebill: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    assert said in weebill.fails(1, "experiment", *arguments)


def test_requests_of_unknown_price_are_shown(weebill: CommandLine) -> None:
    weebill.ok("experiment", "create", "cheaper", "--model", "large", "--candidate", "acme-small")
    record = UsageRecord("r", "k", "chat.completions", "m", "m", "up", False, 10, 0, 5, True, 200, "ok", 0, 1000, 2000)
    with open_ledger(weebill.home, SQLITE) as ledger:
        known, unknown = (
            msgspec.structs.replace(record, arm=arm, cost_nano=cost)
            for arm, cost in (("cheaper/control", 1_000_000), ("cheaper/candidate", None))
        )
        insert(ledger, [known, known, unknown])
    lines = {line.split("  ")[0]: line.split() for line in weebill.ok("experiment", "show", "cheaper").splitlines()}
    assert lines["requests of unknown price"][-2:] == ["0", "1"]
    assert lines["cost of 1,000 requests"][-1] == "-"
