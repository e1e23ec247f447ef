"""Answers and streams from Responses to Responses: what they lack is put in, all else passes."""

import json
from collections.abc import Callable

import msgspec
import pytest

from tests.providers.test_responses_relay import VECTORS, call, stream_bytes
from tests.recorded.sdks import sdk
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.failures import client_error
from weebill.gateway.translation import failure
from weebill.providers.base import NOTHING_SENT, SaysItsFailure
from weebill.providers.responses.relay import RESPONSES_RELAY
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Usage


def test_a_failure_passes_as_the_upstream_said_it() -> None:
    said = {
        "id": "r",
        "status": "failed",
        "model": "m",
        "error": {"code": "server_error", "message": "No", "more": [1]},
    }
    event = json.dumps({"type": "response.failed", "sequence_number": 3, "response": said}).encode()
    block = b"event: response.failed\ndata: %b\n\n" % event
    relay = RESPONSES_RELAY.stream(call(store=False), NOTHING_SENT)
    assert relay.feed(block) == b""
    assert relay.error is not None
    assert isinstance(relay, SaysItsFailure)
    assert failure(RESPONSES, relay, client_error(relay.error)) == block
    other = RESPONSES_RELAY.stream(call(store=False), NOTHING_SENT)
    cut = ApiError(502, "Cut.")
    assert failure(RESPONSES, other, cut) == RESPONSES.error_event(cut)


@pytest.mark.parametrize("name", ["text", "tool-parallel", "reasoning", "length", "citations", "hosted-tool", "cached"])
def test_an_answer_passes_as_it_came(name: str) -> None:
    body, stream, asked = bytes(VECTORS.answers[name].body), stream_bytes(name), call(store=False)
    whole = RESPONSES_RELAY.decode(asked, NOTHING_SENT, body)
    assert whole.body == body
    assert whole.usage.measured
    for size in (1, 7, 100, len(stream)):
        relay = RESPONSES_RELAY.stream(asked, NOTHING_SENT)
        out = b"".join(relay.feed(stream[at : at + size]) for at in range(0, len(stream), size)) + relay.finish()
        assert out == stream
        assert relay.usage == whole.usage
        assert relay.error is None


MADE = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f"}
NULL_IN_IT = {**MADE, "arguments": '{"arguments":"null"}'}
# Of a call -> the arguments that clients read.
ARGUMENTS: list[tuple[dict[str, object], str]] = [
    ({"arguments": "null"}, "{}"),
    ({"arguments": ""}, "{}"),
    ({"arguments": " null\n"}, "{}"),
    ({"arguments": None}, "{}"),
    ({}, "{}"),
    ({"arguments": '{"a":null}'}, '{"a":null}'),
    ({"arguments": "[1]"}, "[1]"),
]


