"""Which answers are kept: judged from what each API's own encoder writes, and from what upstreams write."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cache.asking import APIS, body, call
from tests.fixtures.upstream import DONE, USAGE_CHUNK, chunk, completion
from weebill.cache.completeness import worth_keeping
from weebill.wire.conversation import Part, Refusal, Text, ToolUse
from weebill.wire.reply import (
    Choice,
    Event,
    Finished,
    FinishReason,
    RefusalDelta,
    Reply,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
)

# A text that holds, as text, all that would end an answer badly.
NASTY = '{"finish_reason":"content_filter","stop_reason":"refusal","finishReason":"SAFETY","refusal":"no"}'
USAGE = Usage.reported(3, 5)


def whole(api: str, finish: FinishReason, part: Part, choices: int = 1) -> bytes:
    reply = Reply("id", "m", tuple(Choice((part,), finish) for _ in range(choices)), USAGE)
    return APIS[api].answer(call(api, body(api)), reply)


def streamed(api: str, finish: FinishReason, part: Part, choices: int = 1) -> bytes:
    encoder = APIS[api].stream(call(api, body(api), stream=True))
    events: list[Event] = [Started("id", "m")]
    for index in range(choices):
        if isinstance(part, Text):
            events.append(TextDelta(part.text, choice=index))
        elif isinstance(part, Refusal):
            events.append(RefusalDelta(part.text, choice=index))
        elif isinstance(part, ToolUse):
            events += [ToolStarted(part.id, part.name, choice=index), ToolArguments(part.arguments, choice=index)]
        events.append(Finished(finish, choice=index))
    return encoder.feed([*events, UsageReported(USAGE)]) + encoder.finish()


TEXT = Text(NASTY)
CALL = ToolUse("call_1", "look", '{"finish_reason": "a", "text": "b"}')


# How it ended, and whether it is kept where the request does not limit its length, and where it does.
KEPT: list[tuple[FinishReason, Part, bool, bool]] = [
    ("stop", TEXT, True, True),
    ("length", TEXT, False, True),
    ("content_filter", TEXT, False, False),
    ("tool_calls", CALL, True, True),
]


@pytest.mark.parametrize("form", [whole, streamed])
@pytest.mark.parametrize(
    ("api", "finish", "part", "unlimited", "limited"),
    [(api, *kept) for api in APIS for kept in KEPT if api != "completions" or kept[1] is not CALL],
)
def test_what_is_kept_of_our_own_answers(
    form: Callable[[str, FinishReason, Part], bytes],
    api: str,
    finish: FinishReason,
    part: Part,
    unlimited: bool,
    limited: bool,
) -> None:
    data, is_stream, name = form(api, finish, part), form is streamed, APIS[api].name
    assert worth_keeping(name, data, streamed=is_stream, limited=False) is unlimited
    assert worth_keeping(name, data, streamed=is_stream, limited=True) is limited


@pytest.mark.parametrize("api", ["chat", "responses", "anthropic"])
def test_a_refusal_is_not(api: str) -> None:
    for form in (whole, streamed):
        data = form(api, "refusal", Refusal("No."))
        assert not worth_keeping(APIS[api].name, data, streamed=form is streamed, limited=True)


def test_a_turn_that_is_to_be_continued_is_not() -> None:
    assert not worth_keeping("messages", whole("anthropic", "pause", TEXT), streamed=False, limited=True)


def test_all_choices_must_have_ended_well() -> None:
    for form in (whole, streamed):
        data = form("chat", "stop", TEXT, 2)
        assert worth_keeping("chat.completions", data, streamed=form is streamed, limited=False, choices=2)
        assert not worth_keeping("chat.completions", data, streamed=form is streamed, limited=False, choices=3)


def test_an_upstreams_bytes_as_they_came() -> None:
    name = "chat.completions"
    assert worth_keeping(name, json.dumps(completion(), indent=2).encode(), streamed=False, limited=False)
    said = chunk("Hel") + chunk("lo")
    assert worth_keeping(name, said + chunk(finish="stop") + USAGE_CHUNK + DONE, streamed=True, limited=False)
    assert not worth_keeping(name, said + DONE, streamed=True, limited=True)
    assert not worth_keeping(name, said + chunk(finish="error") + DONE, streamed=True, limited=True)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"data: {}\n\n", b"\xff\xfe", b"data: [DONE]\n\n"])
def test_what_is_no_answer_is_not(api: str, data: bytes) -> None:
    for is_stream in (True, False):
        assert not worth_keeping(APIS[api].name, data, streamed=is_stream, limited=True)


@pytest.mark.parametrize("status", ["failed", "cancelled", "in_progress", "queued"])
def test_a_response_that_did_not_complete_is_not(status: str) -> None:
    response = json.dumps({"status": status, "output": [{"status": "completed"}]}).encode()
    assert not worth_keeping("responses", response, streamed=False, limited=True)
    event = b'event: response.x\ndata: {"type":"response.x","response":%b}\n\n' % response
    assert not worth_keeping("responses", event, streamed=True, limited=True)
