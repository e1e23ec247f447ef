"""Features: fixed values, so that an artefact means the same on every machine; and every text has some."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.auto.estimator import wordpiece
from weebill.auto.estimator.text import BUCKETS, MAX_CHARS, SURFACE, chunks, ngrams, surface, tokens, visible
from weebill.auto.estimator.wordpiece import Words

VOCABULARY = ("un", "##believ", "##able", "able", "2", "##2", "?")


def read(text):
    return [token for chunk in chunks(text) for token in tokens(chunk)]


def test_tokens_are_words_single_digits_and_signs():
    assert read("What's 2024_x?\nÉté—naïve") == ["what", "'", "s", *"2024", "_", "x", "?", "été", "—", "naïve"]


def test_hashes_are_the_same_everywhere():
    hashes, _ = Words(VOCABULARY).read("The cat sat")
    assert hashes.tolist() == [0x3C456DE6, 0x9E5E43A8, 0x8278E0D8]


def test_ngrams_are_counted():
    hashes = np.array([7, 7, 7, 9], np.uint32)
    buckets, weights = ngrams(hashes)
    assert buckets.tolist() == sorted(set(buckets.tolist()))
    # 7 three times, "7 7" twice, 9 and "7 9" once.
    assert sorted(weights.tolist()) == [1, 1, np.float32(1 + np.log(2)), np.float32(1 + np.log(3))]


def test_pieces_are_the_longest_that_fit():
    _, rows = Words(VOCABULARY).read("Unbelievable able? 22 unknowable")
    assert [VOCABULARY[row] for row in rows] == ["un", "##believ", "##able", "able", "?", "2", "2"]


def test_the_cache_of_words_is_bounded(monkeypatch):
    monkeypatch.setattr(wordpiece, "MAX_KNOWN_CHUNKS", 100)
    words = Words(VOCABULARY)
    for at in range(1000):
        words.read(f"word{at} " + "x" * 1000 + str(at))
        assert len(words) <= 100
    assert "x" * 1000 + "1" not in words


@pytest.mark.parametrize("joined", [" ", "-"])
def test_of_a_text_without_end_the_first_words_are_split(joined, monkeypatch):
    monkeypatch.setattr(wordpiece, "MAX_SPLIT_CHUNKS", 2)
    monkeypatch.setattr(wordpiece, "MAX_SPLIT_TOKENS", 3)
    words = Words(("un", "able", "##able", "##believ"))
    assert words.read("unable")[1].tolist() == [0, 2]
    hashes, rows = words.read(joined.join(("able", "unbelievable", "able", "unable")))
    assert rows.tolist() == [1, 0, 3, 2, 1]
    assert len(hashes) == (4 if joined == " " else 7)


@given(st.text(alphabet="abél-2 é字", max_size=60))
def test_pieces_are_those_of_the_plain_definition(text):
    vocabulary = ("a", "b", "ab", "abé", "##a", "##b", "##él", "##abl", "##abla", "字", "-", "2")
    plain = [row for token in read(text) for row in longest_first(token, vocabulary)]
    assert Words(vocabulary).read(text)[1].tolist() == plain


def longest_first(token, vocabulary):
    rows, rest, prefix = [], token, ""
    while rest:
        fits = [end for end in range(1, len(rest) + 1) if prefix + rest[:end] in vocabulary]
        if not fits:
            return []
        rows.append(vocabulary.index(prefix + rest[: fits[-1]]))
        rest, prefix = rest[fits[-1] :], "##"
    return rows


def test_a_long_text_is_seen_at_both_ends():
    text = "start " + "x" * 10 * MAX_CHARS + " end"
    assert len(visible(text)) <= MAX_CHARS + 1
    assert visible(text).startswith("start")
    assert visible(text).endswith("end")
    assert visible("short") == "short"


@given(st.text())
def test_every_text_has_features(text):
    seen = visible(text)
    hashes, _ = Words(VOCABULARY).read(seen)
    values = surface(seen, len(hashes))
    assert values.shape == (len(SURFACE),)
    assert np.isfinite(values).all()
    if len(hashes):
        buckets, weights = ngrams(hashes)
        assert (np.diff(buckets.astype(int)) > 0).all()
        assert buckets[-1] < BUCKETS
        assert (weights >= 1).all()


def test_surface_is_what_its_names_say():
    text = 'Is "x" = 12, or not 3?\nA. yes\nB. no\n'
    value = dict(zip(SURFACE, surface(text, 20).tolist(), strict=True))
    counts = {"digits": 3, "capitals": 3, "lines": 3, "question marks": 1, "commas": 1, "quotation marks": 2}
    for name, count in counts.items():
        assert round(np.expm1(value[name])) == count
    assert round(np.expm1(value["characters before options to choose from"])) == text.index("\nA.")
    assert round(np.expm1(value["negations"])) == 1
    assert value["signs beyond ASCII"] == 0
