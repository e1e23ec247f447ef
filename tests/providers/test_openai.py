"""The OpenAI dialect: what is put in, what passes untouched, and what errors become."""

import msgspec
import pytest

from weebill.providers.base import Target
from weebill.providers.openai import OpenAITranslator
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.reply import Usage
from weebill.wire.requests import decode_chat

TRANSLATOR = OpenAITranslator()


def call(**fields: object) -> Call:
    return decode_chat(msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}))


def encoded(**fields: object) -> dict[str, object]:
    decoded: dict[str, object] = msgspec.json.decode(
        TRANSLATOR.encode(call(**fields), Target(model="upstream-name")).body
    )
    return decoded


def test_only_the_name_of_the_model_changes() -> None:
    assert encoded(x_unknown={"deep": [1, 2.50]}, temperature=0.5) == {
        "model": "upstream-name",
        "messages": [{"role": "user", "content": "hi"}],
        "x_unknown": {"deep": [1, 2.5]},
        "temperature": 0.5,
    }


def test_numbers_keep_their_digits() -> None:
    body = TRANSLATOR.encode(
        decode_chat(
            b'{"model":"m","messages":[{"role":"user","content":"a"}],"x":1.10,"y":123456789012345678901234567890}'
        ),
        Target(model="m"),
    ).body
    assert b'"x":1.10' in body
    assert b'"y":123456789012345678901234567890' in body


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
    ],
)
def test_a_stream_is_always_asked_for_its_usage(options: dict[str, object] | None, sent: dict[str, object]) -> None:
    assert encoded(stream=True, stream_options=options)["stream_options"] == sent


def test_an_answer_passes_as_it_came() -> None:
    usage = b'{"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}'
    body = b'{ "choices": [{"message": {}}],  "usage": ' + usage + b', "new": 1.0 }'
    answer = TRANSLATOR.decode(call(), body)
    assert answer.body is body
    assert answer.usage == Usage(9, 5, 4, measured=True)


def test_cached_tokens_never_exceed_the_prompt() -> None:
    body = (
        b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":7}}}'
    )
    assert TRANSLATOR.decode(call(), body).usage.cached_tokens == 3


def test_a_missing_usage_is_estimated_and_says_so() -> None:
    usage = TRANSLATOR.decode(call(), b'{"choices":[{"message":{"content":"' + b"x" * 400 + b'"}}]}').usage
    assert not usage.measured
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens >= 100


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices":null}', b'{"error":{"message":"no"}}'])
def test_what_is_no_completion_is_an_upstream_error(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        TRANSLATOR.decode(call(), body)
    assert caught.value.status == 502


ERRORS = [
    (
        400,
        b'{"error":{"message":"bad n","type":"invalid_request_error","param":"n","code":"bad"}}',
        400,
        "bad n",
        "bad",
        "n",
    ),
    (404, b'{"error":{"message":"no such model","code":404}}', 404, "no such model", None, None),
    (422, b'{"detail":[{"loc":["body"]}]}', 422, '[{"loc":["body"]}]', None, None),
    (429, b'{"error":"slow down"}', 429, "slow down", None, None),
    (500, b"oops", 500, "oops", "upstream_error", None),
    (503, b"", 503, "The upstream 'acme' answered with status 503.", "upstream_error", None),
    (401, b'{"error":{"message":"bad key"}}', 502, "bad key", "upstream_credential_refused", None),
    (403, b'{"message":"forbidden"}', 502, "forbidden", "upstream_credential_refused", None),
    (302, b"", 502, "status 302", "upstream_error", None),
    (204, b"", 502, "status 204", "upstream_error", None),
]


@pytest.mark.parametrize(("status", "body", "told", "message", "code", "param"), ERRORS)
def test_errors_keep_the_upstreams_words(
    status: int, body: bytes, told: int, message: str, code: str | None, param: str | None
) -> None:
    error = TRANSLATOR.error(call(), status, body, retry_after=7, upstream="acme")
    assert error.status == told
    assert message in error.detail.message
    assert (error.detail.code, error.detail.param) == (code, param)
