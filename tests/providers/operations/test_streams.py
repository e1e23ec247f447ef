"""Streams of transcripts, speech and images, and answers that are not JSON."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rows import every
from weebill.gateway.failures import client_error
from weebill.providers.operations import ENDPOINTS, OPERATIONS
from weebill.providers.operations import streams as streams_module
from weebill.providers.operations.base import OperationStream
from weebill.wire.failure import UpstreamFailure
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage

INBOUND = {each.name: each for each in ENDPOINTS}
EVENTS = b"text/event-stream; charset=utf-8"


def speech(**fields: object) -> OperationCall:
    body = {"model": "m", "input": "twenty-two characters.", "voice": "v", **fields}
    return INBOUND["audio.speech"].decode_request(json.dumps(body).encode(), b"application/json")


def transcription(**fields: str) -> OperationCall:
    parts = {"model": "m", "file": "\0", **fields}
    body = "".join(
        f'--x\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in parts.items()
    )
    return INBOUND["audio.transcriptions"].decode_request(
        body.encode() + b"--x--\r\n", b"multipart/form-data; boundary=x"
    )


def stream() -> OperationStream:
    call = transcription(stream="true")
    translator = OPERATIONS["audio.transcriptions", "openai"]
    assert translator.streams(call, EVENTS)
    found = translator.stream(call, EVENTS)
    assert found.events
    assert found.headers.startswith(b"content-type: text/event-stream")
    return found


def run(data: bytes, cuts: list[int]) -> tuple[bytes, OperationStream]:
    relay = stream()
    edges = [0, *sorted(cuts), len(data)]
    out = b"".join([relay.feed(data[start:end]) for start, end in pairwise(edges)])
    return out, relay


TRANSCRIPT = (
    b': hello\n\ndata: {"type":"transcript.text.delta","delta":"Hello \\"usage\\" "}\n\n'
    b'data: {"type":"transcript.text.delta","delta":"there."}\n\n'
    b'event: done\ndata: {"type":"transcript.text.done","text":"Hello there.",'
    b'"usage":{"type":"tokens","input_tokens":11,"output_tokens":4,"total_tokens":15,'
    b'"input_token_details":{"text_tokens":0,"audio_tokens":11}}}\n\n'
)


@pytest.mark.parametrize("data", [TRANSCRIPT, TRANSCRIPT.replace(b"\n", b"\r\n")])
def test_events_pass_whole_wherever_they_are_split(data: bytes) -> None:
    for cut in range(len(data)):
        out, relay = run(data, [cut])
        assert out + relay.finish() == TRANSCRIPT
        assert relay.usage == Usage.reported(11, 4)


@given(st.lists(st.integers(0, len(TRANSCRIPT) * 2), max_size=12))
def test_events_pass_whole_however_they_are_split(cuts: list[int]) -> None:
    out, relay = run(TRANSCRIPT.replace(b"\n", b"\r\n"), cuts)
    assert out + relay.finish() == TRANSCRIPT


def test_a_stream_that_ends_with_done() -> None:
    data = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\ndata: [DONE]\n\n'
    out, relay = run(data, [])
    assert out + relay.finish() == data
    assert not relay.usage.measured


@every("end", range(1, len(TRANSCRIPT) - 2))
def test_a_cut_is_never_a_clean_end(end: int) -> None:
    _, relay = run(TRANSCRIPT[:end], [])
    with pytest.raises(UpstreamFailure) as caught:
        relay.finish()
    assert caught.value.code == "upstream_cut"


def test_a_last_event_without_its_blank_line_counts() -> None:
    out, relay = run(TRANSCRIPT[:-2], [])
    assert out + relay.finish() == TRANSCRIPT


@pytest.mark.parametrize("event", [
    b'data: {"error":{"message":"broke","code":"server_error"}}\n\n',
    b'event: error\ndata: {"type":"error","error":{"message":"broke","code":"server_error"}}\n\n',
    b'data: {"type":"error","code":"server_error","message":"broke"}\n\n',
])  # fmt: skip
def test_an_error_within_a_stream(event: bytes) -> None:
    out, relay = run(TRANSCRIPT[:9] + event + TRANSCRIPT, [])
    assert out == TRANSCRIPT[:9]
    assert relay.error is not None
    assert (client_error(relay.error).status, client_error(relay.error).detail.code) == (502, "server_error")
    assert "broke" in relay.error.message
    assert relay.feed(TRANSCRIPT) == b""
    with pytest.raises(UpstreamFailure, match="broke"):
        relay.finish()


def test_no_error_is_none() -> None:
    data = b'data: {"type":"x.done","error":null,"usage":null}\n\n'
    out, relay = run(data, [])
    assert out + relay.finish() == data
    assert relay.error is None


def test_an_event_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "MAX_EVENT_BYTES", 1000)
    relay = stream()
    assert relay.feed(b"data: " + b"x" * 994) == b""
    with pytest.raises(UpstreamFailure, match="1000 bytes"):
        relay.feed(b"x")


def test_an_image_streams_with_its_usage() -> None:
    call = INBOUND["images.generations"].decode_request(
        b'{"model":"m","prompt":"p","stream":true,"partial_images":1}', b"application/json"
    )
    data = (
        b'event: image_generation.partial_image\ndata: {"type":"image_generation.partial_image","b64_json":"aQ=="}\n\n'
        b'event: image_generation.completed\ndata: {"type":"image_generation.completed","b64_json":"aQ==",'
        b'"usage":{"input_tokens":11,"output_tokens":100,"total_tokens":111}}\n\n'
    )
    relay = OPERATIONS["images.generations", "openai"].stream(call, EVENTS)
    assert relay.usage == Usage()
    assert relay.feed(data) + relay.finish() == data
    assert relay.usage == Usage.reported(11, 100)


def test_sound_passes_read_by_read() -> None:
    translator = OPERATIONS["audio.speech", "openai"]
    call = speech()
    assert translator.streams(call, b"audio/mpeg")
    relay = translator.stream(call, b"audio/mpeg")
    assert (relay.headers, relay.events, relay.error) == (b"content-type: audio/mpeg\r\n", False, None)
    assert relay.feed(b"\0\r\n\r\n") + relay.feed(b"\1") + relay.finish() == b"\0\r\n\r\n\1"
    assert relay.usage == Usage(prompt_tokens=6)


def test_sound_of_no_stated_kind() -> None:
    relay = OPERATIONS["audio.speech", "openai"].stream(speech(), b"")
    assert relay.headers == b"content-type: application/octet-stream\r\n"


def test_speech_as_events() -> None:
    call = speech(stream_format="sse")
    data = (
        b'data: {"type":"speech.audio.delta","audio":"aQ=="}\n\n'
        b'data: {"type":"speech.audio.done","usage":{"input_tokens":11,"output_tokens":50,"total_tokens":61}}\n\n'
    )
    relay = OPERATIONS["audio.speech", "openai"].stream(call, EVENTS)
    assert relay.events
    assert relay.feed(data) + relay.finish() == data
    assert relay.usage == Usage.reported(11, 50)


TRANSCRIPTS = [
    ("openai", {}, b'{"text":"Hello there.","usage":{"type":"tokens","input_tokens":11,"output_tokens":4}}',
     b"application/json", None, (11, 4, True)),
    ("openai", {}, b'{"text":"Hello there.","usage":{"type":"duration","seconds":3}}',
     b"application/json", None, (0, 0, False)),
    ("openai", {"response_format": "verbose_json"}, b'{"task":"transcribe","text":"Hello there.","segments":[]}',
     b"application/json", None, (0, 0, False)),
    ("openai", {"response_format": "text"}, b"Hello there.\n", b"text/plain; charset=utf-8", None, (0, 4, False)),
    ("openai", {"response_format": "srt"}, b"1\n00:00:00,000 --> 00:00:01,000\n", b"text/plain", None, (0, 8, False)),
    ("openai", {"response_format": "vtt"}, b"WEBVTT\n", b"text/vtt", None, (0, 2, False)),
    ("openai", {"response_format": "text"}, b'{"text":"Hello there."}', b"application/json", None, (0, 6, False)),
    ("mistral", {}, b'{"text":"Hello there.","usage":{"prompt_audio_seconds":3,"prompt_tokens":11,'
     b'"completion_tokens":4,"total_tokens":15}}', b"application/json", None, (11, 4, True)),
    ("mistral", {"response_format": "text"}, b'{"text":"Hello \\u00fc.","usage":{"prompt_tokens":11,'
     b'"completion_tokens":4,"total_tokens":15}}', b"application/json", "Hello ü.".encode(), (11, 4, True)),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "fields", "body", "kind", "gives", "usage"), TRANSCRIPTS)
def test_transcripts(
    dialect: str, fields: dict[str, str], body: bytes, kind: bytes, gives: bytes | None, usage: tuple[int, int, bool]
) -> None:
    translator = OPERATIONS["audio.transcriptions", dialect]
    call = transcription(**fields)
    assert not translator.streams(call, kind)
    answer = translator.decode(call, body, kind)
    assert answer.body == (body if gives is None else gives)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.measured) == usage
    assert answer.headers.startswith(b"content-type: " + (kind if gives is None else b"text/plain"))


@pytest.mark.parametrize("fields", [{}, {"response_format": "text"}])
@pytest.mark.parametrize("dialect", ["openai", "mistral"])
def test_an_error_in_place_of_a_transcript(dialect: str, fields: dict[str, str]) -> None:
    body = b'{"error":{"message":"broke"}}'
    with pytest.raises(UpstreamFailure, match="broke"):
        OPERATIONS["audio.transcriptions", dialect].decode(transcription(**fields), body, b"application/json")


@pytest.mark.parametrize(("endpoint", "dialect"), [
    ("embeddings", "cohere"), ("rerank", "voyage"), ("images.generations", "gemini"), ("audio.speech", "gemini"),
    ("moderations", "mistral"),
])  # fmt: skip
def test_what_comes_in_one_piece_does_not_stream(endpoint: str, dialect: str) -> None:
    translator = OPERATIONS[endpoint, dialect]
    assert not translator.streams(speech(), EVENTS)
    with pytest.raises(NotImplementedError):
        translator.stream(speech(), EVENTS)
