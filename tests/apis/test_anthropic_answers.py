"""The inbound Messages API: answers, streams and errors as its clients get them."""

import json

import pytest

from tests.apis.test_anthropic import PNG, block, call, raw, text, turns
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.wire.conversation import (
    Audio,
    Citation,
    Image,
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
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
    WholePart,
)

USAGE = Usage.reported(1000, 11, cached=800, cache_write=100, reasoning=7)
USAGE_BODY = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 100,
    "cache_read_input_tokens": 800,
    "output_tokens": 11,
    "output_tokens_details": {"thinking_tokens": 7},
}
WEB = {
    "type": "web_search_result_location",
    "url": "https://a.example",
    "title": "A",
    "cited_text": "q",
    "encrypted_index": "",
}
# Parts of an answer, the events that amount to them, and the blocks that the client shall see.
PARTS: dict[str, tuple[tuple[Part, ...], list[Event], list[dict[str, object]]]] = {
    "text": ((Text("Hello there."),), [TextDelta("Hello"), TextDelta(" there.")], [text("Hello there.")]),
    "nothing": ((Text(""),), [TextDelta("")], []),
    "tools": (
        (Text("Let me look."), ToolUse("a", "f", '{"city":"Paris"}'), ToolUse("b", "now", "{}")),
        [
            TextDelta("Let me look."),
            ToolStarted("a", "f", 1),
            ToolArguments('{"city":', 1),
            ToolArguments('"Paris"}', 1),
            ToolStarted("b", "now", 2),
            ToolArguments("{}", 2),
        ],
        [
            text("Let me look."),
            block("tool_use", id="a", name="f", input={"city": "Paris"}),
            block("tool_use", id="b", name="now", input={}),
        ],
    ),
    "reasoning": (
        (Reasoning("Hm. So.", "s", origin="anthropic"), Text("Hi.")),
        [
            ReasoningDelta("Hm.", origin="anthropic"),
            ReasoningDelta(" So.", origin="anthropic"),
            ReasoningDelta(signature="s", origin="anthropic"),
            TextDelta("Hi.", 1),
        ],
        [block("thinking", thinking="Hm. So.", signature="s"), text("Hi.")],
    ),
    "reasoning-omitted": (
        (Reasoning("", "s", origin="anthropic"),),
        [ReasoningDelta(signature="s", origin="anthropic")],
        [block("thinking", thinking="", signature="s")],
    ),
    "reasoning-redacted": (
        (Reasoning(encrypted="d", origin="anthropic"), Text("Hi.")),
        [ReasoningDelta(encrypted="d", origin="anthropic"), TextDelta("Hi.", 1)],
        [block("redacted_thinking", data="d"), text("Hi.")],
    ),
    "reasoning-unsigned": (
        (Reasoning("Hm.", origin="deepseek"), Text("Hi.")),
        [ReasoningDelta("Hm.", origin="deepseek"), TextDelta("Hi.", 1)],
        [block("thinking", thinking="Hm.", signature="weebill:deepseek:"), text("Hi.")],
    ),
    "reasoning-of-openai": (
        (Reasoning("Hm.", encrypted="e", id="rs_1", origin="openai"), Reasoning(encrypted="f", origin="openai")),
        [
            ReasoningDelta(encrypted="e", id="rs_1", origin="openai"),
            ReasoningDelta("Hm.", origin="openai"),
            ReasoningDelta(encrypted="f", origin="openai", block=1),
        ],
        [
            block("thinking", thinking="Hm.", signature="weebill:openai.encrypted@rs_1:e"),
            block("redacted_thinking", data="weebill:openai:f"),
        ],
    ),
    "signed-call": (
        (ToolUse("a", "f", "{}", "s", "gemini"),),
        [ToolStarted("a", "f", signature="s", origin="gemini"), ToolArguments("{}")],
        [
            block("redacted_thinking", data="weebill:gemini.tool:s"),
            block("tool_use", id="a", name="f", input={}),
        ],
    ),
    "citations": (
        (Text("A.", citations=(Citation("https://a.example", "A", "q", 0, 2, "openai"),)),),
        [TextDelta("A."), CitationAdded(Citation("https://a.example", "A", "q", 0, 2, "openai"))],
        [text("A.", citations=[WEB])],
    ),
    "own-citation": (
        (Text("A.", citations=(Citation(origin="anthropic", raw=raw({"type": "page_location"})),)),),
        [CitationAdded(Citation(origin="anthropic", raw=raw({"type": "page_location"}))), TextDelta("A.")],
        [text("A.", citations=[{"type": "page_location"}])],
    ),
    "image": (
        (Text("See:"), Image(data=PNG, media_type="image/png")),
        [TextDelta("See:"), WholePart(Image(data=PNG, media_type="image/png"), 1)],
        [text("See:"), block("image", source=block("base64", media_type="image/png", data=PNG))],
    ),
    "sound": (
        (Text("Hear:"), Audio("AAAA", "wav", transcript="Hi.")),
        [TextDelta("Hear:"), WholePart(Audio("AAAA", "wav", transcript="Hi."), 1)],
        [text("Hear:"), text("Hi.")],
    ),
    "sound-without-words": ((Audio("AAAA", "wav"),), [WholePart(Audio("AAAA", "wav"))], []),
}
STOPS: list[tuple[FinishReason, str | None, dict[str, object]]] = [
    ("stop", None, {"stop_reason": "end_turn", "stop_sequence": None}),
    ("stop", "END", {"stop_reason": "stop_sequence", "stop_sequence": "END"}),
    ("length", None, {"stop_reason": "max_tokens", "stop_sequence": None}),
    ("tool_calls", None, {"stop_reason": "tool_use", "stop_sequence": None}),
    ("refusal", None, {"stop_reason": "refusal", "stop_sequence": None}),
    ("pause", None, {"stop_reason": "pause_turn", "stop_sequence": None}),
    (
        "content_filter",
        None,
        {
            "stop_reason": "refusal",
            "stop_sequence": None,
            "stop_details": {
                "type": "refusal",
                "explanation": "The provider's content filter stopped this answer.",
            },
        },
    ),
]


