"""What people type who know other tools leads to what is called otherwise here."""

import pytest

from weebill.cli.app import command
from weebill.cli.equivalents import INSTEAD

ROOT = command()
COMMANDS = [(group, typed, instead) for group, table in INSTEAD.items() for typed, instead in table.items()]


def group_of(name):
    return ROOT if name == "weebill" else ROOT.commands[name]


def test_what_is_led_to_is_there_and_what_is_there_leads_nowhere_else():
    for group, typed, instead in COMMANDS:
        assert typed not in group_of(group).commands, (group, typed)
        if instead.startswith("weebill "):
            found = ROOT
            for word in instead.split()[1:]:
                assert word == "--help" or word in found.commands, instead
                found = found.commands.get(word)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("info mini", "did you mean `weebill show mini`?"),
        ("inspect", "did you mean `weebill show`?"),
        ("top", "did you mean `weebill ps`?"),
        ("tags", "did you mean `weebill list`?"),
        ("quit", "SIGTERM"),
        ("copy mini tiny", "did you mean `weebill cp mini tiny`?"),
        ("alias mini tiny", "[aliases]"),
        ("help serve", "did you mean `weebill serve --help`?"),
        ("keys rm ci", "did you mean `weebill keys revoke ci`?"),
        ("models pull smollm2:135m", "did you mean `weebill pull smollm2:135m`?"),
        ("providers add openai", "[providers.NAME]"),
        ("providers check openai", "did you mean `weebill providers test openai`?"),
        ("config edit", "`weebill config path`"),
        ("catalog update", "did you mean `weebill catalog refresh`?"),
        ("router evaluate", "did you mean `weebill router eval`?"),
    ],
)
def test_other_tools_commands_are_answered_with_ours(weebill, typed, hint):
    said = weebill.fails(2, *typed.split())
    assert hint in said.splitlines()[1]


def test_words_to_search_models_by_are_no_commands(weebill):
    assert "gpt-4o" in weebill.ok("models", "gpt-4o")
