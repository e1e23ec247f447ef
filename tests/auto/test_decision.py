"""Rules, and the tier that follows from them or from what the router expects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.deployments import call
from weebill.apis.chat.api import CHAT
from weebill.auto.decision import Decision, Gain, by_gain, by_rule
from weebill.auto.rules import Rules, Subject
from weebill.auto.texts import question
from weebill.config.auto import Rule, Tier
from weebill.wire.conversation import Conversation

TWO: tuple[Tier, ...] = ("small", "large")
THREE: tuple[Tier, ...] = ("small", "mid", "large")
STAKES = "high_stakes[1]"
HERE = frozenset[Tier]({"small"})


def asked(*messages: dict[str, object]) -> Conversation:
    return CHAT.conversation(call(messages=list(messages)))


def says(text: str, role: str = "user") -> dict[str, object]:
    return {"role": role, "content": text}


TOOL_TURNS = (
    says("Look it up."),
    {
        "role": "assistant",
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"q":"IBAN 1"}'}}],
    },
    {"role": "tool", "tool_call_id": "1", "content": "balance: secret"},
)


@pytest.mark.parametrize(
    ("rule", "conversation", "falls_under"),
    [
        (Rule(regex="(?i)lawsuit"), asked(says("About the LAWSUIT"), says("ok", "assistant"), says("Go on")), True),
        (Rule(regex="lawsuit"), asked(says("You are a lawsuit bot", "system"), says("Hi")), True),
        (Rule(regex="lawsuit"), asked(says("Hello")), False),
        (Rule(regex="secret"), asked(*TOOL_TURNS), True),
        (Rule(regex=r"IBAN \d"), asked(*TOOL_TURNS), True),
        (Rule(regex="\\bé\\b"), asked(says("un é ici")), True),
        (Rule(key="legal"), asked(says("Hello")), True),
        (Rule(key="key_1"), asked(says("Hello")), True),
        (Rule(key="other"), asked(says("Hello")), False),
        (Rule(endpoint="chat.completions"), asked(says("Hello")), True),
        (Rule(endpoint="messages"), asked(says("Hello")), False),
        (Rule(endpoint="chat.completions", key="other"), asked(says("Hello")), False),
        (Rule(regex="Hell", key="legal"), asked(says("Hello")), True),
    ],
)
def test_a_rule(rule: Rule, conversation: Conversation, falls_under: bool) -> None:
    subject = Subject(conversation, "chat.completions", "key_1", "legal")
    never = Rule(key="nobody")
    assert Rules("private", [never, rule]).match(subject) == ("private[2]" if falls_under else "")


def test_the_question_is_what_the_user_said_last() -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "this?"}]
    assert question(asked(says("Hi"), {"role": "user", "content": parts}, says("It", "assistant"))) == "What is\nthis?"
    assert question(asked(says("Be brief.", "system"))) == ""
    assert question(asked(*TOOL_TURNS)) == "Look it up."


@pytest.mark.parametrize(
    ("tiers", "local", "private", "high_stakes", "decision"),
    [
        (TWO, HERE, "", "", None),
        (TWO, HERE, "", STAKES, Decision("large", STAKES)),
        (THREE, HERE, "", STAKES, Decision("large", STAKES)),
        (TWO, HERE, "private[2]", "", Decision("small", "private[2]", stays=True)),
        (TWO, HERE, "private[1]", STAKES, Decision("small", f"private[1] and {STAKES}", stays=True)),
        (TWO, frozenset(), "private[1]", "", Decision("small", "private[1]", stays=True)),
        # With several tiers here there is still a choice, and the important have the best of them.
        (TWO, frozenset(TWO), "private[1]", "", None),
        (TWO, frozenset(TWO), "private[1]", STAKES, Decision("large", f"private[1] and {STAKES}", stays=True)),
        (THREE, frozenset(THREE[:2]), "private[1]", STAKES, Decision("mid", f"private[1] and {STAKES}", stays=True)),
    ],
)
def test_rules_come_first(
    tiers: tuple[Tier, ...], local: frozenset[Tier], private: str, high_stakes: str, decision: Decision | None
) -> None:
    assert by_rule(tiers, local, private, high_stakes) == decision


@pytest.mark.parametrize(
    ("tiers", "gain", "tier", "larger", "smaller"),
    [
        (TWO, 0.2, "small", "large", None),
        (TWO, 0.7, "large", None, "small"),
        (TWO, 0.69, "small", "large", None),
        (THREE, 0.39, "small", "large", None),
        (THREE, 0.41, "mid", "large", "small"),
        (THREE, 0.75, "large", None, "small"),
    ],
)
def test_then_what_the_router_expects(
    tiers: tuple[Tier, ...], gain: float, tier: Tier, larger: Tier | None, smaller: Tier | None
) -> None:
    decision = by_gain(tiers, HERE, "", Gain.of_rank(gain, 0.7))
    assert (decision.tier, decision.larger, decision.stays) == (tier, larger, False)
    assert decision.smaller == smaller
    assert decision.why == f"gain {gain:.2f}{'<' if gain < 0.7 else '>='}0.70"


@given(
    st.sampled_from([TWO, THREE]),
    st.frozensets(st.sampled_from(THREE)),
    st.sampled_from(["", "private[1]"]),
    st.sampled_from(["", "high_stakes[1]"]),
    st.floats(0, 1),
    st.floats(-0.1, 1.1),
)
def test_what_is_private_stays(
    tiers: tuple[Tier, ...], local: frozenset[Tier], private: str, high_stakes: str, gain: float, threshold: float
) -> None:
    decision = by_rule(tiers, local, private, high_stakes) or by_gain(
        tiers, local, private, Gain.of_rank(gain, threshold)
    )
    assert decision.tier in tiers
    assert decision.stays == bool(private)
    if private and local & set(tiers):
        assert decision.tier in local
        assert {decision.larger, decision.smaller} <= {None, *local}
    if high_stakes:
        assert decision.smaller is None
    if high_stakes and not private:
        assert decision.tier == "large"
    if decision.larger is not None:
        assert tiers.index(decision.larger) > tiers.index(decision.tier)
    assert private in decision.why


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_more_gain_never_gets_less(lower: float, higher: float, threshold: float) -> None:
    lower, higher = min(lower, higher), max(lower, higher)
    one, other = (by_gain(THREE, HERE, "", Gain.of_rank(gain, threshold)).tier for gain in (lower, higher))
    assert THREE.index(one) <= THREE.index(other)
