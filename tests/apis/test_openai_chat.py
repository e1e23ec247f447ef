"""How answers and events are written as Chat Completions."""

import json

import pytest
from openai.types.chat import ChatCompletion

from tests.apis.chat import (
    END,
    ENTRY,
    HI,
    PICTURE,
    PNG,
    START,
    USAGE,
    USED,
    call,
    chunks,
    function,
    read,
    reply,
    signed,
)
from weebill.apis.chat.api import CHAT
from weebill.wire.call import Call
from weebill.wire.conversation import (
    Audio,
    Citation,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolUse,
)
from weebill.wire.errors import ApiError
from weebill.wire.reply import (
    Choice,
    CitationAdded,
    Event,
    Finished,
    FinishReason,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    Reply,
    TextDelta,
    ToolArguments,
    ToolStarted,
    WholePart,
)

CHAT_CALL = call(messages=HI)
LEGACY_CALL = call(messages=HI, functions=[{"name": "f"}])
SHOWN_CALL = call(messages=HI, stream=True, stream_options={"include_usage": True})
SIGNED = Reasoning("Hm.", "s", origin="anthropic")
DETAIL = {"type": "reasoning.text", "text": "Hm.", "signature": "s", "format": "anthropic", "index": 0}
CITED = Citation("https://example.com", "E", None, 1, 2)
QUOTED = Citation(None, "Book", "words", 0, 1)
CALL = ToolUse("c1", "f", '{"a":1}')


def annotated(start: int, end: int) -> dict[str, object]:
    return {
        "type": "url_citation",
        "url_citation": {"url": "https://example.com", "title": "E", "start_index": start, "end_index": end},
    }


# (parts, why it ended) -> the message beyond role and refusal null, the finish reason
ANSWERS: list[tuple[tuple[Part, ...], FinishReason, dict[str, object], str]] = [
    ((Text("a"),), "stop", {"content": "a"}, "stop"),
    ((Text("a"), Text("b")), "length", {"content": "ab"}, "length"),
    ((), "stop", {"content": ""}, "stop"),
    (
        (Text("a"), CALL, ToolUse("c2", "g", "{}", "sig", "gemini")),
        "tool_calls",
        {
            "content": "a",
            "tool_calls": [function("f", '{"a":1}'), {**function("g"), "id": "c2", **signed("weebill:gemini:sig")}],
        },
        "tool_calls",
    ),
    (
        (ToolUse("c1", "f", "{}", "sig", "openai"),),
        "tool_calls",
        {"content": None, "tool_calls": [function("f", **signed("weebill:openai:sig"))]},
        "tool_calls",
    ),
    (
        (SIGNED, Text("a")),
        "stop",
        {"content": "a", "reasoning_content": "Hm.", "reasoning_details": [DETAIL]},
        "stop",
    ),
    ((Reasoning("Hm."), Text("a")), "stop", {"content": "a", "reasoning_content": "Hm."}, "stop"),
    (
        (Reasoning("", encrypted="e", id="rs_1", origin="openai"), Text("a")),
        "stop",
        {
            "content": "a",
            "reasoning_details": [
                {"type": "reasoning.encrypted", "data": "e", "id": "rs_1", "format": "openai", "index": 0}
            ],
        },
        "stop",
    ),
    ((Refusal("No."),), "refusal", {"content": None, "refusal": "No."}, "stop"),
    ((Text("a"),), "refusal", {"content": "a"}, "content_filter"),
    ((Text("a"),), "content_filter", {"content": "a"}, "content_filter"),
    ((Text("a"),), "pause", {"content": "a"}, "length"),
    (
        (Text("abc"), Text("def", citations=(CITED, QUOTED))),
        "stop",
        {
            "content": "abcdef",
            "annotations": [annotated(4, 5)],
            "citations": [{"start_index": 3, "end_index": 4, "title": "Book", "quote": "words"}],
        },
        "stop",
    ),
    (
        (Text("a"), PICTURE),
        "stop",
        {"content": "a", "images": [{"type": "image_url", "image_url": {"url": PNG}}]},
        "stop",
    ),
    (
        (Audio("QUJD", "wav", "Hello", "audio_1"),),
        "stop",
        {"content": None, "audio": {"id": "audio_1", "data": "QUJD", "transcript": "Hello", "expires_at": 0}},
        "stop",
    ),
]


