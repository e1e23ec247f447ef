"""Providers of the catalogue: what a name, a key or a variable is enough for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from weebill.config.load import Configuration, Sources, load
from weebill.config.paths import Home
from weebill.config.problems import ConfigError
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
