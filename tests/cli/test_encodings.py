"""Names in every script are shown by every command, in whatever encoding the terminal has."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.cli.conftest import COMMAND, TIMEOUT_S, CommandLine

NAME = "Caf\u00e9 \u2615\U0001f600"


@pytest.fixture
def named(weebill: CommandLine) -> CommandLine:
    weebill.ok("orgs", "create", NAME)
    return weebill


def shown(weebill: CommandLine, encoding: str, *arguments: str) -> tuple[str, str]:
    """What a command in an encoding prints, of which every byte is of that encoding."""
    env = weebill.env | {"PYTHONIOENCODING": encoding}
    run = subprocess.run([*COMMAND, *arguments], env=env, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert b"Traceback" not in run.stderr
    return run.stdout.decode(encoding), run.stderr.decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminal_cannot_show_is_escaped(named: CommandLine, encoding: str) -> None:
    escaped = NAME.encode(encoding, "backslashreplace").decode(encoding)
    assert escaped in shown(named, encoding, "orgs", "list")[0]
    assert escaped in shown(named, encoding, "orgs", "show", NAME)[0]
    assert escaped in shown(named, encoding, "orgs", "show", f"no {NAME}")[1]
    listed = json.loads(shown(named, encoding, "orgs", "list", "--json")[0])
    assert [each["name"] for each in listed] == ["Default", NAME]


def test_a_terminal_that_shows_everything_gets_it(named: CommandLine) -> None:
    assert NAME in shown(named, "utf-8", "orgs", "list")[0]
    assert f'"{NAME}"' in shown(named, "utf-8", "orgs", "list", "--json")[0]
