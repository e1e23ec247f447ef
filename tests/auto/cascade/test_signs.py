"""The signs of an answer, and the check of the trust in it."""

from __future__ import annotations

import json
import random

import pytest
from msgspec import Raw

from tests.auto.cascade.answers import PLAIN, reply
from weebill.auto.cascade.checks import Checks
from weebill.auto.cascade.signs import TOKENS, Signs, packed, read_signs, unpacked
from weebill.auto.trust import Trust, Verifier
from weebill.config.auto import CascadeSettings
from weebill.wire.conversation import Conversation, Text, Turn
from weebill.wire.reply import Choice, Reply, Usage

ASKED = Conversation(turns=(Turn("user", (Text("What is the capital of France?"),)),))
VERIFIER = Verifier((-1.0,) * 4, (0.5,) * 4, (1.0, 0.0, 0.0, 0.0))


def said(*tokens: tuple[str, float]) -> Reply:
    entries = tuple(Raw(json.dumps({"token": token, "logprob": logprob}).encode()) for token, logprob in tokens)
    return Reply("r", "m", (Choice((Text("".join(token for token, _ in tokens)),), "stop", logprobs=entries),), Usage())


def test_the_signs_of_an_answer() -> None:
    answer = said(("The", -0.1), (" capital", -0.2), (" is", -0.3), (" Lyon", -2.0), (".", -0.4))
    assert read_signs(ASKED, answer) == pytest.approx((-0.6, -0.15, -0.9, -2.0))
    echo = said((" capital", -0.5), (" France", -1.5))
    assert read_signs(ASKED, echo) == pytest.approx((-1.0, -1.0, -1.0, 0.0)), "there is no new word"


@pytest.mark.parametrize("made_up", [-1.7e308, -1e300])
def test_probabilities_that_an_upstream_made_up(made_up: float) -> None:
    """Their sums are beyond any number."""
    found = read_signs(ASKED, said(*[("Paris", made_up)] * 4))
    assert found == (-99.0, -99.0, -99.0, -99.0)
    assert unpacked(packed(found)) == found
    checks = Checks(CascadeSettings(checks=("verifier",)))
    assert checks.judge_alone(ASKED, said(("Paris", made_up)), Trust(0.9, 0.5, VERIFIER)).failed is not None


def test_only_the_beginning_is_read() -> None:
    answer = reply("x", probabilities=(-1.0,) * TOKENS + (-50.0,) * 1000)
    assert read_signs(PLAIN, answer) == (-1.0, -1.0, -1.0, -1.0)


@pytest.mark.parametrize(
    "answer",
    [
        reply("It is Paris."),
        reply("It is Paris.", probabilities=()),
        Reply("r", "m", (), Usage()),
        Reply("r", "m", 2 * said(("a", -1.0)).choices, Usage()),
        Reply("r", "m", (Choice((Text("a"),), "stop", logprobs=(Raw(b'{"token": "a"}'),)),), Usage()),
        Reply("r", "m", (Choice((Text("a"),), "stop", logprobs=(Raw(b'{"logprob": "a"}'),)),), Usage()),
    ],
)
def test_there_may_be_no_signs(answer: Reply) -> None:
    assert read_signs(ASKED, answer) is None


def test_signs_are_kept_in_few_bytes() -> None:
    rng = random.Random(2)
    for _ in range(100):
        signs = Signs(*(-10 * rng.random() for _ in range(4)))
        assert len(packed(signs)) == 8
        assert unpacked(packed(signs)) == pytest.approx(signs, abs=0.01)
    # What no token ever has does not break a report.
    assert unpacked(packed(Signs(-1e9, float("-inf"), -1.0, 0.0))) == (-99.0, -99.0, -1.0, 0.0)
    assert (unpacked(b""), unpacked(b"of another version")) == (None, None)


@pytest.mark.parametrize(
    ("small", "mean", "least", "passed"),
    [
        (0.5, -1.0, 0.5, True),  # as usual: as likely as before
        (0.5, -1.1, 0.5, False),
        (0.5, -0.5, 0.7, True),  # one unit better than usual: 0.73
        (0.9, -2.0, 0.5, True),  # two worse: 0.55
        (0.9, -2.5, 0.5, False),
        (0.01, -0.1, 0.2, False),
        (1.3, -1.0, 0.99, True),  # no estimate is surer than 0.99
    ],
)
def test_an_answer_must_deserve_the_trust(small: float, mean: float, least: float, passed: bool) -> None:
    checks = Checks(CascadeSettings(checks=("verifier",)))
    answer = reply("x", probabilities=(mean,))
    judgement = checks.judge_alone(PLAIN, answer, Trust(small, least, VERIFIER))
    assert (judgement.failed is None, judgement.signs) == (passed, read_signs(PLAIN, answer))
    assert judgement.checked == ("passed" if passed else "verifier")


def test_without_signs_an_answer_must_have_deserved_it_before() -> None:
    checks = Checks(CascadeSettings(checks=("refusal", "verifier")))
    assert checks.judge_alone(PLAIN, reply("x"), Trust(0.6, 0.5, VERIFIER)).checked == "passed"
    assert checks.judge_alone(PLAIN, reply("x"), Trust(0.4, 0.5, VERIFIER)).checked == "verifier"
    assert checks.judge_alone(PLAIN, reply("I can't."), Trust(0.4, 0.5, VERIFIER)).checked == "refusal"
    assert checks.judge_alone(PLAIN, reply("x")).checked == "passed", "nobody has said what to trust"
    assert checks.judge_alone(PLAIN, reply("x"), Trust(0.4, 0.5, VERIFIER)).signs is None
