"""Training, end to end on a task that can be learned; and what the file keeps of it."""

import gzip
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.factory.rows import outcomes, write
from weebill.auto.estimator.artefact import ArtefactError, Card, read_embedding, read_model, write_model
from weebill.auto.estimator.estimator import Estimator
from weebill.auto.estimator.features import features
from weebill.factory.evaluation import as_it_is, evaluate, gains_of, plans
from weebill.factory.fitting import FittingError, fit
from weebill.factory.measures import MeasureError, apgr
from weebill.factory.rows import RowsError, folds, read, read_left_out, read_texts, together

CARD = Card(name="toy", made="2026-01-01", licence="none", data=[], recipe="", tiers=["compact", "large"], rows=0)


@pytest.fixture(scope="module")
def embedding():
    return read_embedding()


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return read(write(tmp_path_factory.mktemp("rows") / "toy.jsonl", outcomes(400)))


@pytest.fixture(scope="module")
def model(rows, embedding):
    return fit(rows, embedding, CARD)


def test_what_can_be_learned_is(model, tmp_path):
    router = Estimator(model)
    unseen = read(write(tmp_path / "unseen.jsonl", outcomes(400, seed=1, noise=0)))
    assert apgr(gains_of(router, unseen.prompts), unseen.weak, unseen.strong) == pytest.approx(0.75, abs=0.01)
    hard, easy = router.estimate("Compute 123 * 456 + 78."), router.estimate("Is Oslo or Lima the capital of Peru?")
    assert hard.compact < 0.25 < 0.75 < easy.compact
    assert min(hard.large, easy.large) > 0.9
    assert hard.gain > 0.5 > easy.gain
    assert hard.compact < hard.mid < hard.large


def test_one_side_of_each_row_is_enough_to_learn_from(rows, embedding, tmp_path):
    sided = outcomes(400)
    for at, row in enumerate(sided):
        del row[("weak", "strong")[at % 2]]
    one_side = read(write(tmp_path / "sided.jsonl", sided))
    assert len(one_side.paired()) == 0
    router = Estimator(fit(one_side, embedding, CARD))
    assert apgr(gains_of(router, rows.prompts), rows.weak, rows.strong) > 0.7
    assert list(plans([one_side], few=None)) == []
    for router_of in (
        lambda: as_it_is(router, one_side),
        lambda: fit(one_side.take(np.arange(0, 400, 2)), embedding, CARD),
    ):
        with pytest.raises((MeasureError, FittingError), match="no row"):
            router_of()


def test_only_rows_with_both_sides_are_routed(embedding, tmp_path):
    some = outcomes(600)
    for row in some[:100]:
        del row["weak"]
    rows = read(write(tmp_path / "some.jsonl", some))
    (plan,) = [plan for plan in plans([rows], few=None) if plan.learned_from == "itself, 5 folds"]
    assert evaluate(plan, embedding).measures.rows == 500


def test_chances_are_calibrated(model, rows, tmp_path):
    unseen = read(write(tmp_path / "unseen.jsonl", outcomes(1000, seed=2)))
    router = Estimator(model)
    chances = np.array([router.estimate(prompt).compact for prompt in unseen.prompts])
    assert chances.mean() == pytest.approx(unseen.weak.mean(), abs=0.05)
    low = chances < 0.5
    assert chances[low].mean() == pytest.approx(unseen.weak[low].mean(), abs=0.07)
    assert chances[~low].mean() == pytest.approx(unseen.weak[~low].mean(), abs=0.07)


