"""Marks on what is opaque: whose it is, and what the providers see of them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.gateway.origins import fit_origins, mark_events, mark_reply
from weebill.wire.conversation import Conversation, Part, Reasoning, Text, ToolUse, Turn
from weebill.wire.marks import mark_of, mark_sealed, unmark_sealed, unmarked
from weebill.wire.reply import Choice, Event, ReasoningDelta, Reply, TextDelta, ToolStarted, Usage

ACME = mark_of("acme")
OPAQUE: list[Part] = [
    Reasoning("Hm.", "sig", origin="anthropic"),
    Reasoning("", None, "enc", origin="openai"),
    ToolUse("c1", "f", "{}", "sig", "gemini"),
]


def conversation(*parts: Part) -> Conversation:
    return Conversation(turns=(Turn("assistant", parts),))


def answered(parts: list[Part], provider: str) -> tuple[Part, ...]:
    return mark_reply(Reply("r", "m", (Choice(tuple(parts), "stop"),), Usage()), provider).choices[0].parts


def test_a_provider_gets_its_own_again() -> None:
    marked = answered([Text("a"), *OPAQUE], "acme")
    assert [part for part in marked if part in OPAQUE] == []
    assert fit_origins(conversation(*marked), "acme").turns[0].parts == (Text("a"), *OPAQUE)


def test_another_gets_the_words_alone() -> None:
    marked = answered([Text("a"), *OPAQUE], "acme")
    assert fit_origins(conversation(*marked), "other").turns[0].parts == (
        Text("a"), Reasoning("Hm.", origin="anthropic"), ToolUse("c1", "f", "{}", None, "gemini")
    )  # fmt: skip
    assert fit_origins(conversation(*answered([OPAQUE[1]], "acme")), "other").turns == ()


@pytest.mark.parametrize("part", OPAQUE)
def test_what_bears_no_mark_is_left_alone(part: Part) -> None:
    assert fit_origins(conversation(part), "acme").turns[0].parts == (part,)
    assert answered([part], "") == (part,)


def test_nothing_opaque_is_not_touched() -> None:
    asked = conversation(Text("a"), Reasoning("Hm."), ToolUse("c1", "f", "{}"))
    assert fit_origins(asked, "acme") is asked
    events: list[Event] = [TextDelta("a"), ReasoningDelta("Hm."), ToolStarted("c1", "f")]
    assert mark_events(events, "acme") is events


def test_events_are_marked_alike() -> None:
    events: list[Event] = [
        ReasoningDelta(signature="s"), ReasoningDelta(encrypted="e"), ToolStarted("c1", "f", signature="s"),
        TextDelta("a"),
    ]  # fmt: skip
    assert mark_events(events, "acme") == [
        ReasoningDelta(signature=f"{ACME}s"), ReasoningDelta(encrypted=f"{ACME}e"),
        ToolStarted("c1", "f", signature=f"{ACME}s"), TextDelta("a"),
    ]  # fmt: skip


@given(st.binary(), st.text(min_size=1, max_size=9))
def test_what_is_base64_stays_so(data: bytes, provider: str) -> None:
    signature = base64.b64encode(data).decode()
    marked = mark_of(provider) + signature
    assert base64.b64encode(base64.b64decode(marked, validate=True)).decode() == marked
    assert unmarked(marked, provider) == signature


def test_sealed_contents_in_json() -> None:
    said = (
        b'[{"encrypted_content":"x"},{"encrypted_content" : "y"},{"encrypted_content":null},{"encrypted_content":""}]'
    )
    quoted = b'{"text":"\\"encrypted_content\\":\\"x\\""}'
    marked = mark_sealed(said, "acme")
    assert marked.count(ACME.encode()) == 2
    assert unmark_sealed(marked, "acme") == said
    assert unmark_sealed(marked, "other") == marked
    assert mark_sealed(quoted, "acme") == quoted
    assert mark_sealed(said, "") == said