def answered(parts: tuple[Part, ...], finish: FinishReason = "stop", sequence: str | None = None) -> dict[str, object]:
    reply = Reply("msg_1", "claude", (Choice(parts, finish, sequence),), USAGE)
    body: dict[str, object] = json.loads(ANTHROPIC.answer(call(), reply))
    return body


def events_of(data: bytes) -> list[dict[str, object]]:
    """A stream's events, each of which must be framed as Anthropic's are, under its own name."""
    events = []
    assert data.endswith(b"\n\n")
    for piece in data[:-2].split(b"\n\n"):
        name, body = piece.split(b"\n")
        event = json.loads(body.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        events.append(event)
    return events


def message_of(data: bytes) -> dict[str, object]:
    """What a client makes of a stream, which must keep to Anthropic's order of events."""
    first, *middle, delta, last = events_of(data)
    assert first["type"] == "message_start"
    message = first["message"]
    assert message["content"] == []
    assert last == {"type": "message_stop"}
    inside = False
    pieces: dict[str, list[object]] = {}
    for event in middle:
        if event["type"] == "content_block_start":
            assert not inside
            assert event["index"] == len(message["content"])
            message["content"].append(event["content_block"])
            inside, pieces = True, {}
        elif event["type"] == "content_block_delta":
            assert inside
            assert event["index"] == len(message["content"]) - 1
            ((field, value),) = ((key, value) for key, value in event["delta"].items() if key != "type")
            pieces.setdefault(field, []).append(value)
        else:
            assert event == {"type": "content_block_stop", "index": len(message["content"]) - 1}
            content = message["content"][-1]
            for field, values in pieces.items():
                if field == "partial_json":
                    assert content["input"] == {}
                    content["input"] = json.loads("".join(values))
                elif field == "citation":
                    content["citations"] = values
                else:
                    content[field] += "".join(values)
            inside = False
    assert not inside
    assert delta["type"] == "message_delta"
    message |= delta["delta"]
    message["usage"] |= delta["usage"]
    return message


def streamed(*events: Event) -> bytes:
    encoder = ANTHROPIC.stream(call(stream=True))
    return encoder.feed([Started("msg_1", "claude"), *events]) + encoder.finish()


@pytest.mark.parametrize("name", PARTS)
def test_an_answer(name: str) -> None:
    parts, _, blocks = PARTS[name]
    assert answered(parts) == {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "model": "claude",
        "content": blocks,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE_BODY,
    }


@pytest.mark.parametrize("name", PARTS)
def test_a_stream_says_the_same(name: str) -> None:
    parts, events, _ = PARTS[name]
    end = [Finished("stop"), UsageReported(USAGE)]
    assert message_of(streamed(*events, *end)) == answered(parts)
    encoder = ANTHROPIC.stream(call(stream=True))
    one_by_one = [encoder.feed([event]) for event in [Started("msg_1", "claude"), *events, *end]]
    assert b"".join(one_by_one) + encoder.finish() == streamed(*events, *end)


@pytest.mark.parametrize(("finish", "sequence", "expected"), STOPS)
def test_why_an_answer_ended(finish: FinishReason, sequence: str | None, expected: dict[str, object]) -> None:
    whole = answered((Text("Hi."),), finish, sequence)
    assert {key: whole[key] for key in whole if key.startswith("stop_")} == expected
    streamed_end = events_of(streamed(TextDelta("Hi."), Finished(finish, sequence)))[-2]
    assert streamed_end["delta"] == expected


def test_a_refusal_is_text_and_a_reason() -> None:
    whole = answered((Refusal("No."),))
    assert (whole["content"], whole["stop_reason"]) == ([text("No.")], "refusal")
    message = message_of(streamed(RefusalDelta("No."), Finished("stop"), UsageReported(USAGE)))
    assert message == whole


def test_the_bytes_of_a_stream() -> None:
    assert streamed(TextDelta('"Hé"\n'), Finished("stop"), UsageReported(Usage.reported(11, 4))).decode() == (
        'event: message_start\ndata: {"type":"message_start","message":{"type":"message","id":"msg_1",'
        '"role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,'
        '"usage":{"input_tokens":9,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}\n\n'
        'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        '"content_block":{"type":"text","text":""}}\n\n'
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        '"delta":{"type":"text_delta","text":"\\"Hé\\"\\n"}}\n\n'
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        '"usage":{"input_tokens":11,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":4}}\n\n'
        'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )


def test_a_usage_known_at_the_start_is_shown_there() -> None:
    encoder = ANTHROPIC.stream(call(stream=True))
    (start,) = events_of(encoder.feed([UsageReported(USAGE), Started("msg_1", "claude")]))
    assert start["message"]["usage"] == USAGE_BODY


def test_other_choices_and_logprobs_are_not_shown() -> None:
    shown = streamed(TextDelta("Hi."), TextDelta("Ho.", 0, 1), Logprobs((raw({}),)), Finished("length", None, 1))
    message = message_of(shown)
    assert (message["content"], message["stop_reason"]) == ([text("Hi.")], "end_turn")


def test_ids_and_models_that_are_missing_are_made_up() -> None:
    reply = Reply("", "", (Choice((ToolUse("", "f", "{}"),), "tool_calls"),), Usage())
    body = json.loads(ANTHROPIC.answer(call(), reply))
    assert body["id"].startswith("msg_")
    assert body["content"][0]["id"].startswith("toolu_")
    assert body["model"] == "m"
    encoder = ANTHROPIC.stream(call())
    assert message_of(encoder.finish())["id"].startswith("msg_")


def test_arguments_that_are_no_json_are_not_lost() -> None:
    body = answered((ToolUse("a", "f", '{"city":"Par'),), "length")
    assert body["content"] == [block("tool_use", id="a", name="f", input={"weebill_arguments": '{"city":"Par'})]


def test_what_a_client_echoes_is_what_was_told() -> None:
    for parts, _, _ in PARTS.values():
        whole = answered(parts)
        if not whole["content"]:
            continue
        (turn,) = turns(("assistant", whole["content"]))
        kept = [part for part in parts if not isinstance(part, Text | Audio)]
        assert [part for part in turn.parts if not isinstance(part, Text)] == kept


# --- Errors.


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (408, "timeout_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_an_error(status: int, kind: str) -> None:
    error = ApiError(status, "No.")
    assert json.loads(ANTHROPIC.error_body(error)) == {"type": "error", "error": {"type": kind, "message": "No."}}
    assert ANTHROPIC.error_event(error) == b"event: error\ndata: " + ANTHROPIC.error_body(error) + b"\n\n"


def test_an_error_names_its_parameter_once() -> None:
    named = ANTHROPIC.error_body(ApiError(400, "Too hot.", param="temperature"))
    assert json.loads(named)["error"]["message"] == "temperature: Too hot."
    already = ANTHROPIC.error_body(ApiError(400, "'temperature' is too high.", param="temperature"))
    assert json.loads(already)["error"]["message"] == "'temperature' is too high."
