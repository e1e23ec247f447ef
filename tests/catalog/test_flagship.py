"""The flagship of a provider: the rule on made-up catalogues, and the packaged list against the packaged catalogue."""

import pytest

from weebill.catalog.flagship import FlagshipProvider, flagship, rule
from weebill.catalog.load import Catalogue, load
from weebill.catalog.schema import Model, Offer, Price

ACME = FlagshipProvider(provider="acme")


def model(name, released="2026-05-01", read=1_000_000, output=4_000_000, **facts):
    price = None if output is None else Price(input=read, output=output)
    offer = Offer(provider=facts.pop("provider", "acme"), name=name, price=price)
    general = {"tools": True, "structured_output": True, **facts}
    return Model(id=f"acme/{name}", name=name, author="acme", released=released, offers=(offer,), **general)


def chosen(*models, by=ACME, only=()):
    found = flagship(Catalogue.of((), models), by, only)
    return None if found is None else found.offers[0].name


@pytest.mark.parametrize(
    ("models", "name"),
    [
        ([], None),
        ([model("cheap", output=1_000_000), model("dear")], "dear"),
        # What is older than the window does not count, however dear; a month stands for its first day.
        ([model("new"), model("old", "2025-10-01", output=9_000_000)], "new"),
        ([model("new"), model("edge", "2025-11", output=9_000_000)], "new"),
        ([model("new"), model("recent", "2025-12", output=9_000_000)], "recent"),
        # Of equal prices, the newest, then the shortest name.
        ([model("one", "2026-04-30"), model("two", "2026-05-01")], "two"),
        ([model("one-special"), model("one")], "one"),
        ([model("for-few", output=180_000_000), model("dear")], "dear"),
        ([model("free", read=0, output=0), model("dear")], "dear"),
        ([model("unpriced", output=None), model("dear")], "dear"),
        ([model("no-tools", output=9_000_000, tools=False), model("dear")], "dear"),
        ([model("no-schemas", output=9_000_000, structured_output=None), model("dear")], "dear"),
        ([model("pictures", output=9_000_000, output_modalities=("text", "image")), model("dear")], "dear"),
        ([model("vectors", output=9_000_000, kind="embedding"), model("dear")], "dear"),
        ([model("undated", "", output=9_000_000), model("dear")], "dear"),
        ([model("elsewhere", output=9_000_000, provider="zeta"), model("dear")], "dear"),
    ],
)
def test_the_rule(models, name):
    assert chosen(*models) == name


def test_a_named_model_comes_before_the_rule_as_long_as_it_is_there():
    models = [model("fast", output=9_000_000), model("plain")]
    assert chosen(*models, by=FlagshipProvider(provider="acme", model="acme/plain")) == "plain"
    assert chosen(*models, by=FlagshipProvider(provider="acme", model="acme/gone")) == "fast"


def test_only_models_that_may_be_used():
    models = [model("dear", output=9_000_000), model("plain")]
    assert chosen(*models, only=("plain",)) == "plain"
    assert chosen(*models, only=("other",)) is None


@pytest.mark.parametrize("listed", rule().providers, ids=lambda listed: listed.provider)
def test_each_listed_provider_has_one_in_the_catalogue(listed):
    found = flagship(load(), listed)
    assert found is not None
    assert listed.model in ("", found.id)


def test_well_known_ones():
    found = {each.provider: flagship(load(), each).id for each in rule().providers[:3]}
    assert found == {
        "openai": "openai/gpt-5.5",
        "anthropic": "anthropic/claude-opus-4.8",
        "gemini": "google/gemini-3.1-pro-preview",
    }
