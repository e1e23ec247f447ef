"""Tests of counts that clients write with a fraction of nought: `10.0` is 10, whichever API says it."""

from __future__ import annotations

import pytest
from msgspec import Raw

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.gemini.api import GEMINI
from weebill.apis.responses.api import RESPONSES
from weebill.wire.embeddings import EMBEDDINGS
from weebill.wire.errors import ApiError
from weebill.wire.operations import Endpoint
from weebill.wire.rerank import RERANK
from weebill.wire.whole_numbers import whole

_SAID = '"messages":[{"role":"user","content":"10.0"}],"metadata":{"n": 1.0}'
_ANTHROPIC = f'{{"model":"m",{_SAID},"max_tokens":2048'

# The body up to its member, and the member with a count in it.
_CALLS: list[tuple[Api, str, str]] = [
    *[
        (CHAT, f'{{"model":"m",{_SAID}', f'"{name}":%s')
        for name in ("max_tokens", "max_completion_tokens", "n", "seed")
    ],
    *[(CHAT, f'{{"model":"m",{_SAID},"logprobs":true', f'"{name}":%s') for name in ("top_k", "top_logprobs")],
    *[(COMPLETIONS, '{"model":"m","prompt":"x"', f'"{name}":%s') for name in ("max_tokens", "n", "seed", "logprobs")],
    (COMPLETIONS, '{"model":"m","prompt":"x"', '"best_of":%s'),
    *[
        (RESPONSES, '{"model":"m","input":"x"', f'"{name}":%s')
        for name in ("max_output_tokens", "top_logprobs", "max_tool_calls")
    ],
    (ANTHROPIC, f'{{"model":"m",{_SAID}', '"max_tokens":%s'),
    (ANTHROPIC, _ANTHROPIC, '"top_k":%s'),
]
# Those that a target of the same API judges by itself.
_READ: list[tuple[Api, str, str]] = [
    (CHAT, f'{{"model":"m",{_SAID}', '"reasoning":{"max_tokens":%s}'),
    (ANTHROPIC, _ANTHROPIC, '"thinking":{"type":"enabled","budget_tokens":%s}'),
    *[
        (GEMINI, '{"contents":[{"parts":[{"text":"x"}]}]', f'"generationConfig":{{"responseLogprobs":true,{member}}}')
        for member in (
            '"maxOutputTokens":%s',
            '"candidateCount":%s',
            '"seed":%s',
            '"logprobs":%s',
            '"topK":%s',
            '"thinkingConfig":{"thinkingBudget":%s}',
        )
    ],
]


def _body(start: str, member: str, number: str) -> bytes:
    return f"{start},{member % number}}}".encode()


def _tail(api: Api) -> str:
    return "m:generateContent" if api is GEMINI else ""


@pytest.mark.parametrize("number", ["16.0", "1.6e1", "16.000"])
@pytest.mark.parametrize(("api", "start", "member"), _CALLS, ids=lambda each: getattr(each, "name", each))
def test_a_count_with_a_fraction_of_nought_is_that_count(api: Api, start: str, member: str, number: str) -> None:
    call = api.decode(_body(start, member, number), {}, _tail(api))
    plainly = api.decode(_body(start, member, "16"), {}, _tail(api))
    assert (call.request, call.fields) == (plainly.request, plainly.fields)
    assert api.conversation(call).turns


@pytest.mark.parametrize(("api", "start", "member"), [*_CALLS, *_READ], ids=lambda each: getattr(each, "name", each))
def test_other_apis_targets_are_told_the_count(api: Api, start: str, member: str) -> None:
    asked, plainly = [
        api.conversation(api.decode(_body(start, member, number), {}, _tail(api))) for number in ("16.0", "16")
    ]
    assert asked == plainly


@pytest.mark.parametrize(("api", "start", "member"), _CALLS, ids=lambda each: getattr(each, "name", each))
@pytest.mark.parametrize("number", ["16.5", "1e300", "-0.5"])
def test_any_other_fraction_is_an_error_that_names_the_field(api: Api, start: str, member: str, number: str) -> None:
    with pytest.raises(ApiError) as error:
        api.decode(_body(start, member, number), {}, _tail(api))
    assert (error.value.status, error.value.detail.param) == (400, member.partition('":')[0][1:])


def test_all_else_stays_byte_for_byte() -> None:
    call = CHAT.decode(b'{"model":"m",%b,"n":2.0,"temperature":1.0,"mine": {"a": 1.0 }}' % _SAID.encode(), {}, "")
    assert call.fields["metadata"] == Raw(b'{"n": 1.0}')
    assert call.fields["temperature"] == Raw(b"1.0")
    assert call.fields["mine"] == Raw(b'{"a": 1.0 }')
    assert call.fields["n"] == Raw(b"2")


def test_several_counts_of_one_body_are_mended_at_once_and_an_error_is_that_of_the_wrong_one() -> None:
    with pytest.raises(ApiError) as error:
        CHAT.decode(f'{{"model":"m",{_SAID},"n":2.0,"max_tokens":8.0,"seed":0.5}}'.encode(), {}, "")
    assert error.value.detail.param == "seed"


@pytest.mark.parametrize(
    ("endpoint", "body", "name"),
    [
        (EMBEDDINGS, b'{"model":"m","input":"x","dimensions":%b}', "dimensions"),
        (RERANK, b'{"model":"m","query":"x","documents":["y"],"top_n":%b}', "top_n"),
    ],
    ids=lambda each: getattr(each, "name", None),
)
def test_other_operations_have_the_same_counts(endpoint: Endpoint, body: bytes, name: str) -> None:
    call, plainly = [endpoint.decode_request(body % number, b"") for number in (b"4.0", b"4")]
    assert (call.request, call.fields) == (plainly.request, plainly.fields)
    with pytest.raises(ApiError) as error:
        endpoint.decode_request(body % b"4.5", b"")
    assert error.value.detail.param == name


@pytest.mark.parametrize("text", [b"10", b"10.5", b'"10.0"', b"true", b"null", b"[10.0]", b"{", b"9e15", b"1e16"])
def test_what_is_no_whole_number_with_a_fraction_of_nought(text: bytes) -> None:
    expected = Raw(b"9000000000000000") if text == b"9e15" else None
    assert whole(Raw(text)) == expected
