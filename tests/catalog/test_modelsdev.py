"""models.dev's format, and what differs from the catalogue."""

import json

import pytest

from weebill.catalog.load import Catalogue
from weebill.catalog.modelsdev import Change, FormatError, compare, model_of, parse, price_of
from weebill.catalog.schema import Model, Offer, Price, Provider, Tier

PROVIDER = Provider(
    id="ours", name="Ours", dialect="openai", base_url="https://h/v1", models_dev="theirs", source="https://h", date="d"
)
OFFER = Offer(provider="ours", name="m-1", price=Price(input=150_000, output=600_000, cache_read=75_000))
MODEL = Model(id="a/m", name="M", author="a", context_length=1000, max_output_tokens=100, offers=(OFFER,))
CATALOGUE = Catalogue.of([PROVIDER], [MODEL])
ROW = {
    "name": "M",
    "release_date": "2026-01-01",
    "tool_call": True,
    "limit": {"context": 1000, "output": 100},
    "modalities": {"input": ["text", "pdf", "smell"], "output": ["text"]},
    "cost": {"input": 0.15, "output": 0.6, "cache_read": 0.075},
    "unheard_of": [1],
}


def snapshot(models, provider="theirs"):
    return parse(json.dumps({provider: {"id": provider, "models": models}}).encode())


def cost(**prices):
    return price_of(snapshot({"m": ROW | {"cost": prices}}).providers["theirs"].models["m"])


def test_both_forms_of_the_file_are_read():
    rows = {"theirs": {"models": {"m-1": ROW}}}
    plain = parse(json.dumps(rows).encode())
    sourced = parse(json.dumps({"source": "a copy", "providers": rows}).encode())
    assert plain.providers == sourced.providers
    assert (plain.source, sourced.source) == ("models.dev", "a copy")


@pytest.mark.parametrize("text", ["", "[1]", "{}", "<html>", '{"a": 1}', '{"a": {"models": {}}}', '{"a":' * 2000])
def test_other_files_are_refused(text):
    with pytest.raises(FormatError, match=r"not in models\.dev's format"):
        parse(text.encode())


@pytest.mark.parametrize("value", [-0.1, 1e9])
def test_prices_that_cannot_be_are_refused(value):
    with pytest.raises(FormatError, match="cannot be"):
        cost(input=value, output=1)


def test_prices_become_whole_numbers():
    assert cost(input=0.15, output=0.6) == Price(input=150_000, output=600_000)
    assert cost(input=0.049999999999999996, output=0.0375) == Price(input=50_000, output=37_500)
    assert cost(input=0, output=0) == Price(input=0, output=0)
    assert price_of(snapshot({"m": {"name": "x"}}).providers["theirs"].models["m"]) is None


def test_a_cache_price_of_nothing_is_no_price_unless_all_is_free():
    assert cost(input=1, output=1, cache_read=0, cache_write=0) == Price(input=1_000_000, output=1_000_000)
    assert cost(input=0, output=0, cache_read=0).cache_read == 0


def test_other_names_and_prices_that_say_nothing_new():
    assert cost(input=1, output=2, cached_input=0.1, cached_write=1.5, reasoning=2) == Price(
        input=1_000_000, output=2_000_000, cache_read=100_000, cache_write=1_500_000
    )
    assert cost(input=1, output=2, reasoning=3, input_audio=4, output_audio=5) == Price(
        input=1_000_000, output=2_000_000, reasoning=3_000_000, audio_input=4_000_000, audio_output=5_000_000
    )


def test_tiers_hold_all_their_rates():
    tiers = [
        {"tier": {"size": 500}, "input": 4, "output": 8},
        {"tier": {"type": "context", "size": 200}, "input": 2, "output": 5, "cache_read": 0.3},
    ]
    assert cost(input=1, output=2, cache_read=0.1, cache_write=1.25, tiers=tiers).tiers == (
        Tier(above=200, input=2_000_000, output=5_000_000, cache_read=300_000, cache_write=2_500_000),
        Tier(above=500, input=4_000_000, output=8_000_000, cache_read=400_000, cache_write=5_000_000),
    )
    old = cost(input=1, output=2, context_over_200k={"input": 2, "output": 3, "cache_read": 0.2})
    assert old.tiers == (Tier(above=200_000, input=2_000_000, output=3_000_000, cache_read=200_000),)


