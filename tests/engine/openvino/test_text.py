"""From tokens to text, however they are cut."""

import itertools
import random

import pytest

from weebill.engine.openvino.text import Characters, Delta, StopWords, Thoughts
from weebill.engine.openvino.tokens import MOST_BYTES, pieces_of, specials_of

TEXT = "Grüße aus 東京 👩‍👩‍👧, e\u0301nd."


def test_characters_come_when_all_of_their_bytes_are_there():
    pieces = [bytes([byte]) for byte in TEXT.encode()]
    characters = Characters(pieces)
    told = [characters.feed(token) for token in range(len(pieces))]
    assert "".join(told) + characters.finish() == TEXT
    assert "\ufffd" not in "".join(told)
    assert max(map(len, told)) == 1


def test_what_never_becomes_a_character_is_told_at_the_end():
    characters = Characters(["é".encode()[:1], b""])
    assert characters.feed(0) == characters.feed(1) == characters.feed(99) == ""
    assert characters.finish() == "\ufffd"


@pytest.mark.parametrize(
    ("words", "said", "met"),
    [
        (["Paris"], "It is ", "Paris"),
        (["Paris", "is"], "It ", "is"),
        (["is Paris", "is"], "It ", "is"),
        (["London"], "It is Paris, and Par", None),
        (["", "and Paris"], "It is Paris, and Par", None),
        ([], "It is Paris, and Par", None),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 50])
def test_words_end_an_answer_and_are_not_told(words, said, met, size):
    text, stop, told = "It is Paris, and Par", StopWords(words), ""
    for at in range(0, len(text), size):
        told += stop.feed(text[at : at + size])
        if stop.met:
            break
    assert (told + stop.finish(), stop.met) == (said, met)


@pytest.mark.parametrize(
    ("inside", "text", "said", "thought"),
    [
        (False, "<think>\nSo, 2 < 3.\n</think>\n\nYes.", "Yes.", "So, 2 < 3."),
        (False, "\n<think></think>Yes.", "Yes.", ""),
        (True, "So.</think>\nYes </think>", "Yes </think>", "So."),
        (True, "So, and then", "", "So, and then"),
        (False, "<thin ice>", "<thin ice>", ""),
        (False, " Yes, <think>", " Yes, <think>", ""),
        (False, "<thi", "<thi", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 99])
def test_thoughts_are_told_from_the_answer(inside, text, said, thought, size):
    thoughts = Thoughts(inside)
    deltas = [thoughts.feed(text[at : at + size]) for at in range(0, len(text), size)]
    deltas.append(thoughts.finish())
    found = Delta("".join(each.said for each in deltas), "".join(each.thought for each in deltas))
    assert found == Delta(said, thought)


def test_long_texts_are_cut_where_words_end():
    source = random.Random(14)
    words = ("word", " second", "\n", "don't", "日本", "。", "<|im_end|>", "12", " ", "straße", "-")
    text = "".join(source.choice(words) for _ in range(9000))
    specials = specials_of(["<|im_end|>", "<|im_start|>"])
    pieces = list(pieces_of(text, specials))
    assert "".join(pieces) == text
    assert max(len(piece.encode()) for piece in pieces) <= MOST_BYTES
    assert sum(piece == "<|im_end|>" for piece in pieces) == text.count("<|im_end|>")
    ends = [piece for piece in pieces if piece != "<|im_end|>"]
    for piece, after in itertools.pairwise(ends):
        if text.find(piece + after) >= 0 and len(piece) > 1000:
            assert piece[-1].isalpha()
            assert not after[0].isalnum()
    assert list(pieces_of("short", specials)) == ["short"]
    assert len(list(pieces_of("a" * 10_000, specials))) == 1
