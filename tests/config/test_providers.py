"""Providers of the catalogue: what a name, a key or a variable is enough for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from weebill.catalog.load import providers
from weebill.config.load import Configuration, Sources, load
from weebill.config.paths import Home
from weebill.config.problems import ConfigError
from weebill.config.schema import NOBODY
from weebill.config.show import show


def loaded(tmp_path: Path, text: str = "", environment: Mapping[str, str] | None = None) -> Configuration:
    file = tmp_path / "weebill.toml"
    file.write_text(text)
    return load(Sources(Home(tmp_path), environment or {}, {}, file))


def test_a_key_in_the_environment_activates_a_provider(tmp_path: Path) -> None:
    found = loaded(tmp_path, environment={"ANTHROPIC_API_KEY": "sk-ant", "OPENAI_API_KEY": ""})
    [(name, provider)] = found.settings.providers.items()
    assert (name, provider.dialect, provider.base_url) == ("anthropic", "anthropic", "https://api.anthropic.com/v1")
    assert provider.api_key == "sk-ant"
    assert found.declared.providers["anthropic"].api_key == "env:ANTHROPIC_API_KEY"
    assert 'api_key = "env:ANTHROPIC_API_KEY"  # the environment' in show(found)


def test_activation_can_be_turned_off(tmp_path: Path) -> None:
    assert not loaded(tmp_path, "[catalog]\nactivate = false\n", {"OPENAI_API_KEY": "sk"}).settings.providers


def test_a_table_without_a_key_takes_the_usual_variable(tmp_path: Path) -> None:
    found = loaded(tmp_path, '[providers.groq]\nmodels = ["llama"]\n', {"GROQ_API_KEY": "gsk"})
    provider = found.settings.providers["groq"]
    assert (provider.api_key, provider.models, provider.dialect) == ("gsk", ("llama",), "openai")
    assert provider.quirks is not None
    assert "logit_bias" in provider.quirks.refuse


def test_options_come_from_variables_and_complete_the_address(tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
    assert not loaded(tmp_path, environment=keys).settings.providers  # no region
    found = loaded(tmp_path, environment={**keys, "AWS_REGION": "eu-central-1"})
    provider = found.settings.providers["bedrock"]
    assert provider.base_url == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert (provider.access_key_id, provider.secret_access_key, provider.session_token) == ("AKIA", "secret", "token")
    assert provider.options["region"] == "eu-central-1"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[providers.openai]\n", "`providers.openai.api_key` is missing"),
        ("[providers.azure]\napi_key = 'k'\n", "`providers.azure.options.resource` is missing"),
        ("[providers.acme]\ndialect = 'openia'\nbase_url = 'http://a'\n", "providers.acme.dialect"),
    ],
)
def test_what_a_provider_lacks_is_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert problem in str(caught.value)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    text = "[providers.bedrock]\naccess_key_id = 'AKIA'\nsecret_access_key = 'hush'\nsession_token = 'hush'\n"
    found = loaded(tmp_path, text + "[providers.bedrock.options]\nregion = 'us-east-1'\n")
    assert "hush" not in show(found)
    assert "hush" not in repr(found.settings)


@pytest.mark.parametrize("target", ["openai/gpt-4o-mini", "gpt-4o-mini"])
def test_an_alias_may_stand_for_a_model_of_the_catalogue(tmp_path: Path, target: str) -> None:
    text = f"[aliases]\nlarge = '{target}'\n"
    assert loaded(tmp_path, text, {"OPENAI_API_KEY": "sk"}).settings.aliases["large"] == target
    with pytest.raises(ConfigError, match="names unknown model"):
        loaded(tmp_path, text)


def test_whoever_speaks_a_providers_own_dialect_has_its_quirks(tmp_path: Path) -> None:
    table = '[providers.mine]\ndialect = "{}"\nbase_url = "http://127.0.0.1:1/v1"\n'
    spoken = loaded(tmp_path, table.format("mistral")).settings.providers["mine"].quirks
    assert spoken is not None
    assert spoken.short_call_ids
    # OpenAI's is everybody's.
    assert loaded(tmp_path, table.format("openai")).settings.providers["mine"].quirks is None


OPENROUTER = "https://openrouter.ai/api/v1"
ELSEWHERE = "https://llm.example/v1"
KEY = {"OPENROUTER_API_KEY": "sk-or", "ANTHROPIC_API_KEY": "sk-ant"}


@pytest.mark.parametrize(
    ("name", "said", "identity", "dialect", "base_url", "api_key"),
    [
        ("openrouter", "", "openrouter", "openai", OPENROUTER, "sk-or"),
        ("second", "catalog = 'openrouter'", "openrouter", "openai", OPENROUTER, "sk-or"),
        ("second", "catalog = 'openrouter'\napi_key = 'own'", "openrouter", "openai", OPENROUTER, "own"),
        # Whose address it is, whatever it is called; what it speaks stays as it is said.
        ("second", f"base_url = '{OPENROUTER}/'", "openrouter", "openai", OPENROUTER, None),
        ("claude", "base_url = 'https://api.anthropic.com/v1'", "anthropic", "openai", "https://api.anthropic.com/v1",
         None),
        # The usual key goes to the vendor's own address alone, or to what stands in for it under its name.
        ("second", f"catalog = 'openrouter'\nbase_url = '{ELSEWHERE}'", "openrouter", "openai", ELSEWHERE, None),
        ("openrouter", f"base_url = '{ELSEWHERE}'", "openrouter", "openai", ELSEWHERE, "sk-or"),
        ("claude", "catalog = 'anthropic'", "anthropic", "anthropic", "https://api.anthropic.com/v1", "sk-ant"),
        ("acme", f"base_url = '{ELSEWHERE}'", "", "openai", ELSEWHERE, None),
        ("together", f"catalog = 'none'\nbase_url = '{ELSEWHERE}'", NOBODY, "openai", ELSEWHERE, None),
    ],
)  # fmt: skip
def test_a_provider_is_who_it_says_or_whose_name_or_address_it_has(
    tmp_path: Path, name: str, said: str, identity: str, dialect: str, base_url: str, api_key: str | None
) -> None:
    found = loaded(tmp_path, f"[providers.{name}]\n{said}\n", KEY).settings.providers
    provider = found[name]
    assert (provider.catalog, provider.dialect, provider.base_url) == (identity, dialect, base_url)
    assert provider.api_key == api_key
    assert (provider.quirks is not None and provider.quirks.cache_marks) == (identity == "openrouter")
    # A key is not used twice, by who was configured and who is activated.
    assert ("openrouter" in found) == (name == "openrouter" or api_key != "sk-or")


def test_an_identity_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`providers.x.catalog` names `openruter`.* did you mean `openrouter`"):
        loaded(tmp_path, "[providers.x]\ncatalog = 'openruter'\napi_key = 'k'\n")


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("refuse = []", {"refuse": ()}),
        ("stream_usage = true\ncache_marks = true", {"stream_usage": True, "cache_marks": True}),
        ("", {}),
    ],
)
def test_a_providers_own_quirks_lie_over_the_catalogues(tmp_path: Path, said: str, changed: dict[str, object]) -> None:
    text = f"[providers.second]\ncatalog = 'mistral'\napi_key = 'k'\n[providers.second.quirks]\n{said}\n"
    quirks = loaded(tmp_path, text).settings.providers["second"].quirks
    assert quirks == msgspec.structs.replace(providers()["mistral"].quirks, **changed)


def test_models_of_accounts_under_other_names_may_be_meant(tmp_path: Path) -> None:
    text = "[providers.second]\ncatalog = 'openai'\napi_key = 'k'\n[aliases]\nlarge = 'second/gpt-4o-mini'\n"
    assert loaded(tmp_path, text).settings.aliases["large"] == "second/gpt-4o-mini"
