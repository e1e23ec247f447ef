"""The relay of a stream: every byte passes but those that are not for the client, wherever reads are cut."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.gateway.failures import client_error
from weebill.providers.openai.relay_stream import OpenAIStream
from weebill.wire.body import decode_chat
from weebill.wire.call import Call
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Usage
from weebill.wire.sse import DONE, MAX_EVENT_BYTES


def call(include_usage: bool = False) -> Call:
    options = {"include_usage": include_usage}
    return decode_chat(
        msgspec.json.encode(
            {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True, "stream_options": options}
        )
    )


def chunk(content: str = "a", finish: str | None = None, *, role: str | None = None, **extra: object) -> bytes:
    delta = {"content": content} if role is None else {"role": role, "content": content}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    fields = {"id": "c", "object": "chat.completion.chunk", "choices": choices, **extra}
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


FIRST = chunk("", role="assistant")


USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
USAGE_CHUNK = b"data: " + msgspec.json.encode({"id": "c", "choices": [], "usage": USAGE}) + b"\n\n"
SPOKEN = [
    FIRST,
    chunk("Hello"),
    b": ping\n\n",
    chunk(' "usage": {"error": 1} [DONE]'),
    chunk("é\u2028🐦"),
    chunk("", "stop"),
]
TEXT = b"".join(SPOKEN)
MEASURED = Usage(9, 4, 3, measured=True)


def run(data: list[bytes], include_usage: bool = False) -> tuple[bytes, OpenAIStream]:
    stream = OpenAIStream(call(include_usage))
    out = b"".join([stream.feed(piece) for piece in data])
    return out + stream.finish(), stream


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def test_cut_at_every_single_byte() -> None:
    data = TEXT + USAGE_CHUNK + DONE
    for cut in range(len(data) + 1):
        out, stream = run([data[:cut], data[cut:]])
        assert out == TEXT + DONE
        assert stream.usage == MEASURED


@given(st.lists(st.integers(min_value=0), max_size=12), st.booleans(), st.booleans())
def test_cut_anywhere(cuts: list[int], include_usage: bool, crlf: bool) -> None:
    data = TEXT + USAGE_CHUNK + DONE
    sent = data.replace(b"\n", b"\r\n") if crlf else data
    out, stream = run(pieces(sent, cuts), include_usage)
    assert out == (data if include_usage else TEXT + DONE)
    assert stream.usage == MEASURED
    assert stream.error is None


def test_usage_null_is_not_shown_to_who_did_not_ask() -> None:
    first = chunk("a", usage=None)
    assert b'"usage":null' in first
    out, _ = run([first, chunk("", "stop", usage=None), USAGE_CHUNK, DONE])
    assert b"usage" not in out
    out, _ = run([first, chunk("", "stop", usage=None), USAGE_CHUNK, DONE], include_usage=True)
    assert out.count(b'"usage":null') == 2
    assert USAGE_CHUNK in out


def test_usage_beside_the_last_choice_is_taken_out() -> None:
    last = chunk("b", "stop", usage=USAGE, x_new=1)
    out, stream = run([FIRST, last, DONE])
    assert out == FIRST + chunk("b", "stop", x_new=1) + DONE
    assert stream.usage == MEASURED


def test_usage_where_groq_puts_it_counts() -> None:
    last = chunk("b", "stop", x_groq={"id": "r", "usage": USAGE})
    out, stream = run([FIRST, last, DONE])
    assert out == FIRST + last + DONE
    assert stream.usage == MEASURED


def test_without_a_reported_usage_it_is_estimated() -> None:
    _, stream = run([TEXT, DONE])
    assert not stream.usage.measured
    assert stream.usage.completion_tokens == len(SPOKEN) - 2  # the role, and the comment


@pytest.mark.parametrize("end", [b"", USAGE_CHUNK])
def test_a_finished_answer_gets_the_done_that_its_upstream_forgot(end: bytes) -> None:
    out, _ = run([TEXT + end])
    assert out == TEXT + DONE


def test_a_last_event_without_its_blank_line_counts() -> None:
    out, stream = run([TEXT + USAGE_CHUNK + b"data: [DONE]"])
    assert out == TEXT + DONE
    assert stream.usage == MEASURED


@pytest.mark.parametrize(
    "data", [b"", chunk("a"), chunk("a") + chunk("b"), TEXT[:-40], b"not an event stream", b'{"choices":[]}']
)
def test_a_cut_answer_never_ends_cleanly(data: bytes) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        run([data])
    assert caught.value.code == "upstream_cut"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (b'data: {"error":{"message":"boom","type":"server_error","code":500}}\n\n', "boom"),
        (b'data: {"error":"boom"}\n\n', "boom"),
        (b'data: {"error": {"type":"overloaded"}}\n\n', "The upstream failed."),
    ],
)
def test_an_error_inside_the_stream_ends_it(event: bytes, message: str) -> None:
    stream = OpenAIStream(call())
    out = stream.feed(FIRST + event + chunk("b"))
    assert out == FIRST
    assert stream.error is not None
    assert stream.error.message == message
    assert stream.feed(chunk("c")) == b""


def test_nothing_passes_after_the_end() -> None:
    stream = OpenAIStream(call())
    stream.feed(TEXT + DONE + chunk("more"))
    assert stream.feed(chunk("more")) == b""
    assert stream.finish() == DONE


def test_an_event_without_end_is_bounded() -> None:
    stream = OpenAIStream(call())
    for _ in range(MAX_EVENT_BYTES // 65536):
        stream.feed(b"x" * 65536)
    with pytest.raises(UpstreamFailure) as caught:
        stream.feed(b"x")
    assert client_error(caught.value).status == 502


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_garbage_never_raises_anything_but_an_api_error(data: list[bytes]) -> None:
    stream = OpenAIStream(call())
    try:
        for piece in data:
            stream.feed(piece)
        stream.finish()
    except UpstreamFailure:
        pass


@pytest.mark.parametrize("aside", [b"id: 1\n\n", b"retry: 100\n\n", b"event: ping\nid: 2\n\n"])
def test_events_without_data_are_not_for_the_client(aside: bytes) -> None:
    out, stream = run(
        [FIRST + aside + chunk("Hello") + aside, aside, chunk("!") + chunk("", "stop") + USAGE_CHUNK + DONE]
    )
    assert out == FIRST + chunk("Hello") + chunk("!") + chunk("", "stop") + DONE
    assert stream.usage == MEASURED


@pytest.mark.parametrize("order", [True, False])
def test_json_over_several_lines_comes_in_one(order: bool) -> None:
    asked = call()
    asked.as_served = order
    served = OpenAIStream(asked)
    lines = msgspec.json.format(chunk("a\nb")[6:-2], indent=1).replace(b"\n", b"\ndata: ")
    out = served.feed(FIRST + b"data: " + lines + b"\n\n")
    said = [msgspec.json.decode(block.removeprefix(b"data: ")) for block in out.split(b"\n\n") if block]
    assert said[1]["choices"][0]["delta"]["content"] == "a\nb"
