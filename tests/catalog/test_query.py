"""Choosing models, on a small catalogue of which all is known."""

import pytest

from weebill.catalog.load import Catalogue
from weebill.catalog.query import ModelFilter, context_of, select
from weebill.catalog.schema import Model, Offer, Price


def price(input_rate, output_rate=0):
    return Price(input=input_rate, output=output_rate)


CHEAP = Model(
    id="a/cheap",
    name="Cheap",
    author="a",
    context_length=8000,
    open_weights=True,
    released="2024-01-02",
    offers=(
        Offer(provider="p", name="cheap-1", price=price(100, 200)),
        Offer(provider="q", name="C", price=price(50, 90), context_length=4000),
        Offer(provider="r", name="unpriced"),
    ),
)
DEAR = Model(
    id="b/dear",
    name="Dear One",
    author="b",
    context_length=1_000_000,
    input_modalities=("text", "image"),
    tools=True,
    reasoning=True,
    structured_output=True,
    released="2026-01",
    offers=(Offer(provider="p", name="dear", price=price(5000, 9000)),),
)
FREE = Model(
    id="b/free",
    name="Free",
    author="b",
    kind="embedding",
    offers=(Offer(provider="s", name="free", price=price(0)),),
)
MODELS = (DEAR, FREE, CHEAP)


def ids(**wanted):
    return [match.model.id for match in select(MODELS, ModelFilter(**wanted))]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["a/cheap", "b/dear", "b/free"]),
        ({"providers": frozenset({"p"})}, ["a/cheap", "b/dear"]),
        ({"providers": frozenset()}, []),
        ({"max_price": 200}, ["a/cheap", "b/free"]),
        ({"max_price": 89}, ["b/free"]),
        ({"max_price": 0}, ["b/free"]),
        ({"min_context": 5000}, ["a/cheap", "b/dear"]),
        ({"min_context": 5000, "providers": frozenset({"q"})}, []),
        ({"modalities": ("image", "text")}, ["b/dear"]),
        ({"modalities": ("audio",)}, []),
        ({"tools": True}, ["b/dear"]),
        ({"reasoning": True}, ["b/dear"]),
        ({"structured_output": True}, ["b/dear"]),
        ({"open_weights": True}, ["a/cheap"]),
        ({"kind": "embedding"}, ["b/free"]),
        ({"text": ("DEAR", "one")}, ["b/dear"]),
        ({"text": ("cheap-1",)}, ["a/cheap"]),
        ({"text": ("cheap", "dear")}, []),
    ],
)
def test_a_filter_lets_through(wanted, found):
    assert ids(**wanted) == found


def test_offers_are_those_that_pass_cheapest_first():
    (match,) = select([CHEAP])
    assert [offer.name for offer in match.offers] == ["C", "cheap-1", "unpriced"]
    (match,) = select([CHEAP], ModelFilter(max_price=100))
    assert [offer.name for offer in match.offers] == ["C"]


def test_one_offer_must_pass_all_that_is_asked():
    # The cheap one has a short context, the long one is dearer.
    assert select([CHEAP], ModelFilter(max_price=100, min_context=8000)) == []


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("name", ["a/cheap", "b/dear", "b/free"]),
        ("price", ["b/free", "a/cheap", "b/dear"]),
        ("context", ["b/dear", "a/cheap", "b/free"]),
        ("released", ["b/dear", "a/cheap", "b/free"]),
    ],
)
def test_orders(order, found):
    assert [match.model.id for match in select(MODELS, order=order)] == found


def test_later_days_and_whole_months_come_first():
    days = ("2025-10-01", "2025-09-30", "2026-01-05", "2025")
    models = [Model(id=f"a/{day}", name=day, author="a", released=day, offers=CHEAP.offers) for day in days]
    found = [match.model.released for match in select(models, order="released")]
    assert found == ["2026-01-05", "2025-10-01", "2025-09-30", "2025"]


def test_the_context_of_an_offer():
    assert [context_of(CHEAP, offer) for offer in CHEAP.offers] == [8000, 4000, 8000]


def test_names_that_find_a_model():
    other = Model(id="c/dear", name="Another", author="c", offers=(Offer(provider="t", name="x/y"),))
    catalogue = Catalogue.of((), (CHEAP, DEAR, FREE, other))
    assert catalogue.find("a/cheap") is CHEAP
    assert catalogue.find("cheap") is CHEAP
    assert catalogue.find("q/C") is CHEAP
    assert catalogue.find("t/x/y") is other
    assert catalogue.find("dear") is None  # two are called that
    assert catalogue.find("b/dear") is DEAR
    assert catalogue.find("p/nothing") is None
    assert catalogue.served("p", "dear") == (DEAR, DEAR.offers[0])
