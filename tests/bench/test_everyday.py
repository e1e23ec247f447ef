"""The measurement of `auto` on everyday prompts: its keys, its emulated large tier, and what it reads from routes."""

from __future__ import annotations

import msgspec
import pytest

from bench.everyday.ask import Routed, routed
from bench.everyday.items import Item, answer_of, checked, own_tasks, said
from bench.everyday.large import Large, asked_of
from bench.everyday.sets import quotas
from bench.everyday.written import written
from bench.proc import BenchError
from weebill.auto.judge_model import body
from weebill.factory.checkers import Answer, Call, Calls, Check, IsJson, Letter, Number, Says

CAPITAL = Item(
    id="one", kind="fact", messages=said("The capital of Peru?"), checks=(Says(("Lima",)),),
    answer=Answer("It is Lima."),
    max_tokens=9,
)  # fmt: skip


@pytest.mark.parametrize(
    ("header", "way"),
    [
        ("openai:200:9ms;policy=only;auto:large(cannot maths)", Routed("large", "cannot maths")),
        ("local:200:80ms;policy=only;auto:small(gain 0.31<0.74)", Routed("small", "gain 0.31<0.74")),
        ("openai:200:9ms;policy=only;auto:small->large(check=refusal)", Routed("large", "check=refusal", "refusal")),
        ("local:200:8ms;policy=only;auto:large->small(unavailable)", Routed("small", "unavailable")),
    ],
)
def test_the_tier_that_answered_is_read_from_the_route(header: str, way: Routed) -> None:
    assert routed(header) == way


def test_a_route_without_a_tier_is_a_fault() -> None:
    with pytest.raises(BenchError, match="names no tier"):
        routed("openai:200:9ms;policy=only")


def test_shares_of_any_size_add_up() -> None:
    assert quotas({"a": 2, "b": 1, "c": 1}, 6) == {"a": 3, "b": 2, "c": 1}
    assert sum(quotas({"a": 90, "b": 60, "c": 25}, 31).values()) == 31


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (Letter("C"), Answer("C")),
        (Number(1450000), Answer("The answer is 1450000.")),
        (Calls("add", msgspec.Raw(b'{"a":1}')), Answer(calls=(Call("add", '{"a":1}'),))),
        (IsJson(msgspec.Raw(b'{"a":1}')), Answer('{"a":1}')),
    ],
)
def test_answers_have_the_form_that_was_asked_for(check: Check, answer: Answer) -> None:
    assert answer_of((check,)) == answer


def test_the_large_tier_is_right_about_all_that_is_packaged() -> None:
    assert len(checked([*own_tasks(), *written()])) > 500
    with pytest.raises(BenchError, match="does not pass"):
        checked([msgspec.structs.replace(CAPITAL, answer=Answer("It is Cusco."))])


def test_the_large_tier_answers_whole_conversations_and_compares_answers_by_their_key() -> None:
    large = Large([CAPITAL])
    right, wrong = "Lima.", "Cusco."

    def judged(first: str, second: str) -> Answer | None:
        return large.answer(asked_of(body("large", "The capital of Peru?", first, second)))

    said_first = {"role": "user", "content": "The capital of Peru?"}
    asked = {"model": "large", "messages": [said_first]}
    assert large.answer(asked_of(msgspec.json.encode(asked))) == CAPITAL.answer
    assert [judged(right, wrong), judged(wrong, right), judged(right, right)] == [Answer("1"), Answer("2"), Answer("0")]
    followed = {"model": "large", "messages": [said_first, {"role": "user", "content": "And of Chile?"}]}
    assert large.answer(asked_of(msgspec.json.encode(followed))) is None
    assert large.counts == {"answers": 1, "judgements": 3, "unknown": 1}
