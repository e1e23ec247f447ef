"""The doubt about gains: its size, its bytes, and where it is large."""

import numpy as np
import pytest

from weebill.auto.doubt import DOUBT, Doubt
from weebill.auto.estimator.embedding import Embedder
from weebill.auto.gains import packed
from weebill.auto.learning import Lesson, Pair
from weebill.auto.learnt import Learnt
from weebill.auto.place import Places, read_prior
from weebill.learner.belief import initial
from weebill.storage.outcomes import Outcome

PAIR = Pair("s/small", "l/large", "place-1")


def row(width: int, place: int, value: float) -> np.ndarray:
    found = np.zeros(width)
    found[0], found[place] = 1.0, value
    return found


def test_it_is_some_standard_deviations_of_the_gain():
    factor = np.random.default_rng(0).normal(size=(4, 4))
    covariance, features = factor @ factor.T, np.random.default_rng(1).normal(size=(5, 4))
    expected = DOUBT * np.sqrt(np.diag(features @ covariance @ features.T))
    doubt = Doubt.of(covariance)
    np.testing.assert_allclose(doubt(features), expected)
    assert doubt.about(features[0]) == pytest.approx(expected[0])
    np.testing.assert_allclose(Doubt.decoded(doubt.encoded())(features), expected, rtol=1e-5)


def test_requests_unlike_those_that_were_audited_are_doubtful():
    belief = initial(PAIR)
    known, unlike = row(belief.width, 1, 0.3), row(belief.width, 2, 0.3)
    features = [packed(known), packed(unlike)]
    before = belief.expect(features).doubt
    belief.learn(Outcome(str(at), "audit", at, "large", features[0], 1.0, 1.0, 1.0, 0) for at in range(100))
    after = belief.expect(features).doubt
    assert after[0] < before[0] / 2
    assert after[0] < after[1] < before[1]


def test_a_worker_expects_what_the_learner_does():
    belief = initial(PAIR)
    features = [packed(row(belief.width, 1, each)) for each in (-0.3, 0.2)]
    belief.learn(Outcome(str(at), "audit", at, "large", features[0], 1.0, 1.0, 1.0, 0) for at in range(40))
    lesson = Lesson(
        source="a", version=1, pair=PAIR, decisions=40, posterior=belief.encoded(), doubt=belief.doubt()
    )  # fmt: skip
    projection = read_prior().projection
    worker = Learnt(Places(projection, Embedder.load()), projection.name)
    found = [worker.expect(each, lesson) for each in features]
    np.testing.assert_allclose(np.transpose(found), belief.expect(features), atol=1e-4)


def test_a_lesson_without_doubt_has_none() -> None:
    """It is of a learner that was started before an update."""
    belief = initial(PAIR)
    learnt = Learnt.load(Embedder.load())
    features = packed(row(belief.width, 1, 0.3))
    found = learnt.expect(features, Lesson(source="a", version=1, pair=PAIR, decisions=0, posterior=belief.encoded()))
    assert found.doubt == 0.0
