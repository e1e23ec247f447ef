"""`weebill providers`: which can be used, on what terms, and the test of one."""

import json
import os
import sys
from types import ModuleType

import msgspec
import pytest
import typer

from weebill.catalog.probe import ProbeResult
from weebill.cli.errors import CommandError
from weebill.cli.providers import probe_provider
from weebill.config.load import Sources
from weebill.config.paths import Home
from weebill.routing.credentials import credentials
from weebill.routing.notices import HealthNotice
from weebill.shared.notice_directory import NoticeDirectory

CONFIGURED = "[providers.acme]\nbase_url = 'http://h/v1'\nmodels = ['big', 'small']\n"


def row(text, name):
    (found,) = [line.split() for line in text.splitlines() if line.split()[0] == name]
    return found


def test_providers_are_listed_with_what_they_lack(weebill):
    weebill.home.config_file.write_text(CONFIGURED)
    weebill.env.pop("ANTHROPIC_API_KEY", None)
    listed = weebill.ok("providers", OPENAI_API_KEY="k", AZURE_OPENAI_API_KEY="k")
    assert listed.splitlines()[0].split() == [
        "PROVIDER", "CATALOG", "ACTIVE", "SPEAKS", "MODELS", "TRAINS", "KEEPS", "REGION",
    ]  # fmt: skip
    assert row(listed, "acme") == ["acme", "-", "yes", "openai", "2", "?", "?", "?"]
    openai = row(listed, "openai")
    assert openai[:4] == ["openai", "openai", "yes", "openai"]
    assert int(openai[4]) > 40
    assert openai[5:] == ["no", "30", "days", "us"]
    assert row(listed, "anthropic")[2:5] == ["set", "ANTHROPIC_API_KEY", "anthropic"]
    assert row(listed, "azure")[2:5] == ["set", "AZURE_OPENAI_RESOURCE", "azure"]
    assert row(listed, "ollama")[2:5] == ["if", "configured", "ollama"]
    names = [line.split()[0] for line in listed.splitlines()[1:]]
    assert names.index("openai") < names.index("ai21")
    active = weebill.ok("providers", "--active", OPENAI_API_KEY="k").splitlines()[1:]
    assert {"acme", "openai"} <= {line.split()[0] for line in active} < set(names)


def test_who_an_account_under_another_name_is(weebill):
    weebill.home.config_file.write_text(
        "[providers.team]\ncatalog = 'openai'\napi_key = 'k'\n"
        "[providers.lab]\nbase_url = 'https://openrouter.ai/api/v1'\nmodels = ['a']\napi_key = 'k'\n"
        "[providers.groq]\ncatalog = 'none'\nbase_url = 'http://h/v1'\n"
    )
    listed = weebill.ok("providers")
    assert row(listed, "team")[:4] == ["team", "openai", "yes", "openai"]
    assert row(listed, "team")[4:] == row(listed, "openai")[5:]
    assert row(listed, "lab")[:5] == ["lab", "openrouter", "yes", "openai", "1"]
    assert row(listed, "groq")[:5] == ["groq", "-", "yes", "openai", "-"]
    described = {each["id"]: each for each in json.loads(weebill.ok("providers", "--json"))}
    assert [described[name]["catalog"] for name in ("team", "lab", "groq")] == ["openai", "openrouter", None]


def test_keys_in_the_environment_may_be_left_alone(weebill):
    weebill.home.config_file.write_text("[catalog]\nactivate = false\n[providers.groq]\napi_key='k'\nmodels=['a']\n")
    listed = weebill.ok("providers", OPENAI_API_KEY="k")
    assert row(listed, "openai")[2:4] == ["if", "configured"]
    # Of what is configured, its own list of models counts.
    assert row(listed, "groq")[2:5] == ["yes", "openai", "1"]


