"""The OpenAI dialect: what is put in, what passes untouched, and what errors become."""

import msgspec
import pytest

from weebill.catalog.load import load
from weebill.gateway.failures import client_error
from weebill.providers.base import NOTHING_SENT, Quirks, Target
from weebill.providers.openai.relay import OpenAITranslator
from weebill.wire.body import decode_chat
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Usage

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
    body = b'{ "choices": [{"message": {}, "finish_reason": "stop"}],  "usage": ' + usage + b', "new": 1.0 }'
    answer = TRANSLATOR.decode(call(), NOTHING_SENT, body)
    assert answer.body is body
    assert answer.usage == Usage(9, 5, 4, measured=True)


def test_cached_tokens_never_exceed_the_prompt() -> None:
    body = (
        b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":7}}}'
    )
    assert TRANSLATOR.decode(call(), NOTHING_SENT, body).usage.cached_tokens == 3


def test_a_missing_usage_is_estimated_and_says_so() -> None:
    usage = TRANSLATOR.decode(
        call(), NOTHING_SENT, b'{"choices":[{"message":{"content":"' + b"x" * 400 + b'"}}]}'
    ).usage
    assert not usage.measured
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens >= 100


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices":null}', b'{"error":{"message":"no"}}'])
def test_what_is_no_completion_is_an_upstream_error(body: bytes) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        TRANSLATOR.decode(call(), NOTHING_SENT, body)
    assert client_error(caught.value).status == 502


ERRORS = [
    (
        400,
        b'{"error":{"message":"bad n","type":"invalid_request_error","param":"n","code":"bad"}}',
        400,
        "bad n",
        "bad",
        "n",
    ),
    (404, b'{"error":{"message":"no such model","code":404}}', 404, "no such model", "model_not_found", None),
    (422, b'{"detail":[{"loc":["body"]}]}', 422, '{"loc":["body"]}', None, None),
    (429, b'{"error":"slow down"}', 429, "slow down", "rate_limit_exceeded", None),
    (500, b"oops", 500, "oops", "upstream_error", None),
    (503, b"", 503, "The upstream 'acme' answered with status 503.", "upstream_overloaded", None),
    (429, b'{"error":{"message":"pay","code":"insufficient_quota"}}', 429, "pay", "insufficient_quota", None),
    (503, b'{"error":{"message":"later","code":"busy"}}', 503, "later", "busy", None),
    (529, b'{"error":{"message":"later"}}', 503, "later", "upstream_overloaded", None),
    (400, b'{"message":"maximum context length is 9"}', 400, "maximum context", "context_length_exceeded", None),
    (401, b'{"error":{"message":"bad key"}}', 502, "bad key", "upstream_credential_refused", None),
    (403, b'{"message":"forbidden"}', 403, "forbidden", "upstream_forbidden", None),
    (302, b"", 502, "status 302", "upstream_error", None),
    (204, b"", 502, "status 204", "upstream_error", None),
]


@pytest.mark.parametrize(("status", "body", "told", "message", "code", "param"), ERRORS)
def test_errors_keep_the_upstreams_words(
    status: int, body: bytes, told: int, message: str, code: str | None, param: str | None
) -> None:
    error = client_error(TRANSLATOR.error(call(), status, body, retry_after=7, upstream="acme"))
    assert error.status == told
    assert message in error.detail.message
    assert (error.detail.code, error.detail.param) == (code, param)
    assert error.retry_after == 7


def test_an_error_in_a_200_keeps_the_upstreams_words() -> None:
    with pytest.raises(UpstreamFailure, match="slow down") as caught:
        TRANSLATOR.decode(call(), NOTHING_SENT, b'{"error":{"message":"slow down","code":429}}')
    assert (client_error(caught.value).status, client_error(caught.value).detail.code) == (429, "rate_limit_exceeded")


