"""A chunk that is just as OpenAI writes it is read once; what goes out is what the searches for odd ones make of it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.providers.openai import relay_stream
from weebill.providers.openai.relay_stream import OpenAIStream
from weebill.wire.body import decode_chat
from weebill.wire.failure import UpstreamFailure
from weebill.wire.sse import DONE


def chunk(delta: object, finish: str | None = None, index: int = 0, **extra: object) -> bytes:
    choices = [{"index": index, "delta": delta, "finish_reason": finish}]
    fields = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": choices, **extra}
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
EVENTS = [
    chunk({"role": "assistant", "content": "", "refusal": None}),
    chunk({"role": "assistant", "content": "A"}, usage=None),
    chunk({"content": "Hello"}),
    chunk({"content": "model"}, usage=None, obfuscation="xy"),
    chunk({"content": ' "usage": {"error": 1} [DONE]\n'}),
    chunk({"reasoning_content": "Hm"}),
    chunk({"content": None}),
    chunk({"content": "B"}, index=1),
    chunk({"role": "assistant", "content": "C"}, index=1),
    chunk({"content": "B"}, "stop"),
    chunk({}, "stop", usage=None),
    chunk({}, ""),
    chunk({}, "stop", usage=USAGE),
    chunk({"content": "x"}, usage={}),
    chunk({"tool_calls": None, "content": "x"}),
    chunk({"content": "x"}, extra=1),
    chunk({"content": "x"}, model="m"),
    chunk({"content": [{"type": "text", "text": "x"}]}),
    chunk({"content": "x"}).replace(b'":', b'": '),
    chunk({"content": "x"}).replace(b'"x"', b'"\\ud83d"'),
    b"data: "
    + msgspec.json.encode({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
    + b"\n\n",
    b'data: {"error": {"message": "no"}}\n\n',
    b"data: {\n\n",
    b": ping\n\n",
    DONE,
]


def read(events: list[bytes], at_once: int, *, usage: bool, as_served: bool, n: int) -> tuple[object, ...]:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True, "n": n}
    call = decode_chat(msgspec.json.encode(body | {"stream_options": {"include_usage": usage}}))
    call.as_served = as_served
    stream = OpenAIStream(call)
    out: list[bytes] = []
    failed = ""
    try:
        out.extend(stream.feed(b"".join(events[at : at + at_once])) for at in range(0, len(events), at_once))
        out.append(stream.finish())
    except UpstreamFailure as error:
        failed = str(error)
    # After an error nothing is asked of a stream.
    state = () if stream.error else (stream.usage, stream.begun, stream.owed_s)
    return b"".join(out), failed, str(stream.error), *state


@given(
    st.lists(st.sampled_from(EVENTS), max_size=12),
    st.integers(1, 5),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 2]),
)
def test_a_plain_chunk_goes_out_as_any_other_would(
    events: list[bytes], at_once: int, usage: bool, as_served: bool, n: int
) -> None:
    plainly = read(events, at_once, usage=usage, as_served=as_served, n=n)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(relay_stream, "decode_plain_chunk", lambda _: None)
        assert plainly == read(events, at_once, usage=usage, as_served=as_served, n=n)


def test_plain_chunks_are_read_once() -> None:
    def searched(_: OpenAIStream, came: bytes) -> bytes:
        raise AssertionError(came)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(OpenAIStream, "_read_any", searched)
        out, *_ = read([EVENTS[0], EVENTS[2], EVENTS[10], DONE], 1, usage=True, as_served=False, n=1)
    assert b"Hello" in bytes(str(out), "utf-8")
