"""An installation's own prices over the package's."""

import os
import stat

import pytest

from weebill.catalog.load import DATA, load
from weebill.catalog.overlay import Overlay, OverlayError, merge, merge_into, read, write
from weebill.catalog.schema import Model, Offer, Price

OWN = Offer(provider="openai", name="gpt-4o-mini", price=Price(input=1, output=2))
NEW = Model(id="x/new", name="New", author="x", offers=(Offer(provider="openai", name="new"),))


def test_without_a_file_it_is_the_package_and_read_once(tmp_path):
    assert load() is load() is load(tmp_path / "none.json")
    assert read(tmp_path / "none.json") == Overlay()


def test_offers_replace_and_models_are_added(tmp_path):
    path = tmp_path / "catalog.json"
    write(path, Overlay(source="me", date="2026-07-03", offers=(OWN,), models=(NEW,)))
    catalogue = load(path)
    model, offer = catalogue.served("openai", "gpt-4o-mini")
    assert offer == OWN
    assert [each for each in model.offers if each != OWN] == [
        each for each in load().models[model.id].offers if each.provider != "openai"
    ]
    assert catalogue.find("x/new") == NEW
    assert list(catalogue.models) == sorted(catalogue.models)
    assert (catalogue.date, catalogue.source.endswith("; me")) == ("2026-07-03", True)
    assert load().served("openai", "gpt-4o-mini")[1] != OWN


def test_a_changed_file_is_read_anew(tmp_path):
    path = tmp_path / "catalog.json"
    write(path, Overlay(offers=(OWN,)))
    first = load(path)
    assert load(path) is first
    other = Offer(provider="openai", name="gpt-4o-mini", price=Price(input=333, output=2))
    write(path, Overlay(offers=(other,)))
    assert load(path).served("openai", "gpt-4o-mini")[1] == other
    path.unlink()
    assert load(path) is load()


def test_the_file_reads_well_and_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "catalog.json"
    overlay = Overlay(source="s", date="d", offers=(OWN, OWN), models=(NEW,))
    write(path, overlay)
    assert read(path) == overlay
    assert len(path.read_text().splitlines()) == 11
    assert [each.name for each in tmp_path.iterdir()] == ["catalog.json"]
    write(path, Overlay())
    assert read(path) == Overlay()


@pytest.mark.parametrize("text", ["", "[]", '{"offers": [{"provider": "a"}]}', '{"surprise": 1}'])
def test_a_file_that_is_none_is_refused_by_name(tmp_path, text):
    path = tmp_path / "catalog.json"
    path.write_text(text)
    with pytest.raises(OverlayError, match=r"catalog\.json is no catalogue overlay"):
        load(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "catalog.json"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(OverlayError, match="Permission denied"):
        load(path)


def test_offers_that_nobody_has_any_more_are_left_out():
    stale = Offer(provider="openai", name="gone")
    assert merge([NEW], Overlay(offers=(stale,))) == [NEW]


def test_a_new_model_that_the_package_has_learnt_meanwhile_is_not_doubled():
    taught = Model(id="x/new", name="Better name", author="x", offers=(OWN,))
    (merged,) = merge([taught], Overlay(models=(NEW,)))
    assert (merged.name, merged.offers) == ("Better name", (OWN, NEW.offers[0]))
    (merged,) = merge([merged], Overlay(models=(NEW,)))
    assert len(merged.offers) == 2


def test_offers_of_added_models_can_change_too():
    changed = Offer(provider="openai", name="new", price=Price(input=5, output=6))
    (merged,) = merge([], Overlay(offers=(changed,), models=(NEW,)))
    assert merged.offers == (changed,)


def test_overlays_accumulate():
    first = merge_into(Overlay(), [OWN], [NEW], "one", "2026-01-01")
    newer = Offer(provider="openai", name="gpt-4o-mini", price=Price(input=7, output=8))
    more = Model(id="x/new", name="New", author="x", offers=(Offer(provider="groq", name="new"),))
    second = merge_into(first, [newer], [more], "two", "2026-02-02")
    assert second.offers == (newer,)
    assert [offer.provider for model in second.models for offer in model.offers] == ["openai", "groq"]
    assert (second.source, second.date) == ("two", "2026-02-02")


def test_the_package_holds_data_only():
    assert sorted(path.name for path in DATA.iterdir()) == [
        *("flagships.json", "models.json", "providers.json", "traits.json")
    ]
    assert all(not path.stat().st_mode & stat.S_IXUSR for path in DATA.iterdir())