def test_json_has_all_that_is_known(weebill):
    weebill.home.config_file.write_text(CONFIGURED)
    listed = {each["id"]: each for each in json.loads(weebill.ok("providers", "--json", MISTRAL_API_KEY="k"))}
    assert len(listed) > 35
    assert all(each.pop("refused_keys") == [] for each in listed.values())
    mistral = listed["mistral"]
    assert (mistral["active"], mistral["missing"], mistral["dialect"]) == (True, [], "mistral")
    assert mistral["quirks"]["rename"]["seed"] == "random_seed"
    assert mistral["data"]["source"].startswith("https://")
    assert listed["acme"] == {
        "id": "acme", "catalog": None, "name": "acme", "dialect": "openai", "active": True, "missing": [], "models": 2
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "opnai",
            "error: there is no provider 'opnai'; did you mean `openai`?\nhint: `weebill providers` lists them\n",
        ),
        (
            "jina",
            "error: jina cannot be called without JINA_API_KEY\n"
            "hint: set JINA_API_KEY, or put [providers.jina] into {config}\n",
        ),
        ("ollama", "error: ollama is not configured\nhint: put [providers.ollama] into {config}\n"),
    ],
)
def test_a_provider_that_cannot_be_tested_says_what_to_do(weebill, name, said):
    weebill.env.pop("JINA_API_KEY", None)
    assert weebill.fails(1, "providers", "test", name) == said.format(config=weebill.home.config_file)


@pytest.fixture
def probe(monkeypatch):
    """Stand in for the call: it notes what it was asked, and answers with `result`."""
    module = ModuleType("weebill.gateway.probe")
    module.asked = []
    module.result = ProbeResult(True, 200, 123, "pong")

    def probe(name, settings):
        module.asked.append((name, settings.providers[name].api_key))
        return module.result

    module.probe = probe
    monkeypatch.setitem(sys.modules, "weebill.gateway.probe", module)
    return module


@pytest.fixture
def sources(tmp_path):
    home = Home(tmp_path)
    home.config_file.write_text("[providers.openai]\napi_key = 'env:KEY'\n")
    return Sources(home, {"KEY": "hush"}, {})


def test_a_provider_that_works(probe, sources, capsys):
    probe_provider(sources, "openai", as_json=False)
    assert capsys.readouterr().out == "openai works: it answered in 123 ms\n"
    assert probe.asked == [("openai", "hush")]


def test_a_provider_that_does_not(probe, sources):
    probe.result = ProbeResult(False, 401, 80, "Incorrect API key provided", "check OPENAI_API_KEY")
    with pytest.raises(
        CommandError, match="openai does not work with status 401: Incorrect API key provided"
    ) as caught:
        probe_provider(sources, "openai", as_json=False)
    assert caught.value.hint == "check OPENAI_API_KEY"
    probe.result = ProbeResult(False, None, 5, "connection refused")
    with pytest.raises(CommandError, match="openai does not work: connection refused"):
        probe_provider(sources, "openai", as_json=False)


def test_results_as_json(probe, sources, capsys):
    probe_provider(sources, "openai", as_json=True)
    assert json.loads(capsys.readouterr().out)["latency_ms"] == 123
    probe.result = ProbeResult(False, 500, 80, "oops", "wait")
    with pytest.raises(typer.Exit) as caught:
        probe_provider(sources, "openai", as_json=True)
    assert caught.value.exit_code == 1
    assert json.loads(capsys.readouterr().out) == {
        "ok": False, "status": 500, "latency_ms": 80, "message": "oops", "hint": "wait"
    }  # fmt: skip


def test_keys_that_are_refused_are_shown_while_their_workers_say_so(weebill):
    weebill.home.config_file.write_text(
        "[providers.acme]\nbase_url = 'http://h/v1'\nmodels = ['big']\napi_keys = ['one', 'two']\n"
    )
    assert "TRIED AGAIN" not in weebill.ok("providers")
    two = credentials("acme", "", [("two", "")])[0].id
    told = (
        HealthNotice("dead", "", "credential", two, 12.4),
        HealthNotice("dead", "acme/big", "quota", "acme#gone", 34.0),
    )
    for worker, facts in (("worker-0", told), ("worker-1", (*told[:1], HealthNotice("open", "acme/big", "server")))):
        NoticeDirectory(weebill.home.health, worker).post(msgspec.msgpack.encode((worker, 1, facts)))
    shown = weebill.ok("providers").split("TRIED AGAIN IN")[1].strip().splitlines()
    assert [" ".join(line.split()) for line in shown] == [
        "acme 2 of 2 all refused 12 s", "acme acme#gone big out of quota 34 s"
    ]  # fmt: skip
    listed = {each["id"]: each for each in json.loads(weebill.ok("providers", "--json"))}
    assert [(each["key"], each["why"]) for each in listed["acme"]["refused_keys"]] == [
        ("2 of 2", "refused"), ("acme#gone", "out of quota")
    ]  # fmt: skip
    # Who is gone says nothing any more.
    for notice in weebill.home.health.glob("*.notice"):
        os.utime(notice, (0, 0))
    assert "TRIED AGAIN" not in weebill.ok("providers")
