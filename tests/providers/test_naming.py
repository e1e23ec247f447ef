"""The name that was asked for, in answers that pass through: only there, whatever else is in them."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.providers.anthropic.relay import ANTHROPIC_RELAY
from weebill.providers.base import NOTHING_SENT
from weebill.providers.gemini.relay import GEMINI_RELAY
from weebill.providers.naming import MODEL, MODEL_VERSION, named, named_within
from weebill.providers.openai.relay import OPENAI_RELAY
from weebill.providers.openai.relay_stream import OpenAIStream
from weebill.wire.body import decode_chat
from weebill.wire.call import Call

ASKED = b'"asked"'
# What a model may say or be called with that looks like the member.
DECOYS = (
    '"model":"up"',
    '\\"model\\":\\"up\\"',
    'data: {"model":"up"}\n\n',
    '","model":"up',
    "{",
    "]}",
)
CASES = {
    "compact": (b'{"id":"c","model":"up","choices":[]}', b'{"id":"c","model":"asked","choices":[]}'),
    "spaced": (b'{ "model" : "up" , "n": 1}', b'{ "model" : "asked" , "n": 1}'),
    "lines": (b'{\n  "id": 1,\n  "model":\n "up"\n}', b'{\n  "id": 1,\n  "model":\n "asked"\n}'),
    "escaped": (rb'{"model":"meta\/\"up\"","n":1}', b'{"model":"asked","n":1}'),
    "null": (b'{"model":null}', b'{"model":"asked"}'),
    "empty": (b'{"model":""}', b'{"model":"asked"}'),
    "last": (b'{"a":[{"model":"up"}],"model":"up","x":"y"}', b'{"a":[{"model":"up"}],"model":"asked","x":"y"}'),
    "between": (b'{"a":{"model":"up"},"model":"up","b":[1]}', b'{"a":{"model":"up"},"model":"asked","b":[1]}'),
    "brace in text": (b'{"a":"}","model":"up","b":"{"}', b'{"a":"}","model":"asked","b":"{"}'),
    "backslash before": (rb'{"a":"\\","model":"up"}', rb'{"a":"\\","model":"asked"}'),
    "value is model": (b'{"object":"model","model":"up"}', b'{"object":"model","model":"asked"}'),
    "nested only": (b'{"a":{"model":"up"},"b":[{"model":"up"}]}',) * 2,
    "none": (b'{"a":1}',) * 2,
    "not JSON": (b'<p>"model":"up"</p>',) * 2,
    "a list": (b'[{"model":"up"}]',) * 2,
    "the same": (b'{"model":"asked"}',) * 2,
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_only_the_outermost_member_is_another(case: str) -> None:
    data, expected = CASES[case]
    assert named(data, ASKED) == expected
    assert named(data, b"") == data
    if expected == data:
        assert named(data, ASKED) is data


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(DECOYS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from((MODEL, *DECOYS)), inner, max_size=4)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.text() | st.sampled_from((*DECOYS, "id", "zz")), json, max_size=4)


@given(objects, objects, st.sampled_from((MODEL, MODEL_VERSION)), st.none() | st.text())
def test_everything_else_stays(
    before: dict[str, object], after: dict[str, object], key: str, model: str | None
) -> None:
    whole = {**before, key: model, **{name: value for name, value in after.items() if name != key}}
    written = named(msgspec.json.encode(whole), ASKED, key)
    decoded = msgspec.json.decode(written)
    assert decoded == {**whole, key: "asked"}
    assert list(decoded) == list(whole)


def test_within_a_member() -> None:
    data = b'{"type":"message_start","message":{"id":"i","model":"up"},"model":"outer"}'
    assert named_within(data, "message", ASKED) == data.replace(b"up", b"asked")
    assert named_within(b'{"message":[]}', "message", ASKED) == b'{"message":[]}'
    assert named_within(data, "other", ASKED) == data


def call(model: str = "asked", *, as_served: bool = False) -> Call:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    asked = decode_chat(msgspec.json.encode(body))
    asked.as_served = as_served
    return asked


def chunk(order: tuple[str, ...], content: str, model: str = "up", **extra: object) -> bytes:
    delta = {"content": content, "model": "up"} | ({"role": "assistant"} if content == "first" else {})
    choices = [{"index": 0, "delta": delta, "finish_reason": None}]
    fields = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}
    return b"data: " + msgspec.json.encode({**{name: fields[name] for name in order}, **extra}) + b"\n\n"


OPENAI_ORDER = ("id", "object", "created", "model", "choices")
AZURE_ORDER = ("choices", "created", "id", "model", "object")


@pytest.mark.parametrize("order", [OPENAI_ORDER, AZURE_ORDER])
@pytest.mark.parametrize("cuts", [[], [1], list(range(0, 1000, 7))])
def test_every_chunk_of_a_stream(order: tuple[str, ...], cuts: list[int]) -> None:
    texts = ["", *DECOYS, "end"]
    data = b": hello\n\n" + chunk(order, "first", model="") + b"".join(chunk(order, text) for text in texts)
    data += chunk(order, "x", usage={"prompt_tokens": 1, "completion_tokens": 2}) + b"data: [DONE]\n\n"
    expected = b": hello\n\n" + b"".join(chunk(order, text, model="asked") for text in ["first", *texts, "x"])
    stream = OpenAIStream(call())
    edges = [0, *(cut for cut in cuts if cut < len(data)), len(data)]
    out = b"".join([stream.feed(data[start:end]) for start, end in pairwise(edges)])
    assert out.removesuffix(b"data: [DONE]\n\n") == expected
    served = OpenAIStream(call(as_served=True))
    assert b'"model":"asked"' not in served.feed(data)


@pytest.mark.parametrize("begin", [b"data:", b"event: chunk\ndata: ", b"id: 1\ndata: "])
def test_events_of_other_shapes(begin: bytes) -> None:
    stream = OpenAIStream(call())
    data = begin + b'{"id":"c",  "model" : "up", "choices":[]}\n\n'
    assert stream.feed(data + data) == (data + data).replace(b'"up"', b'"asked"')


def test_whole_answers() -> None:
    body = b'{"id":"c","model":"up","choices":[{"message":{"content":"\\"model\\":\\"up\\""},"finish_reason":"stop"}]}'
    assert OPENAI_RELAY.decode(call(), NOTHING_SENT, body).body == body.replace(b'"model":"up"', b'"model":"asked"')
    assert OPENAI_RELAY.decode(call(as_served=True), NOTHING_SENT, body).body == body
    body = b'{"id":"m","type":"message","role":"assistant","model":"up","content":[{"type":"text","text":"up"}],'
    body += b'"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}'
    assert ANTHROPIC_RELAY.decode(call(), NOTHING_SENT, body).body == body.replace(b'"model":"up"', b'"model":"asked"')
    body = b'{"candidates":[{"content":{"parts":[]}}],"modelVersion":"up","responseId":"r"}'
    assert GEMINI_RELAY.decode(call(), NOTHING_SENT, body).body == body.replace(b'"up"', b'"asked"')


def test_anthropics_stream_names_it_once() -> None:
    start = b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message",'
    start += b'"role":"assistant","model":"up","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
    rest = b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    rest += b'"content_block":{"type":"text","text":""}}\n\n'
    rest += b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    rest += b'"delta":{"type":"text_delta","text":"message_start up"}}\n\n'
    assert ANTHROPIC_RELAY.stream(call(), NOTHING_SENT).feed(start + rest) == start.replace(b'"up"', b'"asked"') + rest
