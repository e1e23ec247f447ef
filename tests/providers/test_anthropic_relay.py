"""Anthropic's API to itself: what is put in, what passes untouched, what is picked out, and what errors become."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.test_anthropic import ERRORS, FAILURES, REPLIES, VECTORS
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.anthropic.count import decode_count
from weebill.gateway.failures import client_error
from weebill.providers.anthropic.relay import ANTHROPIC_RELAY, AnthropicRelayStream, count_tokens_request
from weebill.providers.base import NOTHING_SENT, Target
from weebill.wire.call import Call
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Usage


def call(headers: dict[bytes, bytes] | None = None, **fields: object) -> Call:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **fields}
    asked = ANTHROPIC.decode(msgspec.json.encode(body), headers or {}, "")
    asked.as_served = True
    return asked


def relayed(pieces: list[bytes]) -> tuple[bytes, Usage, UpstreamFailure | None]:
    stream = AnthropicRelayStream(call())
    sent = b"".join(stream.feed(piece) for piece in pieces)
    if stream.error is None:
        sent += stream.finish()
    return sent, stream.usage, stream.error


def test_only_the_name_of_the_model_changes() -> None:
    messages = b'[{"role":"user","content":[{"type":"new","y":1.0}]}]'
    body = b'{"model":"m","drop_params":true,"max_tokens":9,"x":1.10,"messages":' + messages + b"}"
    request = ANTHROPIC_RELAY.encode(ANTHROPIC.decode(body, {}, ""), Target(model="claude"))
    assert request.path == b"/messages"
    assert request.body == body.replace(b'"m"', b'"claude"').replace(b'"drop_params":true,', b"")
    assert request.headers == b"content-type: application/json\r\nanthropic-version: 2023-06-01\r\n"


def test_the_client_names_version_and_betas() -> None:
    headers = {b"anthropic-version": b"2024-01-01", b"anthropic-beta": b"a,b", b"x-api-key": b"secret"}
    target = Target(model="claude", options={"anthropic_beta": "b,c", "anthropic_version": "2020-01-01"})
    assert ANTHROPIC_RELAY.encode(call(headers), target).headers == (
        b"content-type: application/json\r\nanthropic-version: 2024-01-01\r\nanthropic-beta: a,b,c\r\n"
    )


def test_counting_tokens_passes_through() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"new":1}'
    request = count_tokens_request(decode_count(body, {b"anthropic-beta": b"x"}), Target(model="claude"))
    assert request.path == b"/messages/count_tokens"
    assert request.body == body.replace(b'"m"', b'"claude"')
    assert b"anthropic-beta: x\r\n" in request.headers


@pytest.mark.parametrize("name", REPLIES)
def test_an_answer_passes_as_it_came(name: str) -> None:
    body = bytes(VECTORS.answers[name].body)
    answer = ANTHROPIC_RELAY.decode(call(), NOTHING_SENT, body)
    assert answer.body is body
    assert answer.usage == REPLIES[name][3]


def test_blocks_that_are_not_known_pass() -> None:
    body = b'{"content":[{"type":"new","text":{},"name":1,"input":[]}],"usage":{"input_tokens":1,"output_tokens":2}}'
    assert ANTHROPIC_RELAY.decode(call(), NOTHING_SENT, body).usage == Usage(1, 0, 2, measured=True)


def test_a_missing_usage_is_estimated_and_says_so() -> None:
    usage = ANTHROPIC_RELAY.decode(
        call(), NOTHING_SENT, b'{"content":[{"type":"text","text":"' + b"x" * 400 + b'"}]}'
    ).usage
    assert not usage.measured
    assert usage.completion_tokens >= 100


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"content":null}'])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamFailure) as raised:
        ANTHROPIC_RELAY.decode(call(), NOTHING_SENT, body)
    assert raised.value.failure.kind == "invalid_answer"


@pytest.mark.parametrize("name", REPLIES)
def test_a_stream_passes_as_it_came_however_it_is_split(name: str) -> None:
    data = VECTORS.answers[name].bytes()
    assert relayed([data]) == (data, REPLIES[name][3], None)
    assert relayed([data[at : at + 1] for at in range(len(data))]) == (data, REPLIES[name][3], None)


@settings(deadline=None)
@given(st.integers(0, 4000), st.integers(0, 4000))
def test_a_stream_split_anywhere(first: int, second: int) -> None:
    data = VECTORS.answers["tool-parallel"].bytes()
    start, end = sorted((first, second))
    assert relayed([data[:start], data[start:end], data[end:]])[0] == data


def test_unknown_events_pass() -> None:
    data = VECTORS.answers["text"].bytes()
    odd = b': "usage"\n\nevent: new\ndata: {"type":"new","usage":[]}\n\n'
    at = data.index(b"event: content_block_stop")
    assert relayed([data[:at] + odd + data[at:]])[0] == data[:at] + odd + data[at:]


def test_an_unfinished_stream_has_its_usage_estimated() -> None:
    stream = AnthropicRelayStream(call())
    stream.feed(VECTORS.answers["text"].bytes().split(b"event: content_block_stop")[0])
    assert stream.usage == Usage(11, 0, 2, measured=False)
    assert AnthropicRelayStream(call()).usage.prompt_tokens > 0


@pytest.mark.parametrize("name", FAILURES)
def test_an_error_inside_a_200(name: str) -> None:
    vector = VECTORS.answers[name]
    with pytest.raises(UpstreamFailure, match="Overloaded"):
        ANTHROPIC_RELAY.decode(call(), NOTHING_SENT, bytes(vector.body))
    stream = AnthropicRelayStream(call())
    sent = stream.feed(vector.bytes())
    if stream.error is None:
        sent += stream.finish()
    assert stream.error is not None
    assert (client_error(stream.error).status, client_error(stream.error).detail.code) == (503, "upstream_overloaded")
    # What came before the error has been sent, the error itself is the gateway's to tell.
    assert sent == vector.bytes().split(b"event: error")[0] or name == "error-in-200"
    assert b"Overloaded" not in sent


def test_a_stream_that_just_ends_is_an_error() -> None:
    with pytest.raises(UpstreamFailure) as raised:
        relayed([VECTORS.answers["cut"].bytes()])
    assert raised.value.code == "upstream_cut"


def test_a_stream_that_lacks_only_its_end_gets_one() -> None:
    data = VECTORS.answers["text"].bytes()
    assert relayed([data[: data.index(b"event: message_stop")]])[0] == data
    assert relayed([data.rstrip()])[0] == data


@pytest.mark.parametrize("name", ERRORS)
def test_an_error(name: str) -> None:
    vector = VECTORS.answers[name]
    error = client_error(ANTHROPIC_RELAY.error(call(), vector.status, bytes(vector.body), 17, "claude"))
    assert (error.status, error.detail.code, error.detail.param) == ERRORS[name]
    assert error.retry_after == 17
