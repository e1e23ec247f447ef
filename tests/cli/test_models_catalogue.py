"""`weebill models`: what is listed, how it is chosen, what is shown of one."""

import json
import os

import pytest

from weebill.catalog.load import providers
from weebill.cli.app import command
from weebill.cli.errors import run
from weebill.config.paths import Home


def rows(text):
    return [line.split() for line in text.splitlines()]


class Inside:
    """`weebill ...` in this process, in a home of its own and without anybody's keys: quick."""

    def __init__(self, home, monkeypatch, capsys):
        self.home = home
        self.env = monkeypatch
        self.capsys = capsys

    def __call__(self, *arguments, **env):
        with self.env.context() as environment:
            for name, value in env.items():
                environment.setenv(name, value)
            code = run(lambda: command()(list(arguments), standalone_mode=False))
        return code, *self.capsys.readouterr()

    def ok(self, *arguments, **env):
        code, out, err = self(*arguments, **env)
        assert (code, err) == (0, "")
        return out

    def fails(self, code, *arguments):
        found, _, err = self(*arguments)
        assert found == code
        return err


@pytest.fixture
def weebill(tmp_path, monkeypatch, capsys):
    home = Home(tmp_path)
    home.create()
    for name in [name for name in os.environ if name.startswith("WEEBILL_")]:
        monkeypatch.delenv(name)
    for provider in providers().values():
        for name in (name for group in provider.credentials for name in group):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEEBILL_HOME", str(tmp_path))
    return Inside(home, monkeypatch, capsys)


def test_this_machines_and_configured_models_come_before_the_catalogue(weebill):
    weebill.home.config_file.write_text(
        "[local]\nmodels = ['mine']\n"
        "[providers.acme]\nbase_url = 'http://h/v1'\nmodels = ['big']\n"
        "[providers.openai]\napi_key = 'k'\nmodels = ['gpt-4o-mini']\n"
    )
    *listed, _, auto = rows(weebill.ok("models"))
    assert " ".join(auto).startswith("auto: small mini, large openai/gpt-4o-mini (the flagship of openai")
    assert listed[0][0] == "MODEL"
    assert listed[1] == ["mine", "8k", "free", "free", "text", "text", "yes", "this", "machine"]
    assert listed[2] == ["acme/big", "-", "-", "-", "-", "-", "-", "acme"]
    assert len(listed) > 250
    (mini,) = [row for row in listed if row[0] == "openai/gpt-4o-mini"]
    assert mini[1:8] == ["128k", "0.15", "0.6", "text", "image", "pdf", "text"]
    # What can be used comes first among its providers.
    assert mini[8:] == ["yes", "openai", "azure", "digitalocean", "+2"]
    assert rows(weebill.ok("models", "list"))[:-2] == listed


@pytest.mark.parametrize(
    ("arguments", "some", "none"),
    [
        (("gpt-4o", "MINI"), {"openai/gpt-4o-mini"}, {"openai/gpt-4o", "smollm2:135m"}),
        (("--provider", "groq"), {"openai/gpt-oss-120b"}, {"openai/gpt-4o-mini", "smollm2:135m"}),
        (("--provider", "groq", "--provider", "local"), {"openai/gpt-oss-120b", "smollm2:135m"}, {"x-ai/grok-4.3"}),
        (("--max-price", "0.6"), {"openai/gpt-4o-mini", "smollm2:135m"}, {"openai/gpt-5.5"}),
        (("--min-context", "1000000"), {"openai/gpt-4.1"}, {"openai/gpt-4o-mini", "smollm2:135m"}),
        (
            ("--modality", "audio", "--modality", "video"),
            {"google/gemini-2.5-flash"},
            {"openai/gpt-4o", "smollm2:135m"},
        ),
        (("--tools",), {"openai/gpt-4o", "smollm2:135m"}, {"perplexity/sonar"}),
        (("--reasoning",), {"openai/o3"}, {"openai/gpt-4o", "smollm2:135m"}),
        (("--open",), {"openai/gpt-oss-120b", "smollm2:135m"}, {"openai/gpt-4o"}),
        (("--local",), {"smollm2:135m"}, {"openai/gpt-4o-mini"}),
        (("--active",), {"smollm2:135m"}, {"openai/gpt-4o-mini"}),
    ],
)
def test_filters(weebill, arguments, some, none):
    names = {row[0] for row in rows(weebill.ok("models", *arguments))}
    assert some <= names
    assert not none & names


def test_active_ones_are_those_whose_key_is_there(weebill):
    names = {row[0] for row in rows(weebill.ok("models", "--active", XAI_API_KEY="k"))}
    assert "x-ai/grok-4.3" in names
    assert "openai/gpt-4o" not in names


def test_orders(weebill):
    prices = [row[3] for row in rows(weebill.ok("models", "claude", "--sort", "price"))[1:]]
    assert prices == sorted(prices, key=float)
    newest = rows(weebill.ok("models", "--sort", "released"))[2][0]
    shown = json.loads(weebill.ok("models", "show", newest, "--json"))
    assert shown["released"] == max(each["released"] for each in json.loads(weebill.ok("models", "/", "--json")))