@pytest.mark.parametrize(("parts", "finish", "message", "reason"), ANSWERS)
def test_answers(parts: tuple[Part, ...], finish: FinishReason, message: dict[str, object], reason: str) -> None:
    body = CHAT.answer(CHAT_CALL, reply(Choice(parts, finish)))
    ChatCompletion.model_validate_json(body)
    assert json.loads(body) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 5,
        "model": "m1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "refusal": None, **message},
                "logprobs": None,
                "finish_reason": reason,
            }
        ],
        "usage": USAGE,
    }


def test_what_an_upstream_left_out_is_made_up_for() -> None:
    body = ChatCompletion.model_validate_json(CHAT.answer(CHAT_CALL, Reply("", "", (Choice((), "stop"),), USED)))
    assert body.id.startswith("chatcmpl-")
    assert body.model == "m"
    assert body.created > 1_700_000_000


def test_an_answer_for_a_client_of_old() -> None:
    body = json.loads(CHAT.answer(LEGACY_CALL, reply(Choice((CALL,), "tool_calls"))))["choices"][0]
    assert body["finish_reason"] == "function_call"
    assert body["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert "tool_calls" not in body["message"]


def test_logprobs() -> None:
    body = CHAT.answer(CHAT_CALL, reply(Choice((Text("Hi"),), "stop", None, (ENTRY,))))
    ChatCompletion.model_validate_json(body)
    assert json.loads(body)["choices"][0]["logprobs"] == {"content": [json.loads(bytes(ENTRY))], "refusal": None}


def deltas(asked: Call, events: list[Event], step: int = 1) -> list[dict[str, object]]:
    choices, _ = chunks(CHAT, asked, [START, *events], step)
    assert all(choice.keys() == {"index", "delta", "logprobs", "finish_reason"} for choice in choices)
    return [
        {
            **choice["delta"],  # type: ignore[dict-item]
            **({"i": choice["index"]} if choice["index"] else {}),
            **({"finish": choice["finish_reason"]} if choice["finish_reason"] else {}),
        }
        for choice in choices
    ]


def piece(index: int, arguments: str) -> dict[str, object]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


def begun(index: int, identity: str, name: str, **more: object) -> dict[str, object]:
    first = {"index": index, "id": identity, "type": "function", "function": {"name": name, "arguments": ""}, **more}
    return {"tool_calls": [first]}


A = {"role": "assistant"}
STREAMS: list[tuple[list[Event], list[dict[str, object]]]] = [
    (
        [TextDelta("Hello"), TextDelta(' "there"'), Finished("stop")],
        [{**A, "content": "Hello"}, {"content": ' "there"'}, {"finish": "stop"}],
    ),
    ([Finished("stop")], [{**A, "finish": "stop"}]),
    (
        [
            TextDelta("a"),
            ToolStarted("c1", "f", 1),
            ToolArguments('{"a":', 1),
            ToolArguments("1}", 1),
            ToolStarted("c2", "g", 2, 0, "sig", "gemini"),
            Finished("tool_calls"),
        ],
        [
            {**A, "content": "a"},
            begun(0, "c1", "f"),
            piece(0, '{"a":'),
            piece(0, "1}"),
            begun(1, "c2", "g", **signed("weebill:gemini:sig")),
            piece(1, "{}"),
            {"finish": "tool_calls"},
        ],
    ),
    (
        [ToolStarted("c1", "f"), ToolArguments("{}"), Finished("tool_calls")],
        [{**A, "content": None, **begun(0, "c1", "f")}, piece(0, "{}"), {"finish": "tool_calls"}],
    ),
    (
        [
            ReasoningDelta("H", origin="anthropic"),
            ReasoningDelta("m.", origin="anthropic"),
            ReasoningDelta(signature="s", origin="anthropic"),
            TextDelta("a", 1),
            Finished("stop"),
        ],
        [
            {**A, "reasoning_content": "H"},
            {"reasoning_content": "m."},
            {"reasoning_details": [DETAIL]},
            {"content": "a"},
            {"finish": "stop"},
        ],
    ),
    (
        [ReasoningDelta("Hm."), TextDelta("a", 1), Finished("stop")],
        [{**A, "reasoning_content": "Hm."}, {"content": "a"}, {"finish": "stop"}],
    ),
    (
        [RefusalDelta("No"), RefusalDelta("."), Finished("refusal")],
        [{**A, "refusal": "No"}, {"refusal": "."}, {"finish": "stop"}],
    ),
    ([TextDelta("a"), Finished("refusal")], [{**A, "content": "a"}, {"finish": "content_filter"}]),
    (
        [TextDelta("abc"), TextDelta("def", 1), CitationAdded(CITED, 1), CitationAdded(QUOTED, 1), Finished("stop")],
        [
            {**A, "content": "abc"},
            {"content": "def"},
            {"annotations": [{**annotated(4, 5), "index": 0}]},
            {"citations": [{"start_index": 3, "end_index": 4, "title": "Book", "quote": "words", "index": 0}]},
            {"finish": "stop"},
        ],
    ),
    (
        [WholePart(PICTURE), WholePart(Audio("QUJD", "wav", "a", "audio_1"), 1), Finished("stop")],
        [
            {**A, "images": [{"type": "image_url", "image_url": {"url": PNG}, "index": 0}]},
            {"audio": {"id": "audio_1", "data": "QUJD", "transcript": "a", "expires_at": 0}},
            {"finish": "stop"},
        ],
    ),
    (
        [TextDelta("a"), TextDelta("b", 0, 1), Finished("length", None, 1), Finished("stop")],
        [{**A, "content": "a"}, {**A, "content": "b", "i": 1}, {"i": 1, "finish": "length"}, {"finish": "stop"}],
    ),
]


@pytest.mark.parametrize("step", [1, 2, 100])
@pytest.mark.parametrize(("events", "written"), STREAMS)
def test_streams(events: list[Event], written: list[dict[str, object]], step: int) -> None:
    assert deltas(CHAT_CALL, events, step) == written


def test_a_stream_for_a_client_of_old() -> None:
    assert deltas(LEGACY_CALL, [ToolStarted("c1", "f"), ToolArguments("{}"), Finished("tool_calls")]) == [
        {**A, "content": None, "function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {"finish": "function_call"},
    ]


SPOKEN: list[Event] = [START, TextDelta("Hi"), Finished("stop"), END]


def test_usage_is_for_who_asked() -> None:
    assert chunks(CHAT, CHAT_CALL, SPOKEN, 1)[1] == ["absent"] * 2
    assert chunks(CHAT, SHOWN_CALL, SPOKEN, 1)[1] == [None, None, USAGE]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_streamed_logprobs(step: int) -> None:
    choices, _ = chunks(CHAT, CHAT_CALL, [START, TextDelta("Hi"), Logprobs((ENTRY,)), Finished("stop")], step)
    found = [choice["logprobs"]["content"] for choice in choices if choice["logprobs"]]  # type: ignore[index]
    assert found == [[json.loads(bytes(ENTRY))]]


@pytest.mark.parametrize(("parts", "finish"), [answer[:2] for answer in ANSWERS])
def test_what_a_client_sends_back_means_what_was_said(parts: tuple[Part, ...], finish: FinishReason) -> None:
    message = json.loads(CHAT.answer(CHAT_CALL, reply(Choice(parts, finish))))["choices"][0]["message"]
    again = read(message).turns[0].parts
    opaque = [each for each in parts if isinstance(each, Reasoning | ToolUse | Refusal)]
    assert [each for each in again if isinstance(each, Reasoning | ToolUse | Refusal)] == opaque
    assert "".join(each.text for each in again if isinstance(each, Text)) == "".join(
        each.text for each in parts if isinstance(each, Text)
    )


def test_errors_are_openais() -> None:
    error = ApiError(400, "no", code="x", param="y")
    assert json.loads(CHAT.error_body(error)) == {
        "error": {"message": "no", "type": "invalid_request_error", "param": "y", "code": "x"}
    }
    assert CHAT.error_event(error) == b"data: " + CHAT.error_body(error) + b"\n\n"