def test_reasoning_apart_from_the_completion_counts_as_part_of_it() -> None:
    usage = b'{"prompt_tokens":9,"completion_tokens":4,"total_tokens":20,"completion_tokens_details":%b}'
    body = b'{"choices":[],"usage":' + usage % b'{"reasoning_tokens":7}' + b"}"
    assert TRANSLATOR.decode(call(), NOTHING_SENT, body).usage == Usage.reported(9, 11, reasoning=7)


def quirky(quirks: Quirks, drop: bool = False, **fields: object) -> dict[str, object]:
    asked = call(**fields, **({"drop_params": True} if drop else {}))
    body: dict[str, object] = msgspec.json.decode(TRANSLATOR.encode(asked, Target(model="m", quirks=quirks)).body)
    return {name: value for name, value in body.items() if name not in ("model", "messages")}


RENAME = Quirks(rename={"max_completion_tokens": "max_tokens"})
REFUSE = Quirks(refuse=("seed", "n", "parallel_tool_calls", "user"))


@pytest.mark.parametrize(
    ("quirks", "fields", "sent"),
    [
        (RENAME, {"max_completion_tokens": 7}, {"max_tokens": 7}),
        (RENAME, {"max_completion_tokens": 7, "max_tokens": 8}, {"max_tokens": 8}),
        (RENAME, {"max_tokens": 8}, {"max_tokens": 8}),
        (REFUSE, {"seed": None, "n": 1, "parallel_tool_calls": True, "user": "ada"}, {}),
        (Quirks(stream_usage=False), {"stream": True}, {"stream": True}),
        (Quirks(stream_usage=False), {"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
    ],
)
def test_quirks_are_data(quirks: Quirks, fields: dict[str, object], sent: dict[str, object]) -> None:
    assert quirky(quirks, **fields) == sent


STRICT = Quirks(rename={"seed": "random_seed"}, accept=("temperature", "seed"))


@pytest.mark.parametrize(
    ("quirks", "fields", "param"),
    [
        (REFUSE, {"n": 2}, "n"),
        (STRICT, {"n": 2}, "n"),
        (STRICT, {"modalities": ["text", "audio"]}, "modalities"),
        (STRICT, {"response_format": {"type": "json_object"}}, "response_format"),
    ],
)
def test_a_demand_that_the_provider_refuses(quirks: Quirks, fields: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        quirky(quirks, **fields)
    assert (caught.value.status, caught.value.detail.param) == (400, param)
    assert quirky(quirks, drop=True, **fields) == {}


@pytest.mark.parametrize(
    ("quirks", "fields", "sent", "dropped"),
    [
        (REFUSE, {"seed": 7, "temperature": 0.5}, {"temperature": 0.5}, ("seed",)),
        (REFUSE, {"parallel_tool_calls": False}, {}, ("parallel_tool_calls",)),
        (STRICT, {"seed": 7, "top_k": 3, "x_new": {"a": 1}}, {"random_seed": 7}, ("top_k", "x_new")),
        (STRICT, {"modalities": ["text"]}, {}, ()),
        (STRICT, {"n": 1, "stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, ()),
    ],
)
def test_a_hint_that_the_provider_refuses(
    quirks: Quirks, fields: dict[str, object], sent: dict[str, object], dropped: tuple[str, ...]
) -> None:
    request = TRANSLATOR.encode(call(**fields), Target(model="m", quirks=quirks))
    body = msgspec.json.decode(request.body)
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == sent
    assert request.dropped == dropped


MISTRAL = Quirks(
    refuse=("reasoning_content", "reasoning_details"),
    reasoning_field="content",
    short_call_ids=True,
    stream_usage=False,
)


def sent(*messages: dict[str, object], quirks: Quirks = MISTRAL) -> list[dict[str, object]]:
    request = TRANSLATOR.encode(call(messages=list(messages)), Target(model="m", quirks=quirks))
    result: list[dict[str, object]] = msgspec.json.decode(request.body)["messages"]
    return result


def test_long_ids_of_calls_become_short_ones_and_stay_the_same() -> None:
    function = {"name": "f", "arguments": "{}"}
    calls = [{"id": given, "type": "function", "function": function} for given in ("call_1", "call_2", "abcdefgh1")]
    results = [{"role": "tool", "tool_call_id": each["id"], "content": "r"} for each in calls]
    asked: dict[str, object] = {"role": "assistant", "content": None, "tool_calls": calls}
    first, *answers = sent(asked, *results)
    ids = [each["id"] for each in first["tool_calls"]]  # type: ignore[attr-defined]
    assert ids == [each["tool_call_id"] for each in answers]
    assert ids[2] == "abcdefgh1"
    assert len(set(ids)) == 3
    assert all(len(each) == 9 and each.isalnum() for each in ids)
    assert sent(asked, *results, quirks=Quirks()) == [asked, *results]


def test_reasoning_goes_back_to_where_it_came_from() -> None:
    said = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    assert sent(said) == [{"role": "assistant", "content": [thinking, {"type": "text", "text": "Hi"}]}]
    assert sent({**said, "content": None}) == [{"role": "assistant", "content": [thinking]}]
    strict = Quirks(refuse=("reasoning_content",))
    assert sent(said, quirks=strict) == [{"role": "assistant", "content": "Hi"}]
    assert sent(said, quirks=Quirks()) == [said]
    spoken_of = {"role": "user", "content": 'What is "reasoning_content"?'}
    assert sent(spoken_of) == [spoken_of]


IDLE = [
    {"refusal": None},
    {"annotations": []},
    {"audio": None},
    {"function_call": {}},
    {"tool_calls": None},
]


@pytest.mark.parametrize("idle", IDLE)
def test_what_sdks_write_down_empty_is_no_obstacle_for_who_knows_few_fields(idle: dict[str, object]) -> None:
    said = {"role": "assistant", "content": "Hi"}
    assert sent({**said, **idle}, quirks=Quirks(accept=("messages",))) == [said]
    assert sent({**said, **idle}, quirks=Quirks()) == [{**said, **idle}]
    told = {**said, "refusal": "No."}
    assert sent(told, quirks=Quirks(accept=("messages",))) == [told]
    # Which OpenAI refuses itself.
    assert sent({**said, **idle, "parsed": None}, quirks=Quirks()) == [{**said, **idle}]


FUNCTION = {"name": "f", "arguments": "{}"}
CALLED = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": FUNCTION}]}
SAID = {"role": "assistant", "content": "Hi"}
SOURCE = {"type": "url_citation", "url_citation": {"url": "https://a.example"}}


def called(function: dict[str, object], **members: object) -> dict[str, object]:
    return {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function, **members}]}


REPLAYED: list[tuple[dict[str, object], dict[str, object], tuple[str, ...]]] = [
    ({**SAID, "annotations": [SOURCE]}, SAID, ("messages[].annotations",)),
    ({**SAID, "images": [{"type": "image_url"}], "executed_tools": [{"type": "search"}]}, SAID,
     ("messages[].images", "messages[].executed_tools")),
    ({**SAID, "reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text"}]}, SAID, ()),
    ({**SAID, "thinking_blocks": [{}], "provider_specific_fields": {"x": 1}, "citations": None}, SAID, ()),
    ({**SAID, "audio": {"id": "audio_1", "transcript": "Ho."}}, SAID, ("messages[].audio",)),
    ({**SAID, "content": None, "audio": {"id": "audio_1", "data": "AAAA", "transcript": "Hi"}}, SAID, ()),
    ({**SAID, "content": None, "audio": {"id": "audio_1"}}, {**SAID, "content": ""}, ("messages[].audio",)),
    (called({**FUNCTION}, extra_content={"google": {"thought_signature": "s"}}), CALLED, ()),
    (called({**FUNCTION, "parsed_arguments": {}}, index=0), CALLED, ()),
    (called({**FUNCTION, "citations": [1]}, context={"x": 1}), CALLED,
     ("messages[].tool_calls[].context", "messages[].tool_calls[].function.citations")),
]  # fmt: skip
KNOWN: list[dict[str, object]] = [
    {**SAID, "annotations": [], "refusal": None, "audio": None, "function_call": None},
    {**CALLED, "content": [{"type": "text", "text": "Hi", "cache_control": {"ttl": "1h"}}], "name": "n"},
    {"role": "tool", "tool_call_id": "c", "content": '{"annotations": [1], "images": "x"}'},
    {"role": "user", "content": "Hi", "annotations": [1], "mood": 1},
    {**SAID, "mood": 1, "cache_control": {"type": "ephemeral"}},
    {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
]


@pytest.mark.parametrize(("message", "expected", "dropped"), REPLAYED)
def test_members_of_another_providers_answer_are_kept_from_who_refuses_them(
    message: dict[str, object], expected: dict[str, object], dropped: tuple[str, ...]
) -> None:
    target = Target(model="m", quirks=Quirks(message_members=()), on_unsupported="refuse")
    request = TRANSLATOR.encode(call(messages=[SAID, message, *KNOWN[1:]]), target)
    assert msgspec.json.decode(request.body)["messages"] == [SAID, expected, *KNOWN[1:]]
    assert request.dropped == dropped


@pytest.mark.parametrize("message", [message for message, _, _ in REPLAYED])
def test_who_passes_over_what_it_does_not_know_gets_it_all(message: dict[str, object]) -> None:
    asked = call(messages=[message, *KNOWN])
    assert bytes(asked.fields["messages"]) in TRANSLATOR.encode(asked, Target(model="m")).body
    call_own = ("index", "extra_content", "context", "parsed_arguments", "citations")
    assert sent(message, quirks=Quirks(message_members=(*message, *call_own))) == [message]


@pytest.mark.parametrize("message", KNOWN)
def test_a_history_of_known_members_stays_byte_for_byte(message: dict[str, object]) -> None:
    asked = call(messages=[SAID, message])
    request = TRANSLATOR.encode(asked, Target(model="m", quirks=Quirks(message_members=())))
    assert bytes(asked.fields["messages"]) in request.body


@pytest.mark.parametrize(
    ("provider", "members"),
    [("openai", ("audio",)), ("azure", ("audio",)), ("groq", ("reasoning",)), ("cerebras", ("reasoning",)),
     ("mistral", ("prefix",)), ("openrouter", None), ("deepseek", None), ("vllm", None)],
)  # fmt: skip
def test_who_refuses_members_is_known(provider: str, members: tuple[str, ...] | None) -> None:
    assert load().providers[provider].quirks.message_members == members


PIECES = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
    {"type": "text", "text": "Hi"},
    {"type": "reference", "reference_ids": [1]},
]


def test_content_in_pieces_is_text_for_clients() -> None:
    body = {"id": "1", "choices": [{"index": 0, "message": {"role": "assistant", "content": PIECES}}]}
    answer = msgspec.json.decode(TRANSLATOR.decode(call(), NOTHING_SENT, msgspec.json.encode(body)).body)
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}
    assert answer == {"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def test_content_in_pieces_is_text_in_streams() -> None:
    deltas: list[object] = [PIECES[:1], PIECES[1:], " there"]
    chunks = [{"choices": [{"index": 0, "delta": {"content": delta}}]} for delta in deltas]
    stream = TRANSLATOR.stream(call(stream=True), NOTHING_SENT)
    events = b"".join([b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks])
    seen = [msgspec.json.decode(line[6:])["choices"][0]["delta"] for line in stream.feed(events).split(b"\n\n") if line]
    first = {"content": "", "reasoning_content": "Hm.", "role": "assistant"}
    assert seen == [first, {"content": "Hi"}, {"content": " there"}]
