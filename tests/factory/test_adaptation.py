"""The prior over pairs of models, and the measurement of adaptation, on models that fail at arithmetic."""

import math

import numpy as np
import pytest

from bench.adaptation import make, table
from tests.factory.rows import scores, write
from weebill.auto.estimator.embedding import Embedder
from weebill.auto.estimator.features import no_report
from weebill.factory.adaptation import ALL, adaptation, summary
from weebill.factory.measures import calibration_error
from weebill.factory.pairs import pairs, texts_of
from weebill.factory.priors import moments_of, spread
from weebill.factory.rows import RowsError
from weebill.factory.scores import read_scores, seen_in, shingles

SKILLS = {"weak": (0.1, 0.8), "weaker": (0.15, 0.7), "strong": (0.95, 0.95)}
SOURCES = ("one_exam", "two_exam", "three_exam")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    return [
        read_scores(write(folder / f"{name}.jsonl", scores(120, SKILLS, seed))) for seed, name in enumerate(SOURCES)
    ]


@pytest.fixture(scope="module")
def texts(sets):
    return texts_of(sets, Embedder.load(), no_report)


@pytest.fixture(scope="module")
def every(sets, texts):
    return list(pairs(sets, texts))


@pytest.fixture(scope="module")
def figures(sets, texts, every):
    return list(adaptation(every, {each.source: [of] for each, of in zip(sets, texts, strict=True)}, no_report))


def test_pairs_have_something_to_gain(every):
    assert {pair.source for pair in every} == {"one", "two", "three"}
    for pair in every:
        weak, strong = pair.outcomes.mean(0)
        assert strong - weak >= 0.1
        assert pair.models[1] == "strong"


def test_other_sources_tell_in_which_order_to_route(figures):
    unseen = summary([each for each in figures if each.outcomes == 0]).apgr
    assert unseen.value > 0.55
    assert unseen.low <= unseen.value <= unseen.high


def test_own_outcomes_tell_how_sure_to_be(figures):
    """The order is known from the other sources already, which made the same models."""
    none, fifty, both = (summary([each for each in figures if each.outcomes == outcomes]) for outcomes in (0, 50, ALL))
    assert none.small_error.value > 0.2
    assert fifty.small_error.value < 0.15
    assert both.small_error.value < 0.1
    assert fifty.apgr.value > 0.6


def test_a_pair_with_fewer_prompts_than_wanted_is_not_measured(figures):
    assert {each.outcomes for each in figures} == {0, 50, ALL}


def test_the_report_has_a_row_for_each_number_of_outcomes(figures):
    assert [row[:2] for row in table(figures)] == [
        ("all files", "0"),
        ("all files", "50"),
        ("all files", "all, both tiers"),
    ]


def test_a_prior_is_made_of_all_sources(sets, texts, every):
    made = make(sets, texts, "none")
    assert made.card.rows == 360
    assert made.prior.mean[0, 0] < made.prior.mean[1, 0]
    start = spread(made.projection)
    sums = np.mean([moments_of(pair, made.projection).scores[0] for pair in every], axis=0)
    assert (made.prior.mean[0] - start.mean[0]) @ sums != 0


def test_files_of_one_source_are_a_mixture(tmp_path):
    files = [
        write(
            tmp_path / f"one_{kind}.jsonl",
            [row | {"prompt": f"{kind}: {row['prompt']}"} for row in scores(80, SKILLS, seed)],
        )
        for seed, kind in enumerate("ab")
    ]
    two = [read_scores(path) for path in files]
    found = list(pairs(two, texts_of(two, Embedder.load(), no_report)))
    assert {(pair.name, pair.mixture, len(pair.outcomes)) for pair in found} == {
        ("one_a", False, 80),
        ("one_b", False, 80),
        ("one", True, 160),
    }


def test_a_prompt_in_other_instructions_is_seen():
    question = "A train leaves at noon and goes sixty miles an hour until it meets another train"
    known = shingles(question)
    wrapped = shingles(f"Answer with one letter. {question} . Answer:")
    other = shingles("A ship leaves at dawn and makes ten knots until it meets a lighthouse on its way")
    seen = seen_in(known)
    assert seen(wrapped)
    assert not seen(other)


def test_calibration_error_by_hand():
    chance, outcome = np.array([0.05, 0.05, 0.95, 0.95]), np.array([0.0, 1, 1, 1])
    assert calibration_error(chance, outcome) == pytest.approx((2 * 0.45 + 2 * 0.05) / 4)


@pytest.mark.parametrize(
    ("row", "words"),
    [({"prompt": "x", "models": {"a": 2.0}}, "from 0 to 1"), ({"models": {}}, "line 1"), (None, "no scores")],
)
def test_what_cannot_be_read_is_refused(tmp_path, row, words):
    with pytest.raises(RowsError, match=words):
        read_scores(write(tmp_path / "wrong.jsonl", [] if row is None else [row]))


def test_a_model_with_few_scores_is_left_out(tmp_path):
    rows = scores(20, SKILLS)
    for row in rows[:5]:
        del row["models"]["weaker"]
    found = read_scores(write(tmp_path / "some.jsonl", rows))
    assert found.models == ("strong", "weak")
    assert not math.isnan(found.scores.sum())
