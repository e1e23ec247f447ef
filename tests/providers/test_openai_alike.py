"""The relay's short way for chunks that differ in their text alone gives what the long one does."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming._deltas import accumulate_delta

from tests.providers.test_openai_stream import call
from weebill.providers.openai.alike import Alike
from weebill.providers.openai.relay_stream import OpenAIStream

TEXTS = ["a", " ", "é🐦", 'quote " and \\ backslash', "\n\n", ' "usage":', "", '","finish_reason":"stop"', "data: x"]


def event(delta: dict[str, object], *, compact: bool = True, **extra: object) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": None}]
    data = {"id": "c", "object": "chat.completion.chunk", "model": "up", "choices": choices, "usage": None, **extra}
    encoded = msgspec.json.encode(data)
    return b"data: " + (encoded if compact else msgspec.json.format(encoded, indent=0)) + b"\n\n"


def sent(texts: list[str], member: str, paddings: list[str], compact: bool, roles: bool) -> list[bytes]:
    role = {"role": "assistant"} if roles else {}
    events = [event({"role": "assistant", member: ""}, compact=compact)]
    for at, text in enumerate(texts):
        padding = {"obfuscation": paddings[at % len(paddings)]} if paddings else {}
        events.append(event({**role, member: text}, compact=compact, **padding))
    return events


def said(data: bytes) -> list[dict[str, object]]:
    return [msgspec.json.decode(block.removeprefix(b"data: ")) for block in data.split(b"\n\n") if block]


@given(
    st.lists(st.sampled_from(TEXTS), max_size=12),
    st.sampled_from(["content", "reasoning_content", "reasoning"]),
    st.lists(st.sampled_from(["x", "abcdef", ""]), max_size=3),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.booleans(),
)
def test_many_events_at_once_are_as_one_by_one(
    texts: list[str], member: str, paddings: list[str], compact: bool, roles: bool, reads: list[int], ends: bool
) -> None:
    events = sent(texts, member, paddings, compact, roles)
    events += [event({}, compact=compact).replace(b"null", b'"stop"', 1)] if ends else []
    together, alone = OpenAIStream(call()), OpenAIStream(call())
    got = b""
    left, at = list(events), 0
    while left:
        size = reads[at % len(reads)]
        got += together.feed(b"".join(left[:size]))
        left, at = left[size:], at + 1
    one_by_one = b"".join([alone.feed(each) for each in events])
    assert got == one_by_one
    assert together.usage == alone.usage
    for came, goes in zip(events, said(one_by_one), strict=True):
        expected = said(came)[0]
        delta = expected["choices"][0]["delta"]  # type: ignore[index]
        if came is not events[0]:
            delta.pop("role", None)
        expected["model"] = "m"
        expected.pop("usage")
        goes.pop("usage", None)
        assert goes == expected


@pytest.mark.parametrize(
    "other",
    [
        event({"content": "b"}).replace(b"null", b'"stop"', 1),
        event({"content": "b"}, usage={"prompt_tokens": 1}),
        event({"content": "b"}, error={"message": "boom"}),
        event({"content": "b", "tool_calls": []}),
        event({"content": 'say "b"'}),
        event({"content": "\ud83d".encode("utf-16", "surrogatepass").decode("utf-16", "replace")}).replace(
            "\ufffd".encode(), b"\\ud83d"
        ),
        b": a comment\n\n",
        b"data: [DONE]\n\n",
    ],
)  # fmt: skip
def test_what_says_more_than_a_text_is_read(other: bytes) -> None:
    alike = Alike()
    alike.learn(event({"content": "a"})[:-2], event({"content": "a"})[:-2])
    same = event({"content": "more"})
    assert alike.passed(same) == same
    assert alike.count == 1
    assert alike.passed(same * 3) == same * 3
    assert alike.count == 3
    for data in (other, same + other, other + same, same + other + same):
        assert alike.passed(data) == b""


def test_it_gives_up_where_no_two_are_alike() -> None:
    alike = Alike()
    for number in range(20):
        each = event({"content": "a"}, number=number)
        assert alike.passed(each) == b""
        alike.learn(each[:-2], each[:-2])
    last = event({"content": "a"}, number=19)
    assert alike.passed(last) == b""


def accumulated(data: bytes) -> list[dict[object, object]]:
    """What OpenAI's SDK puts together of the deltas of each choice."""
    found: dict[int, dict[object, object]] = {}
    for chunk in said(data):
        for choice in chunk["choices"]:  # type: ignore[attr-defined]
            found[choice["index"]] = accumulate_delta(found.get(choice["index"], {}), choice["delta"])
    return [found[index] for index in sorted(found)]


@pytest.mark.parametrize("role", [{}, {"role": "assistant"}])
@pytest.mark.parametrize("member", ["content", "reasoning_content"])
@pytest.mark.parametrize("together", [True, False])
def test_the_role_is_told_once(role: dict[str, str], member: str, together: bool) -> None:
    events = [event({**role, member: text}) for text in ("Hello", " my", " dear", " friend")]
    stream = OpenAIStream(call())
    out = stream.feed(b"".join(events)) if together else b"".join([stream.feed(each) for each in events])
    assert accumulated(out) == [{"role": "assistant", member: "Hello my dear friend"}]


def test_a_choice_that_begins_later_is_told_its_role_once() -> None:
    asked = call().replaced(request=msgspec.structs.replace(call().request, n=2))
    stream = OpenAIStream(asked)
    first = [event({"role": "assistant", "content": "a"}), event({"content": "b"})]
    second = [each.replace(b'"index":0', b'"index":1') for each in (event({"content": "c"}), event({"content": "d"}))]
    out = b"".join([stream.feed(each) for each in [*first, *second, *second]])
    ab, cdcd = accumulated(out)
    assert (ab, cdcd) == ({"role": "assistant", "content": "ab"}, {"role": "assistant", "content": "cdcd"})


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"delta": {"content": "Hi"}, "finish_reason": None}, "Hi"),
        ({"index": 0, "delta": None, "finish_reason": "stop"}, None),
        ({"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}, "Hi"),
    ],
)
def test_a_choice_has_a_number_and_a_delta(choice: dict[str, object], expected: str | None) -> None:
    data = {"id": "c", "object": "chat.completion.chunk", "model": "up", "choices": [choice]}
    out = OpenAIStream(call()).feed(b"data: " + msgspec.json.encode(data) + b"\n\n")
    (found,) = accumulated(out)
    assert found.get("content") == expected
    assert found["role"] == "assistant"