def test_training_is_reproducible_and_the_file_keeps_all_of_it(model, rows, embedding, tmp_path):
    write_model(model, tmp_path / "router.npz")
    kept, again = read_model(tmp_path / "router.npz"), fit(rows, embedding, CARD)
    assert kept.card == CARD
    assert kept.vocabulary == embedding.vocabulary
    for name in ("ngrams", "pieces", "surface_mean", "surface_scale", "surface", "bias", "calibration", "quantiles"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(model, name))
        np.testing.assert_allclose(getattr(again, name), getattr(model, name), rtol=1e-4, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["router.npz"]


def test_the_router_computes_what_training_did(model, rows, embedding):
    """One text's look-ups and the matrices of many texts are the same function."""
    router, seen = Estimator(model), features(rows.prompts, embedding.vocabulary)
    idf = model.ngrams[:, 0].astype(float)
    for at, prompt in enumerate(rows.prompts[:20]):
        counts = seen.ngrams[at].toarray().ravel()
        grams = counts @ model.ngrams[:, 1:] / np.sqrt(np.square(counts * idf).sum())
        shares = seen.pieces[at].toarray().ravel() @ model.pieces
        standard = np.clip((seen.surface[at] - model.surface_mean) / model.surface_scale, -3, 3)
        pairs = np.outer(standard, standard)[np.triu_indices(len(standard))]
        marks = np.concatenate((standard, pairs)) @ model.surface
        scale, shift = model.calibration
        wanted = scale * (grams + shares[1:] / shares[0] + marks + model.bias) + shift
        np.testing.assert_allclose(router.logits(prompt)[0], wanted, rtol=1e-3, atol=1e-3)


def test_a_tier_in_between_is_learned_where_it_is_recorded(embedding, tmp_path):
    with_mid = [row | {"mid": 1 - 0.9 * (not row["weak"])} for row in outcomes(300, noise=0)]
    rows = read(write(tmp_path / "mid.jsonl", with_mid))
    assert rows.tiers == ("compact", "mid", "large")
    card = msgspec.structs.replace(CARD, tiers=list(rows.tiers))
    hard = Estimator(fit(rows, embedding, card)).estimate("Compute 123 * 456 + 78.")
    assert hard.mid == pytest.approx(0.1, abs=0.1)  # the straight line would be far above


def test_rows_that_teach_nothing_are_refused(embedding, tmp_path):
    same = [row | {"weak": True} for row in outcomes(100)]
    with pytest.raises(FittingError, match="nothing to tell apart"):
        fit(read(write(tmp_path / "same.jsonl", same)), embedding, CARD)
    with pytest.raises(FittingError, match="at least 50"):
        fit(read(write(tmp_path / "few.jsonl", outcomes(49))), embedding, CARD)


def test_evaluation_never_routes_what_it_learned_from(tmp_path):
    twice = [*outcomes(600), *outcomes(100)]
    sets = [read(write(tmp_path / "a.jsonl", twice)), read(write(tmp_path / "b.jsonl", outcomes(600, seed=3)))]
    planned = list(plans(sets, few=200))
    assert {plan.learned_from for plan in planned} == {
        *("itself, 5 folds", "200 of its rows", "a", "b", "all sets, 5 folds"),
    }
    for plan in planned:
        for split in plan.splits:
            assert not set(split.train.prompts) & set(split.test.prompts)


def test_evaluation_finds_what_there_is(embedding, tmp_path):
    rows = read(write(tmp_path / "a.jsonl", outcomes(600, noise=0)))
    result = evaluate(next(plans([rows], None)), embedding)
    assert result.measures.rows == 600
    assert result.measures.apgr.value == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2: "),
        ('{"prompt": "x"}', "line 2: neither `weak` nor `strong`"),
        ('{"prompt": "x", "weak": 2, "strong": 1}', "line 2: `weak` is from 0 to 1, not 2"),
        ('{"prompt": "x", "weak": "no", "strong": 1}', "line 2: .*weak"),
        ('{"prompt": "x", "weak": 0, "strong": 1, "mid": 1}', "1 of 2 rows have `mid`"),
        ('{"prompt": "' + "x" * (1 << 20) + '"}', "line 2 is longer than"),
    ],
)
def test_rows_that_cannot_be_read_say_where(line, says, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a", "weak": false, "strong": true}\n' + line)
    with pytest.raises(RowsError, match=says):
        read(path)


def test_rows_are_read_gzipped_and_left_out(tmp_path):
    written = write(tmp_path / "rows.jsonl", outcomes(20))
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(written.read_bytes()))
    assert read(packed).prompts == read(written).prompts
    first = read(written).prompts[0]
    out = tmp_path / "out.jsonl"
    out.write_text('{"eval_prompt": ' + msgspec.json.encode(first).decode() + "}\n")
    assert first not in read(packed, read_left_out(out)).prompts
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(RowsError, match="gzip"):
        read(packed)


def test_texts_are_read_from_what_there_is(tmp_path):
    jsonl, table = tmp_path / "texts.jsonl", tmp_path / "texts.csv"
    jsonl.write_text('{"prompt": "a"}\n{"question": "b", "answer": 1}\n{"text": "c"}\n')
    table.write_text('text,category\n"d, e",x\n')
    assert (read_texts(jsonl), read_texts(table)) == (["a", "b", "c"], ["d, e"])
    table.write_text("other\nx\n")
    with pytest.raises(RowsError, match="no texts"):
        read_texts(table)


def test_sets_of_other_tiers_are_not_mixed(tmp_path):
    two = read(write(tmp_path / "two.jsonl", outcomes(10)))
    three = read(write(tmp_path / "three.jsonl", [row | {"mid": 1} for row in outcomes(10)]))
    with pytest.raises(RowsError, match="mid"):
        together([two, three], "both")


def test_folds_depend_on_the_key_alone():
    keys = [f"prompt {at}" for at in range(1000)]
    found = folds(keys, 5)
    assert folds(keys[::-1], 5).tolist() == found[::-1].tolist()
    assert np.bincount(found, minlength=5).min() > 150


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_a_file_that_is_no_router_is_refused(data, tmp_path):
    path = tmp_path / "router.npz"
    path.write_bytes(data)
    with pytest.raises(ArtefactError):
        read_model(path)


def test_a_pickle_is_never_read(tmp_path):
    path = tmp_path / "router.npz"
    with path.open("wb") as file:
        np.savez(file, card=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ArtefactError):
        read_model(path)


def test_a_router_of_another_format_is_refused(model, tmp_path):
    path = tmp_path / "router.npz"
    for card, says in (
        (msgspec.structs.replace(CARD, format=99), "format 99"),
        (msgspec.structs.replace(CARD, tiers=["large"]), "tiers"),
        (msgspec.structs.replace(CARD, tiers=["compact", "mid", "large"]), "3 tiers"),
    ):
        write_model(replace(model, card=card), path)
        with pytest.raises(ArtefactError, match=says):
            read_model(path)