@pytest.mark.parametrize(("given", "expected"), ARGUMENTS)
@pytest.mark.parametrize("spaced", [True, False])
def test_calls_have_arguments(given: dict[str, object], expected: str, spaced: bool) -> None:
    others = [NULL_IN_IT, {"type": "custom_tool_call", "input": ""}, {"type": "mcp_call", "arguments": ""}]
    body = {"id": "r", "status": "completed", "metadata": {"arguments": ""}, "output": [{**MADE, **given}, *others]}
    put_right = {**body, "output": [{**MADE, "arguments": expected}, *others]}
    separators = None if spaced else (",", ":")

    def written(value: object) -> bytes:
        return json.dumps(value, separators=separators).encode()

    assert json.loads(RESPONSES_RELAY.decode(call(store=False), NOTHING_SENT, written(body)).body) == put_right
    # The same where a stream was asked for.
    relay = RESPONSES_RELAY.stream(call(store=False), NOTHING_SENT)
    relay.feed(written(body))
    plain = relay.finish()
    assert b'"null"' not in plain.replace(b'\\"null\\"', b"")
    at: dict[str, object] = {"output_index": 0, "item_id": "fc_1"}
    begun: list[dict[str, object]] = [
        {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", **at, "item": {**MADE, "arguments": ""}},
    ]
    if isinstance(said := given.get("arguments"), str) and said.strip():
        begun.append({"type": "response.function_call_arguments.delta", **at, "delta": said.strip()})
    ended: list[dict[str, object]] = [
        {"type": "response.function_call_arguments.done", **at, **given},
        {"type": "response.output_item.done", **at, "item": {**MADE, **given}},
        {"type": "response.completed", "response": body},
    ]
    relay = RESPONSES_RELAY.stream(call(store=False), NOTHING_SENT)
    stream = b"".join(
        b"event: %b\ndata: %b\n\n" % (str(each["type"]).encode(), written(each)) for each in begun + ended
    )
    out = relay.feed(stream) + relay.finish()
    events = [json.loads(block.partition(b"data: ")[2]) for block in out.split(b"\n\n") if block]
    assert events[:2] == begun[:2]
    assert [event["delta"] for event in events[2:-3]] == [expected for _ in begun[2:]]
    assert events[-3:] == [
        {**ended[0], "arguments": expected},
        {**ended[1], "item": {**MADE, "arguments": expected}},
        {**ended[2], "response": put_right},
    ]
    assert json.loads(relay.response) == put_right  # type: ignore[attr-defined]
    if given.get("arguments") == expected:
        assert out == stream


def test_null_as_a_piece_of_arguments_is_one() -> None:
    said = ['{"a":', "null", "}"]
    at: dict[str, object] = {"output_index": 0, "item_id": "fc_1"}
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", **at, "item": {**MADE, "arguments": ""}},
        *({"type": "response.function_call_arguments.delta", **at, "delta": each} for each in said),
    ]
    stream = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events)
    assert RESPONSES_RELAY.stream(call(store=False), NOTHING_SENT).feed(stream) == stream


Events = list[dict[str, object]]


def events_of(data: bytes) -> Events:
    return [json.loads(block.partition(b"data: ")[2]) for block in data.split(b"\n\n") if b"data: {" in block]


def without_kinds(*kinds: str) -> Callable[[Events], Events]:
    return lambda events: [each for each in events if each["type"] not in kinds]


def without_members(*names: str) -> Callable[[Events], Events]:
    return lambda events: [{name: each[name] for name in each if name not in names} for each in events]


def renamed_at_the_end(events: Events) -> Events:
    """Items get other ids when they are done."""
    return [
        {**each, "item": {**each["item"], "id": "later"}} if each["type"] == "response.output_item.done" else each  # type: ignore[dict-item]
        for each in events
    ]


ADDED, PART = "response.output_item.added", "response.content_part.added"
LACKING: list[Callable[[Events], Events]] = [
    without_kinds("response.created"),
    without_kinds("response.created", "response.in_progress"),
    without_kinds(ADDED),
    without_kinds(PART),
    without_kinds("response.created", "response.in_progress", ADDED, PART),
    without_members("output_index"),
    without_members("content_index"),
    without_members("output_index", "content_index", "item_id"),
    renamed_at_the_end,
    without_kinds("response.completed"),
    lambda events: without_members("output_index")(without_kinds(ADDED, PART, "response.completed")(events)),
]


@pytest.mark.parametrize("lacking", range(len(LACKING)))
@pytest.mark.parametrize("name", ["text", "tool-parallel", "reasoning"])
def test_what_a_stream_lacks_is_put_in(name: str, lacking: int) -> None:
    """So that the official SDK reads of it what it reads of all."""
    intact = stream_bytes(name)
    events = LACKING[lacking](events_of(intact))
    stream = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events) + b"data: [DONE]\n\n"
    for size in (7, len(stream)):
        relay = RESPONSES_RELAY.stream(call(store=False), NOTHING_SENT)
        out = b"".join(relay.feed(stream[at : at + size]) for at in range(0, len(stream), size)) + relay.finish()
        assert relay.error is None
        read = sdk("responses").read(out, stream=True, echo=False)
        whole = sdk("responses").read(intact, stream=True, echo=False)
        assert (read.text, read.calls) == (whole.text, whole.calls)
        assert json.loads(relay.response)["status"] == "completed"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["response.created", "response.in_progress", "response.completed"])
def test_names_that_are_no_utf8_break_no_stream(kind: str) -> None:
    stream = RESPONSES_RELAY.stream(call(), NOTHING_SENT)
    event = b'event: %b\ndata: {"type":"%b","response":{"id":"r","a\xff":1,"output":[]}}\n\n'
    told = stream.feed(event.replace(b"%b", kind.encode()))
    assert stream.error is None
    assert b'"a\xef\xbf\xbd":1' in told


