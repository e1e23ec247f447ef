"""Nearest questions: with vectors that tests choose, so that what is near is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from weebill.cache.semantic import MAX_NEIGHBOURS, SemanticIndex, telling

REST = b"r" * 32


def at(degrees: float) -> NDArray[np.float32]:
    """A direction in a plane: two of them are as near as their angles."""
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


def index(threshold: float = 0.95) -> SemanticIndex:
    return SemanticIndex(lambda text: at(float(len(text))), threshold)


def test_the_nearest_one_is_found_if_it_is_near_enough() -> None:
    asked = index()
    asked.add(REST, "how are you", b"a", at(0))
    asked.add(REST, "where is it", b"b", at(20))
    assert asked.find(REST, "how do you do", at(5)) == b"a"
    assert asked.find(REST, "how do you do", at(12)) == b"b"
    assert asked.find(REST, "how do you do", at(60)) is None
    asked.threshold = 0.2
    assert asked.find(REST, "how do you do", at(60)) == b"b"


def test_never_where_anything_else_differs() -> None:
    asked = index()
    asked.add(REST, "how are you", b"a", at(0))
    assert asked.find(b"other", "how are you", at(0)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("what is 17 times 23", "what is 17 times 24"),
        ("from 3 to 5", "from 5 to 3"),
        ("what is 2 + 2", "what is 2 - 2"),
        ("does it work", "does it not work"),
        ("does it work", "doesn't it work"),
        ("is Paris nice? tell me about Paris", "is Rome nice? tell me about Rome"),
        ("the capital of France", "the capital of Germany"),
        ("a < b", "a > b"),
        ("port v1.2", "port v1.3"),
        ("cost in $", "cost in €"),
    ],
)
def test_what_tells_two_questions_apart_must_be_the_same(one: str, other: str) -> None:
    assert telling(one) != telling(other)
    asked = index(0.01)
    asked.add(REST, one, b"a", at(0))
    assert asked.find(REST, other, at(0)) is None
    assert asked.find(REST, one, at(0)) == b"a"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how can i reset my password"),
        ("Tell me a joke.", "Tell me a joke, please!"),
        ("What's the capital of France?", "Please say: the capital of France"),
    ],
)
def test_what_does_not_may_differ(one: str, other: str) -> None:
    assert telling(one) == telling(other)


@settings(max_examples=50)
@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.sampled_from(["", "1", "2 3"])), max_size=80),
)
def test_it_holds_what_was_added_and_not_removed(steps: list[tuple[bool, int, str]]) -> None:
    asked = index(0.9999)
    known: dict[bytes, tuple[str, int]] = {}
    for add, number, said in steps:
        key = bytes([number])
        if add:
            asked.add(REST, said, key, at(number * 3))
            known[key] = (said, number)
        else:
            asked.remove(key)
            known.pop(key, None)
    assert len(asked) == len(known)
    for number in range(31):
        for said in ("", "1", "2 3"):
            expected = bytes([number]) if known.get(bytes([number])) == (said, number) else None
            assert asked.find(REST, said, at(number * 3)) == expected


def test_it_is_bounded() -> None:
    asked = index()
    for number in range(3 * MAX_NEIGHBOURS):
        asked.add(REST, "", number.to_bytes(4, "big"), at(number / 10))
    assert len(asked) == MAX_NEIGHBOURS
    for number in range(3 * MAX_NEIGHBOURS):
        asked.remove(number.to_bytes(4, "big"))
    assert len(asked) == 0
    assert asked.find(REST, "", at(0)) is None
