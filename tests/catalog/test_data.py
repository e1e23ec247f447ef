"""The reviewed data files: typed, unique, sane, and enough of them."""

import re
import string
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.rows import every
from weebill.catalog.load import DATA, load, providers
from weebill.catalog.schema import Model, ModelFile, Offer, Price, Provider, ProviderFile, Tier

CATALOGUE = load()
OFFERS = [(model, offer) for model in CATALOGUE.models.values() for offer in model.offers]
DATE = re.compile(r"20\d\d-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?\Z")
IDENTITY = re.compile(r"[a-z0-9][a-z0-9.-]*/[a-z0-9][a-z0-9._-]*\Z")
THOUSAND_DOLLARS_A_MILLION = 1_000_000_000
RATES = ("input", "output", "cache_read", "cache_write", "reasoning", "audio_input", "audio_output")


def test_there_are_enough_current_ones():
    assert len(CATALOGUE.providers) >= 35
    assert len(CATALOGUE.models) >= 250
    recent = [model for model in CATALOGUE.models.values() if model.released >= "2025-07"]
    assert len(recent) > len(CATALOGUE.models) / 2


@pytest.mark.parametrize(("name", "kind", "row"), [("providers", ProviderFile, Provider), ("models", ModelFile, Model)])
def test_a_file_names_its_source_and_has_a_row_to_a_line_in_order(name, kind, row):
    data = (DATA / f"{name}.json").read_bytes()
    file = msgspec.json.decode(data, type=kind)
    assert file.source
    assert DATE.match(file.date)
    lines = data.decode().split(f'"{name}": [\n')[1].removesuffix("\n]\n}\n").split(",\n")
    rows = [msgspec.json.decode(line, type=row) for line in lines]
    assert tuple(rows) == getattr(file, name)
    ids = [row.id for row in rows]
    assert ids == sorted(set(ids))


@every("provider", providers().values())
def test_a_provider_can_be_reached_and_has_a_source(provider):
    local = provider.data.region == "yours"
    parts = urlsplit(provider.base_url)
    assert parts.scheme == ("http" if local else "https")
    assert parts.hostname
    assert not provider.base_url.endswith("/")
    assert re.match(r"[a-z0-9][a-z0-9_-]*\Z", provider.id)
    assert provider.id != "local"
    assert bool(provider.credentials) != local
    assert all(re.match(r"[A-Z][A-Z0-9_]+\Z", name) for group in provider.credentials for name in group)
    fields = {name.rstrip("-") for _, name, _, _ in string.Formatter().parse(provider.base_url) if name}
    assert fields <= {option.name for option in provider.options}
    assert provider.source.startswith("https://")
    assert DATE.match(provider.date)


@every("provider", providers().values())
def test_what_is_said_of_a_data_policy_has_a_source(provider):
    data = provider.data
    said = data.trains != "unknown" or data.retention_days is not None or data.zero_retention != "unknown"
    assert data.source.startswith("https://") if said or data.region or data.note else not data.source
    assert data.retention_days is None or 0 <= data.retention_days < 400
    if data.zero_retention == "default":
        assert data.retention_days == 0


@every("model", CATALOGUE.models.values())
def test_a_model_is_sane(model):
    assert IDENTITY.match(model.id)
    assert model.author == model.id.partition("/")[0]
    assert model.name.strip() == model.name != ""
    assert DATE.match(model.released)
    assert model.offers
    assert model.context_length is None or model.context_length >= 64
    if model.kind == "chat":
        assert model.context_length
    else:
        assert model.max_output_tokens is None
    assert model.input_modalities
    assert model.output_modalities
    assert not model.license or model.open_weights


@every("provider", providers())
def test_the_offers_of_a_provider_resolve_and_have_sane_prices(provider):
    for model, offer in OFFERS:
        if offer.provider != provider:
            continue
        assert CATALOGUE.served(provider, offer.name) == (model, offer)
        assert CATALOGUE.find(f"{provider}/{offer.name}") is not None
        assert offer.context_length != model.context_length or offer.context_length is None
        if offer.price is not None:
            check_price(offer.price)


def check_price(price: Price) -> None:
    for rates in (price, *price.tiers):
        for name in RATES:
            rate = getattr(rates, name)
            assert rate is None or 0 <= rate < THOUSAND_DOLLARS_A_MILLION
    assert [tier.above for tier in price.tiers] == sorted({tier.above for tier in price.tiers})
    assert all(tier.input >= price.input and tier.output >= price.output for tier in price.tiers)


def test_every_offer_is_of_a_known_provider_and_named_once():
    keys = [(offer.provider, offer.name) for _, offer in OFFERS]
    assert len(keys) == len(set(keys))
    assert {provider for provider, _ in keys} <= set(CATALOGUE.providers)


def test_well_known_facts():
    """As the providers' own pages state them."""
    model, offer = CATALOGUE.served("openai", "gpt-4o-mini")
    assert (model.id, model.context_length, model.max_output_tokens) == ("openai/gpt-4o-mini", 128_000, 16_384)
    assert offer == Offer(
        provider="openai", name="gpt-4o-mini", price=Price(input=150_000, output=600_000, cache_read=75_000)
    )
    _, claude = CATALOGUE.served("anthropic", "claude-sonnet-4-5")
    assert claude.price == Price(input=3_000_000, output=15_000_000, cache_read=300_000, cache_write=3_750_000)
    _, gemini = CATALOGUE.served("gemini", "gemini-2.5-pro")
    tier = Tier(above=200_000, input=2_500_000, output=15_000_000, cache_read=250_000)
    assert gemini.price == Price(input=1_250_000, output=10_000_000, cache_read=125_000, tiers=(tier,))
    # Prices may be finer than a nano-dollar a token.
    assert CATALOGUE.served("cohere", "command-r7b-12-2024")[1].price == Price(input=37_500, output=150_000)
    assert CATALOGUE.models["openai/gpt-oss-120b"].license == "Apache-2.0"
    assert CATALOGUE.served("openai", "gpt-5-codex")[1].dialect == "openai-responses"
