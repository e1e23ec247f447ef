"""The package's own artefact: what it says of texts, how it is kept, and what it needs."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weebill.auto.estimator.artefact import EMBEDDING, ROUTER
from weebill.auto.estimator.estimator import Estimator

OURS = Estimator.load()
EASY = "What is the capital of France?\nA. Paris\nB. Lyon\nC. Nice\nD. Lille\nAnswer:"
HARD = (
    "Maria sells 24 boxes a day for 5 days, each with 12 pencils at $0.75, and pays 3 workers $45 a day. She then "
    "spends a third of what is left on rent, and half of the rest on a machine that makes 20% more boxes each day for "
    "the next two weeks. If the price falls by a tenth, how many dollars does she have after the three weeks?"
)


def test_the_artefact_is_small_and_says_what_it_is():
    assert ROUTER.stat().st_size + EMBEDDING.stat().st_size <= 10_000_000
    card = OURS.card
    assert (card.licence, card.tiers) == ("Apache-2.0", ["compact", "large"])
    assert card.data
    assert card.figures
    assert "weebill router train" in card.recipe


def test_hard_is_told_from_easy():
    easy, hard = OURS.estimate(EASY), OURS.estimate(HARD)
    assert hard.compact < easy.compact
    assert hard.gain > easy.gain + 0.2
    for each in (easy, hard):
        assert each.compact < each.mid < each.large
        assert each.improvement == each.large - each.compact


@settings(deadline=None)
@given(st.text(max_size=500))
def test_every_text_has_an_estimate(text):
    chances = OURS.estimate(text)
    assert all(0 <= chance <= 1 for chance in chances)


@pytest.mark.parametrize("text", ["", " \n", "\x00", "\ud800", "🙂" * 5000, "a" * 1_000_000, "1 " * 100_000])
def test_odd_texts_have_an_estimate_and_a_vector(text):
    assert all(0 <= chance <= 1 for chance in OURS.estimate(text))
    assert np.isfinite(OURS.embed(text)).all()


def test_an_estimate_depends_on_nothing_but_the_text():
    fresh = Estimator.load()
    before = fresh.estimate(HARD)
    for at in range(2000):
        fresh.estimate(f"something else, number {at}")
    assert fresh.estimate(HARD) == before == OURS.estimate(HARD)


def test_estimates_are_the_same_in_another_process_and_need_numpy_alone():
    script = (
        "import sys, json\n"
        "from weebill.auto.estimator.estimator import Estimator\n"
        "router = Estimator.load()\n"
        f"print(json.dumps([router.estimate({HARD!r}), router.embed({EASY!r}).tolist()]))\n"
        "print(json.dumps(sorted(name for name in sys.modules if '.' not in name)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    said, loaded = map(json.loads, result.stdout.splitlines())
    assert said[0] == pytest.approx(list(OURS.estimate(HARD)))
    np.testing.assert_allclose(said[1], OURS.embed(EASY), rtol=1e-5)
    assert not {"scipy", "matplotlib", "torch", "asyncio", "socket"} & set(loaded)


def test_gains_spread_over_the_scale():
    gains = sorted(
        OURS.estimate(f"{question}\nA. {a}\nB. {b}\nC. {c}\nD. {d}\nAnswer:").gain
        for question in ("Which planet is largest?", "What is 17 * 23?", "Who wrote Hamlet?", "Define entropy.")
        for a, b, c, d in (("1", "2", "3", "4"), ("one of these", "that one", "none", "all of the above"))
    )
    assert gains[0] < gains[-1]
    assert all(0 <= gain <= 1 for gain in gains)


def test_vectors_are_of_unit_length_and_near_where_the_meaning_is():
    card, arrival, recipe = map(
        OURS.embed, ("My card has not arrived yet.", "When will my new card arrive?", "How do I bake a chocolate cake?")
    )
    assert np.linalg.norm(card) == pytest.approx(1, abs=1e-5)
    assert card.dtype == np.float32
    assert card @ arrival > 0.6
    assert card @ recipe < 0.3
    assert not OURS.embed("").any()


def test_threads_may_share_a_router():
    router, texts = Estimator.load(), [f"{HARD} {at}" for at in range(300)]
    wanted = [OURS.estimate(text) for text in texts]
    seen: list[bool] = []
    threads = [
        threading.Thread(target=lambda: seen.append([router.estimate(text) for text in texts] == wanted))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 4
