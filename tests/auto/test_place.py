"""The features of texts, and the prior over their weights that is shipped."""

from dataclasses import replace

import numpy as np
import pytest

from weebill.auto.estimator.artefact import ArtefactError
from weebill.auto.estimator.embedding import Embedder
from weebill.auto.moments import Moments
from weebill.auto.place import PRIOR, Places, read, read_prior, write_prior
from weebill.auto.posterior import posterior


@pytest.fixture(scope="module")
def shipped():
    return read_prior()


@pytest.fixture(scope="module")
def embedder():
    return Embedder.load()


@pytest.fixture(scope="module")
def places(shipped, embedder):
    return Places(shipped.projection, embedder)


def test_it_is_small(shipped):
    assert PRIOR.stat().st_size <= 1 << 20
    assert shipped.projection.dimensions <= 96


@pytest.mark.parametrize("text", ["", " ", "x", "你好，世界", "🦆" * 30_000, "\x00\ud800", "word " * 100_000])
def test_every_text_has_finite_features(places, shipped, text):
    features = places.features(text)
    assert features.shape == (shipped.projection.dimensions,)
    assert np.isfinite(features).all()
    assert features[0] == 1
    assert np.linalg.norm(features) < 6


def test_rows_at_once_are_the_same_as_one_by_one(places, shipped, embedder):
    texts = ["Where is my parcel?", "Prove that 7 is prime.", ""]
    vectors, marks = zip(*(read(embedder, text) for text in texts), strict=True)
    together = shipped.projection.features(np.array(vectors), np.array(marks))
    assert np.allclose(together, [places.features(text) for text in texts])


def test_a_few_outcomes_tell_two_kinds_of_requests_apart(places, shipped):
    """The small tier fails at sums and is right about capitals: the outcomes of other requests show it."""
    sums = [f"Compute {each} * {each + 17} + {3 * each}." for each in range(101, 125)]
    lands = ("Peru", "France", "Egypt", "Ghana", "India", "Cuba", "Chad", "Mali")
    capitals = [f"What is the capital of {land}?" for land in lands]
    moments = Moments.none(2, shipped.projection.dimensions)
    for text in sums[:12]:
        moments = moments.with_outcome(places.features(text), 0, 0.0)
    for text in capitals[:6]:
        moments = moments.with_outcome(places.features(text), 0, 1.0).with_outcome(places.features(text), 1, 1.0)
    known = posterior(shipped.prior, moments)
    gains = [float(np.subtract(*known.predict(places.features(text)).mean[::-1])) for text in sums[12:] + capitals[6:]]
    assert min(gains[:-2]) > max(gains[-2:])


def test_the_file_keeps_all_of_it(shipped, tmp_path):
    write_prior(shipped, tmp_path / "prior.npz")
    again = read_prior(tmp_path / "prior.npz")
    assert again.card == shipped.card
    assert again.projection.name == shipped.projection.name
    assert np.allclose(again.prior.mean, shipped.prior.mean)


def test_other_features_have_another_name(shipped):
    moved = replace(shipped.projection, centre=shipped.projection.centre + 0.1)
    assert moved.name != shipped.projection.name


def test_a_prior_that_does_not_fit_is_refused(shipped, tmp_path):
    cut = replace(shipped.prior, mean=shipped.prior.mean[:, :-1])
    write_prior(replace(shipped, prior=cut), tmp_path / "prior.npz")
    with pytest.raises(ArtefactError, match="of shape"):
        read_prior(tmp_path / "prior.npz")
    (tmp_path / "text.npz").write_bytes(b"text")
    with pytest.raises(ArtefactError):
        read_prior(tmp_path / "text.npz")
