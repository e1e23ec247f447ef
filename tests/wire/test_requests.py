"""Bodies that decode, and what is said of those that do not."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from weebill.wire.body import decode_chat, decode_completion
from weebill.wire.errors import ApiError

USER = '{"role":"user","content":"hi"}'


def chat(extra: str = "", messages: str = f"[{USER}]") -> bytes:
    return f'{{"model":"m","messages":{messages}{extra}}}'.encode()


BAD_CHAT_BODIES = [
    (b"", None, "invalid_json"),
    (b"{", None, "invalid_json"),
    (b'{"model": "m"', None, "invalid_json"),
    (b'{"model": "\xff"}', None, "invalid_json"),
    (f'{{"model":"m","messages":[{USER}],"x":"'.encode() + b'\xff"}', None, "invalid_json"),
    (b"[" * 100_000, None, "invalid_type"),
    (b'{"model":"m","messages":' + b"[" * 100_000, "messages[0]", "invalid_value"),
    (b'{"x":' + b"[" * 100_000, None, "invalid_json"),
    (b"[]", None, "invalid_type"),
    (b'"text"', None, "invalid_type"),
    (b"{}", "model", "missing_required_parameter"),
    (b'{"messages":[]}', "messages", "invalid_value"),
    (b'{"model":"m"}', "messages", "missing_required_parameter"),
    (b'{"model":1,"messages":[]}', "model", "invalid_value"),
    (b'{"model":"","messages":[]}', "model", "invalid_value"),
    (chat(messages="[]"), "messages", "invalid_value"),
    (chat(messages='"hi"'), "messages", "invalid_value"),
    (chat(messages='[{"content":"hi"}]'), "messages[0].role", "missing_required_parameter"),
    (chat(messages=f'[{USER},{{"role":"user","content":3}}]'), "messages[1].content", "invalid_value"),
    (chat(',"temperature":"hot"'), "temperature", "invalid_value"),
    (chat(',"n":0'), "n", "invalid_value"),
    (chat(',"stream":"yes"'), "stream", "invalid_value"),
    (chat(',"stream_options":{"include_usage":1}'), "stream_options.include_usage", "invalid_value"),
    (chat(',"tools":[{"type":"function","function":{}}]'), "tools[0].function.name", "missing_required_parameter"),
    (chat(',"stop":[1]'), "stop[0]", "invalid_value"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "param", "code"), BAD_CHAT_BODIES)
def test_a_bad_body_is_refused_by_the_name_of_its_field(body: bytes, param: str | None, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode_chat(body)
    detail = caught.value.detail
    assert (caught.value.status, detail.type, detail.param, detail.code) == (400, "invalid_request_error", param, code)
    assert param is None or param in detail.message


# What some provider takes, or will: it judges, not we.
TAKEN_BY_SOMEBODY = [
    chat(',"temperature":3,"top_p":1.5,"max_tokens":0,"max_completion_tokens":-1,"top_logprobs":21,"logprobs":5'),
    chat(',"response_format":{"type":"grammar"},"tool_choice":"any","tools":[{"function":{"name":"f"}}]'),
    chat(',"response_format":{"type":"json_schema","json_schema":{}}'),
    chat(',"tools":[{"type":"web_search","web_search":{}},{"type":"custom","custom":{"name":"x"}}]'),
    chat(',"metadata":{"a":1},"logit_bias":{"1":"x"},"user":3,"service_tier":"dear","modalities":["smell"]'),
    chat(',"stop":[],"seed":null,"parallel_tool_calls":"no","stream_options":{"x":1}'),
    chat(messages='[{"role":"critic","content":null,"name":3,"tool_calls":[{"id":null}]}]'),
    chat(messages='[{"role":"user","content":["hi",{"type":"text","text":null},{"text":"hi"},{"type":"video_url"}]}]'),
]


@pytest.mark.parametrize("body", TAKEN_BY_SOMEBODY)
def test_words_and_ranges_are_left_to_the_provider(body: bytes) -> None:
    assert decode_chat(body).fields == {
        name: Raw(msgspec.json.encode(value)) for name, value in msgspec.json.decode(body).items()
    }


def test_nulls_mean_absent() -> None:
    names = ["stream", "stream_options", "n", "max_tokens", "temperature", "tools", "tool_choice", "response_format"]
    call = decode_chat(chat("".join(f',"{name}":null' for name in names)))
    assert not call.stream
    assert not call.request.wants_usage


@pytest.mark.parametrize("prompt", ['"a"', '["a","b"]', "[1,2,3]", "[[1],[2]]"])
def test_every_shape_of_a_prompt(prompt: str) -> None:
    call = decode_completion(f'{{"model":"m","prompt":{prompt}}}'.encode())
    assert call.prompt_bytes() == len(prompt)


def test_a_completion_needs_a_prompt() -> None:
    with pytest.raises(ApiError) as caught:
        decode_completion(b'{"model":"m"}')
    assert caught.value.detail.param == "prompt"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1).map("x_".__add__), json_values, max_size=4))
def test_unknown_fields_are_kept_to_the_byte(unknown: dict[str, object]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi", "x": unknown}], **unknown}
    call = decode_chat(msgspec.json.encode(body))
    assert {name: bytes(raw) for name, raw in call.fields.items()} == {
        name: msgspec.json.encode(value) for name, value in body.items()
    }


def test_a_repeated_field_counts_once_and_the_same_for_both_readings() -> None:
    call = decode_chat(b'{"model":"cheap","model":"dear","messages":[' + USER.encode() + b"]}")
    assert call.request.model == "dear"
    assert bytes(call.fields["model"]) == b'"dear"'
