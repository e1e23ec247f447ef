"""The relay between Gemini clients and upstreams: every byte passes, ends and errors are seen."""

import json
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weebill.gateway.failures import client_error
from weebill.providers.base import NOTHING_SENT, Target
from weebill.providers.gemini.relay import GEMINI_RELAY
from weebill.providers.gemini.vertex import VERTEX_RELAY
from weebill.wire.call import Call
from weebill.wire.failure import UpstreamFailure
from weebill.wire.gemini import Content, Part
from weebill.wire.gemini_request import GeminiRequest, GenerateContentRequest, GenerationConfig
from weebill.wire.reply import Usage

ANSWERS = json.loads((Path(__file__).parents[1] / "vectors" / "gemini.json").read_text())["answers"]
FIELDS = b'{"contents":[{"parts":[{"text":"Hello there, who are you?"}]}],"unknownField":{"a": 1.50}}'


def call(*, stream: bool = True, array: bool = False, count: int | None = None) -> Call:
    body = GenerateContentRequest(
        contents=Content(parts=[Part(text="x")]), generation_config=GenerationConfig(candidate_count=count)
    )
    fields = msgspec.json.decode(FIELDS, type=dict[str, msgspec.Raw])
    return Call(GeminiRequest(body, array), fields, "mine", stream, as_served=True)


def run(
    pieces: list[bytes], array: bool = False, count: int | None = None
) -> tuple[bytes, Usage, UpstreamFailure | None]:
    relay = GEMINI_RELAY.stream(call(array=array, count=count), NOTHING_SENT)
    out = b"".join([relay.feed(piece) for piece in pieces])
    out += relay.finish()
    return out, relay.usage, relay.error


def stream(name: str) -> bytes:
    return "".join(ANSWERS[name]["stream"]).encode()


PASSING = [
    name
    for name, answer in ANSWERS.items()
    if answer["status"] == 200 and not name.startswith("error") and name != "cut"
]


def test_the_body_passes_as_it_came() -> None:
    request = GEMINI_RELAY.encode(call(stream=False), Target(model="gemini-2.5-pro"))
    assert request.path == b"/models/gemini-2.5-pro:generateContent"
    assert request.body == FIELDS
    request = VERTEX_RELAY.encode(call(), Target(model="gemini-2.5-pro", options={"project": "p"}))
    assert request.path == (
        b"/projects/p/locations/global/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    )


@pytest.mark.parametrize("name", PASSING)
def test_a_whole_answer_passes(name: str) -> None:
    body = msgspec.json.encode(ANSWERS[name]["body"])
    answer = GEMINI_RELAY.decode(call(stream=False), NOTHING_SENT, body)
    assert answer.body == body
    assert answer.usage.measured
    assert answer.usage.prompt_tokens >= 11


@pytest.mark.parametrize("name", PASSING)
def test_a_stream_passes_cut_at_every_byte(name: str) -> None:
    data = stream(name)
    whole = GEMINI_RELAY.decode(call(stream=False), NOTHING_SENT, msgspec.json.encode(ANSWERS[name]["body"])).usage
    for at in range(0, len(data) + 1, 7):
        assert run([data[:at], data[at:]]) == (data, whole, None)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(PASSING), st.lists(st.integers(min_value=0), max_size=12), st.booleans())
def test_an_array_holds_every_event(name: str, cuts: list[int], bare_lines: bool) -> None:
    data = stream(name)
    events = [json.loads(event.removeprefix("data: ")) for event in ANSWERS[name]["stream"]]
    if bare_lines:
        data = data.replace(b"\r\n", b"\n")
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out, _, error = run([data[start:end] for start, end in pairwise(edges)], array=True)
    assert error is None
    assert json.loads(out) == events


def test_usage_is_estimated_where_none_is_reported() -> None:
    relay = GEMINI_RELAY.stream(call(), NOTHING_SENT)
    relay.feed(b'data: {"candidates":[{"content":{"parts":[{"text":"Hello"}]},"finishReason":"STOP"}]}\r\n\r\n')
    assert relay.usage == Usage(prompt_tokens=13, completion_tokens=1)
    body = b'{"candidates":[{"content":{"parts":[{"text":"Hello"}]}}]}'
    answer = GEMINI_RELAY.decode(call(stream=False), NOTHING_SENT, body)
    assert answer.usage == Usage(prompt_tokens=13, completion_tokens=10)


@pytest.mark.parametrize("name", ["error-first-event", "error-mid-stream", "error-mid-stream-bare"])
@pytest.mark.parametrize("array", [False, True])
def test_an_error_in_a_stream_is_seen_and_not_passed(name: str, array: bool) -> None:
    data = stream(name)
    for at in range(len(data) + 1):
        out, _, error = run([data[:at], data[at:]], array)
        assert error is not None
        assert error.failure.kind == "overloaded"
        assert b"error" not in out


def test_arguments_that_look_like_errors_are_none() -> None:
    args = {"error": {"message": "no"}, "finishReason": "STOP", "promptFeedback": 1}
    piece = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": args}}]}}]}
    data = b"data: " + msgspec.json.encode(piece) + b"\r\n\r\n"
    with pytest.raises(UpstreamFailure) as raised:
        run([data])
    assert raised.value.code == "upstream_cut"
    piece["candidates"][0]["finishReason"] = "STOP"
    data = b"data: " + msgspec.json.encode(piece) + b"\r\n\r\n"
    assert run([data])[0] == data


@pytest.mark.parametrize("array", [False, True])
def test_a_cut_is_never_a_clean_end(array: bool) -> None:
    for data in (stream("cut"), b"", stream("several").rpartition(b"data:")[0]):
        with pytest.raises(UpstreamFailure) as raised:
            run([data], array, count=2)
        assert raised.value.code == "upstream_cut"


def test_a_candidate_that_began_late_must_end_too() -> None:
    ended = b'data: {"candidates":[{"finishReason":"STOP","index":0}]}\r\n\r\n'
    other = b'data: {"candidates":[{"content":{"parts":[{"text":"x"}]},"index":1}]}\r\n\r\n'
    with pytest.raises(UpstreamFailure):
        run([ended + other], count=2)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"<html>"])
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(UpstreamFailure) as raised:
        GEMINI_RELAY.decode(call(stream=False), NOTHING_SENT, data)
    assert raised.value.failure.kind == "invalid_answer"


def test_an_error_inside_200_is_one() -> None:
    with pytest.raises(UpstreamFailure) as raised:
        GEMINI_RELAY.decode(call(stream=False), NOTHING_SENT, msgspec.json.encode(ANSWERS["error-in-200"]["body"]))
    assert client_error(raised.value).status == 503


def test_the_header_knows_better_when_to_come_back() -> None:
    body = msgspec.json.encode(ANSWERS["error-429"]["body"])
    assert client_error(GEMINI_RELAY.error(call(), 429, body, 60, "google")).retry_after == 60
    assert client_error(GEMINI_RELAY.error(call(), 429, body, None, "google")).retry_after == pytest.approx(
        34.07, abs=0.01
    )