def test_a_row_becomes_a_model():
    fact = snapshot({"m": ROW}).providers["theirs"].models["m"]
    assert model_of("a/m", fact) == Model(
        id="a/m",
        name="M",
        author="a",
        context_length=1000,
        max_output_tokens=100,
        input_modalities=("text", "pdf"),
        tools=True,
        released="2026-01-01",
    )
    # What an embedding row calls its output is its dimensions.
    embedding = model_of("a/m-embed", fact)
    assert (embedding.kind, embedding.max_output_tokens) == ("embedding", None)


def test_nothing_differs():
    difference = compare(CATALOGUE, snapshot({"m-1": ROW}))
    assert difference.changes == difference.offers == difference.new == difference.gone == ()


def test_changed_prices_and_limits_are_found():
    row = ROW | {"cost": {"input": 0.3, "output": 0.6}, "limit": {"context": 2000, "output": 100}}
    difference = compare(CATALOGUE, snapshot({"m-1": row}))
    assert difference.changes == (
        Change("a/m", "ours", "m-1", "input", 150_000, 300_000),
        Change("a/m", "ours", "m-1", "cache_read", 75_000, None),
        Change("a/m", "ours", "m-1", "context_length", 1000, 2000),
    )
    assert [change.per_cent for change in difference.changes] == [100.0, None, 100.0]
    (offer,) = difference.offers
    assert (offer.price, offer.context_length) == (Price(input=300_000, output=600_000), 2000)
    # Once taken over, it is the same again.
    taken = Catalogue.of([PROVIDER], [Model(id="a/m", name="M", author="a", max_output_tokens=100, offers=(offer,))])
    assert compare(taken, snapshot({"m-1": row})).changes == ()


def test_new_tiers_are_found_by_their_size():
    row = ROW | {"cost": ROW["cost"] | {"tiers": [{"tier": {"size": 200}, "input": 0.3, "output": 0.9}]}}
    names = [(change.field, change.new) for change in compare(CATALOGUE, snapshot({"m-1": row})).changes]
    assert names == [("input over 200", 300_000), ("output over 200", 900_000), ("cache_read over 200", 150_000)]


def test_what_a_row_does_not_say_stays():
    difference = compare(CATALOGUE, snapshot({"m-1": {"name": "M"}}))
    assert difference.changes == ()


def test_new_and_gone_models():
    rows = {
        "New": ROW,
        "b/Other": ROW,
        "old": ROW | {"status": "deprecated"},
        "elsewhere": ROW | {"provider": {"npm": "another", "api": "https://elsewhere"}},
    }
    difference = compare(CATALOGUE, snapshot(rows))
    assert [(model.id, model.offers[0].name) for model in difference.new] == [
        ("ours/new", "New"),
        ("b/other", "b/Other"),
    ]
    assert difference.new[0].offers[0].price == OFFER.price
    assert difference.gone == (("ours", "m-1"),)
    # Of a provider that the file does not have, nothing can be said.
    assert compare(CATALOGUE, snapshot(rows, "another")) == compare(Catalogue.of([], []), snapshot(rows))


def test_new_models_of_the_same_name_are_one():
    second = Provider(id="theirs", name="T", dialect="openai", base_url="https://t", source="https://t", date="d")
    first = Provider(id="p", name="P", dialect="openai", base_url="https://p", source="https://p", date="d")
    rows = {"p": {"models": {"x/new": ROW}}, "theirs": {"models": {"X/New": ROW | {"limit": {"context": 5}}}}}
    (model,) = compare(Catalogue.of([first, second], []), parse(json.dumps(rows).encode())).new
    assert (model.id, [(offer.name, offer.context_length) for offer in model.offers]) == (
        "x/new",
        [("x/new", None), ("X/New", 5)],
    )
