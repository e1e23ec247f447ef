"""Addresses, keys, and which providers are active."""

import pytest

from weebill.catalog.load import providers
from weebill.catalog.providers import (
    Activity,
    MissingOptionError,
    activity,
    at_address,
    base_url,
    options_of,
)

PROVIDERS = providers()


@pytest.mark.parametrize(
    ("provider", "options", "url"),
    [
        ("openai", {}, "https://api.openai.com/v1"),
        ("cloudflare", {"account_id": "abc"}, "https://api.cloudflare.com/client/v4/accounts/abc/ai/v1"),
        ("vertex", {"project": "p"}, "https://aiplatform.googleapis.com/v1"),
        ("vertex", {"location": "europe-west4"}, "https://europe-west4-aiplatform.googleapis.com/v1"),
        ("bedrock", {"region": "eu-central-1"}, "https://bedrock-runtime.eu-central-1.amazonaws.com"),
        (
            "databricks",
            {"host": "https://dbc-1.cloud.databricks.com/"},
            "https://dbc-1.cloud.databricks.com/serving-endpoints",
        ),
    ],
)
def test_addresses_have_their_options_filled_in(provider, options, url):
    assert base_url(PROVIDERS[provider], options) == url


def test_an_address_without_its_option_says_which():
    with pytest.raises(MissingOptionError, match="Azure OpenAI needs `resource`: the name of your") as caught:
        base_url(PROVIDERS["azure"])
    assert caught.value.option.name == "resource"


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://OpenRouter.ai:443/api", "openrouter"),
        ("https://api.minimax.io/v1", "minimax"),
        ("https://mine.openai.azure.com/openai/v1", "azure"),
        ("https://mine.services.ai.azure.com", "azure"),
        ("https://europe-west4-aiplatform.googleapis.com/v1", "vertex"),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", "bedrock"),
        ("https://dbc-1.cloud.databricks.com/serving-endpoints", "databricks"),
        ("https://openrouter.ai.example/api/v1", None),
        ("https://notopenrouter.ai/api/v1", None),
        ("https://llm.example/openrouter.ai", None),
        ("http://127.0.0.1:8000/v1", None),
        ("http://localhost:11434", None),
        ("https://[", None),
        ("", None),
    ],
)
def test_a_provider_is_known_by_its_hosts(address, provider):
    found = at_address(PROVIDERS.values(), address)
    assert (None if found is None else found.id) == provider


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.id)
def test_no_two_providers_are_at_the_same_host(provider):
    """Every address is found as its own provider's, but for those that are of this machine or are all the user's."""
    options = {option.name: option.default or "x1" for option in provider.options}
    if provider.data.region != "yours" and provider.id != "databricks":
        assert at_address(PROVIDERS.values(), base_url(provider, options)) is provider


@pytest.mark.parametrize(
    ("provider", "environment", "expected"),
    [
        ("openai", {}, Activity(False, ("OPENAI_API_KEY",))),
        ("openai", {"OPENAI_API_KEY": " "}, Activity(False, ("OPENAI_API_KEY",))),
        ("openai", {"OPENAI_API_KEY": "k"}, Activity(True)),
        ("gemini", {"GOOGLE_API_KEY": "k"}, Activity(True)),
        ("azure", {"AZURE_API_KEY": "k"}, Activity(False, ("AZURE_OPENAI_RESOURCE",))),
        ("azure", {"AZURE_RESOURCE_NAME": "r"}, Activity(False, ("AZURE_OPENAI_API_KEY",))),
        ("azure", {"AZURE_API_KEY": "k", "AZURE_RESOURCE_NAME": "r"}, Activity(True)),
        (
            "bedrock",
            {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "i"},
            Activity(False, ("AWS_BEARER_TOKEN_BEDROCK",)),
        ),
        ("bedrock", {"AWS_REGION": "r", "AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s"}, Activity(True)),
        ("ollama", {}, Activity(False)),
    ],
)
def test_a_provider_is_active_once_all_it_needs_is_there(provider, environment, expected):
    assert activity(PROVIDERS[provider], environment) == expected


def test_options_come_from_variables_and_defaults():
    assert options_of(PROVIDERS["azure"], {"AZURE_RESOURCE_NAME": "r"}) == {
        "resource": "r",
        "api_version": "2024-10-21",
    }
    assert options_of(PROVIDERS["vertex"], {"GOOGLE_CLOUD_LOCATION": "l"}) == {"location": "l"}