def test_what_is_not_all_there_is_no_answer() -> None:
    relay = RESPONSES_RELAY.stream(call(store=False), NOTHING_SENT)
    cut = without_kinds("response.completed")(events_of(stream_bytes("text")))[:-1]
    relay.feed(b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in cut) + b"data: [DONE]\n\n")
    with pytest.raises(UpstreamFailure):
        relay.finish()


def test_the_answer_says_of_keeping_what_the_client_asked() -> None:
    asked = call(previous_response_id="resp_before")
    whole = msgspec.json.decode(RESPONSES_RELAY.decode(asked, NOTHING_SENT, bytes(VECTORS.answers["text"].body)).body)
    expected = {**msgspec.json.decode(VECTORS.answers["text"].body), "store": True}
    expected["previous_response_id"] = "resp_before"
    assert whole == expected
    relay = RESPONSES_RELAY.stream(asked, NOTHING_SENT)
    out = relay.feed(stream_bytes("text")) + relay.finish()
    events = [msgspec.json.decode(block.partition(b"data: ")[2]) for block in out.split(b"\n\n") if block]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    shown = [event["response"] for event in events if "response" in event]
    assert [(each["store"], each["previous_response_id"]) for each in shown] == [(True, "resp_before")] * 3
    assert msgspec.json.decode(relay.response) == expected  # type: ignore[attr-defined]


def test_usage_is_estimated_until_it_is_told() -> None:
    relay = RESPONSES_RELAY.stream(call(input="x" * 40), NOTHING_SENT)
    relay.feed(stream_bytes("cut"))
    assert relay.usage == Usage(prompt_tokens=11, completion_tokens=1)


@pytest.mark.parametrize("name", ["error-first-event", "error-mid-stream", "error-in-200"])
def test_an_error_in_a_stream(name: str) -> None:
    relay = RESPONSES_RELAY.stream(call(), NOTHING_SENT)
    out = relay.feed(stream_bytes(name))
    assert relay.error is not None
    assert client_error(relay.error).status == (429 if name == "error-first-event" else 502)
    assert b"event: error" not in out
    assert b"response.failed" not in out
    assert (b"Hello" in out) == (name == "error-mid-stream")
    assert relay.feed(stream_bytes("text")) == b""


@pytest.mark.parametrize("data", [stream_bytes("cut"), b"", b"data: [DONE]\n\n", stream_bytes("text").rstrip()[:-9]])
def test_a_cut_never_ends_cleanly(data: bytes) -> None:
    relay = RESPONSES_RELAY.stream(call(), NOTHING_SENT)
    relay.feed(data)
    with pytest.raises(UpstreamFailure) as caught:
        relay.finish()
    assert caught.value.code == "upstream_cut"


def test_the_last_blank_line_may_be_missing() -> None:
    relay = RESPONSES_RELAY.stream(call(store=False), NOTHING_SENT)
    assert relay.feed(stream_bytes("text").rstrip()) + relay.finish() == stream_bytes("text")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"status":"failed","error":{"code":"rate_limit_exceeded","message":"x"}}', 429), (b"{}", 502), (b"<", 502)],
)
def test_what_is_no_answer(body: bytes, status: int) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        RESPONSES_RELAY.decode(call(), NOTHING_SENT, body)
    assert client_error(caught.value).status == status


def test_an_error_keeps_the_providers_words_and_when_to_come_back() -> None:
    vector = VECTORS.answers["error-429"]
    error = client_error(RESPONSES_RELAY.error(call(), 429, bytes(vector.body), 20, "acme"))
    assert (error.status, error.detail.code, error.retry_after) == (429, "rate_limit_exceeded", 20)
    assert "20s" in error.detail.message


@pytest.mark.parametrize("error", [b'"\x80"', b'{"message":"\x80"}', b'{"code":[1],"message":"a\xff"}'])
def test_an_error_that_is_no_utf8_is_an_error_all_the_same(error: bytes) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        RESPONSES_RELAY.decode(call(), NOTHING_SENT, b'{"status":"failed","error":%b,"output":[]}' % error)
    assert "\ufffd" in caught.value.message
