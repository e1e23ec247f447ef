"""Profiles: whose figures a model has, and the chance that they give a request."""

import msgspec
import pytest

from tests.rows import every
from weebill.auto.profiles import (
    ACCEPTABLE,
    REACH,
    Profile,
    ProfileError,
    Share,
    chance,
    find,
    read_own,
    size_of,
)

LANGUAGES = {"en": Share(0.8, 14), "es": Share(0.7, 14), "ar": Share(0.0, 14)}


def profile(**given) -> Profile:
    kinds = {"fact": Share(0.8, 16), "maths": Share(0.1, 16), "options": Share(0.3, 16, 0.25), "json": Share(0.9, 16)}
    about = {"models": ("tiny",), "basis": "measured", "date": "2025-01-01", "source": "", "kinds": kinds}
    return Profile(**(about | {"languages": LANGUAGES, "follow_up": Share(0.3, 10), "context": 2048} | given))


@every(
    ("name", "billions"),
    [
        ("smollm2:135m", 0.135),
        ("llama-3.1-8b-instruct", 8),
        ("qwen2.5:0.5b", 0.5),
        ("mixtral-8x7b-instruct", 56),
        ("gemma-3n-e4b-it", 4),
        ("qwen3-235b-a22b", 235),
        ("gpt-4o-mini", 0),
        ("claude-3-5-haiku-20241022", 0),
        ("4bit", 0),
    ],
)
def test_a_name_may_tell_a_size(name, billions):
    assert size_of(name) == pytest.approx(billions)


@every(
    ("name", "local", "basis"),
    [
        ("smollm2:135m", True, "measured"),
        ("smollm2:360m", True, "size"),
        ("openai/gpt-4o", False, "published"),
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0", False, "published"),
        ("anthropic/claude-opus-4-5", False, "published"),
        ("meta.llama3-1-70b-instruct-v1:0", False, "size"),
        ("gpt-j-6b", False, "size"),
        ("mystery", True, "unknown"),
        ("mystery", False, "unknown"),
    ],
)
def test_a_model_has_a_profile_by_its_name_its_size_or_its_place(name, local, basis):
    assert find(name, local, ()).basis == basis


def test_small_models_of_a_family_are_told_from_its_large_ones():
    pairs = [("gpt-5-mini", "gpt-5"), ("claude-haiku-4-5", "claude-opus-4-5"), ("gemini-3-flash", "gemini-3-pro")]
    for small, large in pairs:
        assert chance(find(small, False, ()), "options").mean < chance(find(large, False, ()), "options").mean


def test_larger_sizes_are_expected_to_do_more():
    means = [chance(find(f"some-{size}", True, ()), "maths").mean for size in ("135m", "1b", "3b", "8b", "32b")]
    assert means == sorted(means)


def test_every_shipped_profile_names_its_origin_and_has_shares():
    names = ("smollm2:135m", "smollm2:360m", "gpt-4o", "some-1b", "some-70b", "mystery")
    for name in names:
        found = find(name, True, ())
        assert found.source
        assert found.date >= "2024"
        assert all(0 <= share.right <= 1 and share.asked > 0 for share in found.kinds.values())


def test_own_profiles_come_first(tmp_path):
    (tmp_path / "a.json").write_bytes(msgspec.json.encode(profile(models=("gpt-4o",))))
    own = read_own(tmp_path)
    assert find("openai/gpt-4o", False, own).basis == "measured"
    assert find("gpt-4.1", False, own).basis == "published"
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(ProfileError, match=r"b\.json is not a profile"):
        read_own(tmp_path)
    assert read_own(tmp_path / "none") == ()


def test_kinds_with_few_tasks_are_drawn_to_the_mean_of_all():
    many, few = (
        chance(profile(kinds={"fact": Share(1.0, 100), "maths": Share(0.0, asked)}), "maths").mean
        for asked in (100.0, 1.0)
    )
    assert many < 0.1 < 0.5 < few
    assert chance(profile(), "summary").mean == pytest.approx(profile().overall)


@every(
    ("request_", "cannot"),
    [
        ({"kind": "fact"}, ""),
        ({"kind": "maths"}, "maths"),
        ({"kind": "options"}, "options"),  # as good as guessing
        ({"kind": "fact", "language": "en"}, ""),
        ({"kind": "fact", "language": "es"}, ""),
        ({"kind": "fact", "language": "ar"}, "ar"),
        ({"kind": "fact", "language": "th"}, "th"),
        ({"kind": "fact", "context": 2048}, ""),
        ({"kind": "fact", "context": 2049}, "context"),
        ({"kind": "fact", "json": True}, ""),
        ({"kind": "fact", "tools": True}, "tools"),  # not measured, not assumed
        ({"kind": "media"}, "media"),
        ({"kind": "summary"}, ""),
    ],
)
def test_cannot_names_the_part_of_a_request_that_is_out_of_reach(request_, cannot):
    assert chance(profile(), **request_).cannot == cannot


def test_whatever_is_harder_lowers_the_chance():
    easy = chance(profile(), "fact")
    for harder in ({"language": "es"}, {"language": "ar"}, {"context": 9999}, {"follow_up": True}):
        assert chance(profile(), "fact", **harder).mean < easy.mean
    assert chance(profile(), "fact", tools=True).mean < easy.mean
    assert chance(profile(), "fact", "en").mean == easy.mean == chance(profile(), "fact", json=True).mean


def test_a_chance_counts_for_some_outcomes_and_no_more_than_its_tasks():
    found = chance(profile(), "fact")
    assert found.a + found.b == pytest.approx(found.weight)
    assert found.a / found.weight == pytest.approx(found.mean)
    assert 1 < found.weight < REACH["measured"]
    assert chance(profile(kinds={"fact": Share(0.8, 1)}), "fact").weight < 1
    assert 0 < chance(profile(kinds={"fact": Share(0.0, 1e9)}), "fact").mean < ACCEPTABLE


def test_a_profile_without_figures_expects_a_half():
    assert chance(profile(kinds={}, languages={}, follow_up=None, context=0), "fact", "ar").mean == 0.5