def test_json_has_all_that_is_known(weebill):
    listed = json.loads(weebill.ok("models", "gpt-4o-mini", "--json", OPENAI_API_KEY="k"))
    (mini,) = [each for each in listed if each["id"] == "openai/gpt-4o-mini"]
    (offer,) = [each for each in mini["offers"] if each["provider"] == "openai"]
    assert offer["price"] == {"input": 150_000, "output": 600_000, "cache_read": 75_000}
    assert offer["active"] is True
    assert json.loads(weebill.ok("models", "--local", "--json")) == [
        {"id": "smollm2:135m", "provider": "local", "state": "not fetched", "context_length": 8192}
    ]
    assert json.loads(weebill.ok("models", "no such thing", "--json")) == []


def test_nothing_found_says_so(weebill):
    assert "No model is like that" in weebill.ok("models", "no-such-thing")


@pytest.mark.parametrize("name", ["openai/gpt-4.1", "gpt-4.1", "azure/gpt-4.1", "large"])
def test_one_model_is_shown_under_any_of_its_names(weebill, name):
    weebill.home.config_file.write_text(
        "[providers.openai]\napi_key = 'k'\nmodels = ['gpt-4.1']\n[aliases]\nlarge = 'big'\nbig = 'gpt-4.1'\n"
    )
    shown = rows(weebill.ok("models", "show", name))
    assert ["MODEL", "openai/gpt-4.1"] in shown
    assert ["reads", "text", "image", "pdf"] in shown
    assert ["openai", "openai", "gpt-4.1", "2", "8", "0.5", "-", "1.05M", "-", "yes"] in shown
    assert ["azure", "azure", "gpt-4.1", "2", "8", "0.5", "-", "1.05M", "-", "-"] in shown


def test_an_account_under_another_name_has_its_vendors_models(weebill):
    weebill.home.config_file.write_text(
        "[providers.team]\ncatalog = 'openai'\napi_key = 'k'\nmodels = ['gpt-4.1', 'own']\n"
        "[providers.groq]\ncatalog = 'none'\nbase_url = 'http://h/v1'\n"
    )
    shown = rows(weebill.ok("models", "show", "team/gpt-4.1"))
    assert ["MODEL", "openai/gpt-4.1"] in shown
    assert ["team", "openai", "gpt-4.1", "2", "8", "0.5", "-", "1.05M", "-", "yes"] in shown
    assert ["openai", "openai", "gpt-4.1", "2", "8", "0.5", "-", "1.05M", "-", "-"] in shown
    names = {row[0] for row in rows(weebill.ok("models", "--active"))}
    assert {"openai/gpt-4.1", "team/own"} <= names
    assert "openai/gpt-4o-mini" not in names
    assert "openai/gpt-oss-120b" not in names
    assert {row[0] for row in rows(weebill.ok("models", "--provider", "team"))} - {"MODEL"} == {
        "openai/gpt-4.1",
        "team/own",
    }


def test_tiers_and_free_offers_are_shown(weebill):
    assert ["above", "200k", "2.5", "15", "0.25", "-"] in rows(weebill.ok("models", "show", "gemini-2.5-pro"))
    assert any(
        row[:5] == ["github", "github", "openai/gpt-4.1", "free", "free"]
        for row in rows(weebill.ok("models", "show", "gpt-4.1"))
    )


def test_own_models_are_shown_too(weebill):
    assert ["smollm2:135m", "8k", "this", "machine", "not", "fetched"] in rows(weebill.ok("models", "show", "mini"))
    assert json.loads(weebill.ok("models", "show", "smollm2:135m", "--json"))["state"] == "not fetched"


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("show", "openai/gpt-4o-mimi"), "did you mean `openai/gpt-4o-mini`?", "`weebill models` lists them"),
        (("--provider", "opnai"), "there is no provider 'opnai'; did you mean `openai`?", "`weebill providers`"),
        (("--modality", "smell"), "'smell' is no modality", "it is one of text, image, audio, video, pdf"),
    ],
)
def test_mistakes_are_explained(weebill, arguments, error, hint):
    said = weebill.fails(1, "models", *arguments)
    assert error in said.splitlines()[0]
    assert hint in said.splitlines()[1]


@pytest.mark.parametrize(
    "arguments", [("--max-price", "cheap"), ("--max-price", "-1"), ("--sort", "size"), ("--bogus",)]
)
def test_wrong_usage(weebill, arguments):
    assert "models list --help` shows" in weebill.fails(2, "models", *arguments)


def test_help_names_the_commands_and_the_filters(weebill):
    assert "\n  show " in weebill.ok("models", "--help")
    assert "--max-price" in weebill.ok("models", "list", "--help")


def test_an_overlay_that_cannot_be_read_is_explained(weebill):
    (weebill.home.root / "catalog.json").write_text("{")
    said = weebill.fails(1, "models")
    assert "catalog.json is no catalogue overlay" in said
    assert "hint: remove" in said
