"""llama.cpp's quirks: answers out of streams, and text that becomes tool calls."""

import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.llamacpp import TRANSLATOR, WEATHER, chat, completion, sent
from weebill.gateway.failures import client_error
from weebill.providers.base import NOTHING_SENT
from weebill.wire.call import Call
from weebill.wire.failure import UpstreamFailure
from weebill.wire.sse import DONE

CALL = '{"name": "get_weather", "arguments": {"city": "Pa\\"ris", "days": {"n": [1, {}]}}}'
ARGUMENTS = {"city": 'Pa"ris', "days": {"n": [1, {}]}}
FORCED = chat(tools=[WEATHER], tool_choice="required", stream=True)
FREE = chat(tools=[WEATHER], stream=True)


def chunk(delta: object, reason: str | None = None, index: int = 0, **extra: object) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": reason, **extra}
    return b"data: " + msgspec.json.encode({"id": "chatcmpl-abc", "choices": [choice], "x_new": 1.5}) + b"\n\n"


def usage(prompt: int, completion: int) -> bytes:
    reported = {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": {"cached_tokens": 2}}
    return b"data: " + msgspec.json.encode({"id": "chatcmpl-abc", "choices": [], "usage": reported}) + b"\n\n"


def collected(call: Call, *events: bytes) -> dict[str, object]:
    """The answer that a stream of `events` makes."""
    collector = TRANSLATOR.collect(call, NOTHING_SENT)
    for event in events:
        collector.feed(event)
    answer = collector.finish()
    body: dict[str, object] = json.loads(answer.body)
    assert answer.usage.measured
    assert body["usage"] == {
        "prompt_tokens": answer.usage.prompt_tokens,
        "completion_tokens": answer.usage.completion_tokens,
        "total_tokens": answer.usage.prompt_tokens + answer.usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.usage.cached_tokens},
    }
    return body


def decoded(call: Call, text: str, finish: str = "stop") -> dict[str, object]:
    """The choice of an answer that says `text`."""
    body = collected(
        call,
        chunk({"role": "assistant", "content": None}),
        chunk({"content": text}),
        chunk({}, finish),
        usage(5, 3),
        DONE,
    )
    assert (body["id"], body["object"], body["x_new"]) == ("chatcmpl-abc", "chat.completion", 1.5)
    choices = body["choices"]
    assert isinstance(choices, list)
    choice: dict[str, object] = choices[0]
    return choice


def test_an_answer_by_a_schema_may_be_a_call_instead() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"n": {}}}}}
    body = sent(tools=[WEATHER], response_format=form)
    assert (body["tool_choice"], body["tools"]) == ("none", [WEATHER])
    assert "start: answer | call" in str(body["grammar"])
    assert "start: answer" not in str(sent(tools=[WEATHER], tool_choice="none", response_format=form)["grammar"])
    text = f"<tool_call>\n{CALL}\n</tool_call>"
    check_call(decoded(chat(tools=[WEATHER], response_format=form), text))


def test_an_answer_out_of_a_stream() -> None:
    logprob = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    body = collected(
        chat(n=2, logprobs=True),
        chunk({"role": "assistant", "content": None}, index=1),
        chunk({"role": "assistant", "content": None}),
        chunk({"content": "Hé"}, logprobs={"content": [logprob]}),
        chunk({"content": "two"}, index=1),
        chunk({"content": "llo"}, logprobs={"content": [logprob]}),
        chunk({}, "stop"),
        usage(9, 2),
        chunk({}, "length", index=1),
        usage(9, 1),
        DONE,
    )
    first, second = body["choices"]  # type: ignore[misc]
    assert first == {
        "index": 0,
        "message": {"role": "assistant", "content": "Héllo"},
        "logprobs": {"content": [logprob, logprob]},
        "finish_reason": "stop",
    }
    assert (second["message"]["content"], second["finish_reason"], second["logprobs"]) == ("two", "length", None)
    # Choices share their prompt, and each reports its own usage.
    assert body["usage"]["prompt_tokens"] == 9  # type: ignore[index]
    assert body["usage"]["completion_tokens"] == 3  # type: ignore[index]


def progress(processed: int) -> bytes:
    """As llama.cpp says how far a prompt is read: with the choice that is to come, in one event."""
    told = {"total": 64, "cache": 0, "processed": processed, "time_ms": 9}
    delta = {"role": "assistant", "content": None}
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return b"data: " + msgspec.json.encode({"id": "x", "choices": [choice], "prompt_progress": told}) + b"\n\n"


SAYS_SO = '"prompt_progress":'
ANSWER = [chunk({"role": "assistant", "content": None}), chunk({"content": SAYS_SO}), chunk({}, "stop"), usage(9, 2)]
READ = [progress(0), progress(32), ANSWER[0], progress(64), *ANSWER[1:], DONE]


@pytest.mark.parametrize("size", [1, 7, 300, 10_000])
@pytest.mark.parametrize(("tools", "asked"), [(None, False), ([WEATHER], False), (None, True)])
def test_only_who_asks_is_told_how_far_the_prompt_is_read(size: int, tools: object, asked: bool) -> None:
    call = chat(stream=True, return_progress=asked, **({"tools": tools} if tools else {}))
    stream = TRANSLATOR.stream(call, NOTHING_SENT)
    data = b"".join(READ)
    said = b"".join([stream.feed(data[at : at + size]) for at in range(0, len(data), size)]) + stream.finish()
    told = [json.loads(block[6:]) for block in said.split(b"\n\n") if block.startswith(b"data: {")]
    assert [each["prompt_progress"]["processed"] for each in told if "prompt_progress" in each] == (
        [0, 32, 64] if asked else []
    )
    text = [choice["delta"].get("content") for each in told for choice in each["choices"]]
    assert "".join(each for each in text if each) == SAYS_SO
    assert stream.usage.completion_tokens == 2
    assert stream.error is None


def test_a_long_event_is_not_held_back() -> None:
    stream = TRANSLATOR.stream(chat(stream=True), NOTHING_SENT)
    said = b""
    for data in (progress(0), ANSWER[0], chunk({"content": "x" * 9000}), DONE):
        said += stream.feed(data[:3000]) + stream.feed(data[3000:])
    assert said.count(b"x" * 9000) == 1
    assert b"prompt_progress" not in said


def test_choices_of_a_stream_begin_in_their_order() -> None:
    call = chat(n=3, stream=True)
    stream = TRANSLATOR.stream(call, NOTHING_SENT)
    said = [chunk({"content": f"{index}{at}"}, index=index) for at, index in enumerate((1, 2, 1, 0, 2, 0))]
    ends = [chunk({}, "stop", index) for index in (2, 0, 1)]
    out = b"".join(map(stream.feed, [*said, *ends, usage(5, 3), DONE])) + stream.finish()
    order = [json.loads(block[6:])["choices"][0] for block in out.removesuffix(DONE).split(b"\n\n") if block]
    assert [choice["delta"]["content"] for choice in order[:6]] == ["03", "10", "12", "21", "24", "05"]
    assert [choice["index"] for choice in order[6:]] == [2, 0, 1]


def test_completions_out_of_a_stream() -> None:
    def text(said: str, index: int, reason: str | None = None) -> bytes:
        choice = {"index": index, "text": said, "finish_reason": reason, "logprobs": None}
        return (
            b"data: "
            + msgspec.json.encode({"id": "cmpl-1", "object": "text_completion", "choices": [choice]})
            + b"\n\n"
        )

    call = completion(prompt=["a", "b"])
    body = collected(
        call, text("x", 0), text("y", 1), text("", 0, "stop"), usage(1, 2), text("", 1, "stop"), usage(4, 3)
    )
    assert body["object"] == "text_completion"
    assert body["choices"] == [
        {"index": 0, "text": "x", "logprobs": None, "finish_reason": "stop"},
        {"index": 1, "text": "y", "logprobs": None, "finish_reason": "stop"},
    ]
    assert body["usage"]["prompt_tokens"] == 5  # type: ignore[index]


def test_an_answer_whose_stream_is_cut_is_none() -> None:
    collector = TRANSLATOR.collect(chat(), NOTHING_SENT)
    collector.feed(chunk({"content": "Hel"}))
    with pytest.raises(UpstreamFailure) as caught:
        collector.finish()
    assert caught.value.code == "upstream_cut"
    assert not collector.usage.measured


def check_call(choice: dict[str, object]) -> None:
    message = choice["message"]
    assert isinstance(message, dict)
    [call] = message["tool_calls"]
    assert (message["content"], choice["finish_reason"]) == (None, "tool_calls")
    assert (call["id"], call["type"], call["function"]["name"]) == ("call_abc_0", "function", "get_weather")
    assert json.loads(call["function"]["arguments"]) == ARGUMENTS


@pytest.mark.parametrize("text", [CALL, f" {CALL}\n", CALL.replace('{"name": ', '{\n "name" :\n')])
def test_a_bound_answer_is_a_call(text: str) -> None:
    check_call(decoded(FORCED, text))


@pytest.mark.parametrize("text", [f"<tool_call>\n{CALL}\n</tool_call>", f" <tool_call>{CALL}"])
def test_a_free_answer_may_be_a_call(text: str) -> None:
    check_call(decoded(FREE, text))


def test_calls_that_llama_cpp_finds_itself_are_kept() -> None:
    def piece(**function: str) -> object:
        return {"tool_calls": [{"index": 0, "id": "x1", "type": "function", "function": function}]}

    body = collected(
        chat(tools=[WEATHER]),
        chunk({"role": "assistant", "content": None}),
        chunk(piece(name="get_weather", arguments="")),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Rome"}'}}]}),
        chunk({}, "tool_calls"),
        usage(5, 3),
        DONE,
    )
    [choice] = body["choices"]  # type: ignore[misc]
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "x1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
        ],
    }
    assert choice["finish_reason"] == "tool_calls"


def test_several_calls_in_one_answer() -> None:
    text = f"<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call>"
    message = decoded(FREE, text)["message"]
    assert isinstance(message, dict)
    assert [call["id"] for call in message["tool_calls"]] == ["call_abc_0", "call_abc_1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"<tool_call>{CALL}</tool_call>\nI have asked.", "I have asked."),
        (f"<tool_call>{CALL}</tool_call> and <tool_call>{CALL}</tool_call>", "and"),
        (f"<tool_call>{CALL}</tool_call><tool_call>{{not JSON}}</tool_call>", "<tool_call>{not JSON}</tool_call>"),
    ],
)
def test_text_beside_a_call_is_kept(text: str, said: str) -> None:
    message = decoded(FREE, text)["message"]
    assert isinstance(message, dict)
    assert message["content"] == said
    assert message["tool_calls"]
    heard = streamed(FREE, list(text))
    assert "".join(heard["content"]) == said
    assert heard["names"] == [call["function"]["name"] for call in message["tool_calls"]]


PLAIN = [
    "Hello <tool_call> there",
    "<tool_call>not JSON</tool_call>",
    '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>',
    "<tool",
    "<b>bold</b>",
]


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_call_stays_text(text: str) -> None:
    choice = decoded(FREE, text)
    assert choice["message"] == {"role": "assistant", "content": text}
    assert choice["finish_reason"] == "stop"
    assert "".join(streamed(FREE, list(text))["content"]) == text


def test_a_call_cut_by_a_limit_keeps_its_reason() -> None:
    choice = decoded(FORCED, CALL[:-20], "length")
    assert choice["finish_reason"] == "length"
    message = choice["message"]
    assert isinstance(message, dict)
    assert CALL.endswith(message["tool_calls"][0]["function"]["arguments"] + CALL[-20:])


def streamed(call: Call, pieces: list[str], finish: str = "stop") -> dict[str, list[str]]:
    """What the client gets of a stream that says `pieces`."""

    sent = [chunk({"role": "assistant", "content": None}), *[chunk({"content": piece}) for piece in pieces]]
    stream = TRANSLATOR.stream(call, NOTHING_SENT)
    out = b"".join([stream.feed(each) for each in [*sent, chunk({}, finish), usage(5, 3), DONE]]) + stream.finish()
    assert out.endswith(DONE)
    assert stream.usage.measured
    got: dict[str, list[str]] = {"content": [], "names": [], "ids": [], "arguments": [], "reasons": [], "roles": []}
    for block in out.removesuffix(DONE).removesuffix(b"\n\n").split(b"\n\n"):
        choice = json.loads(block.removeprefix(b"data: "))["choices"][0]
        delta = choice["delta"]
        got["roles"] += [delta["role"]] if "role" in delta else []
        got["content"] += [delta["content"]] if delta.get("content") is not None else []
        got["reasons"] += [choice["finish_reason"]] if choice["finish_reason"] is not None else []
        for piece in delta.get("tool_calls", []):
            got["ids"] += [piece["id"]] if "id" in piece else []
            got["names"] += [piece["function"]["name"]] if "name" in piece["function"] else []
            got["arguments"].append(piece["function"]["arguments"])
    return got


@given(st.lists(st.integers(0, len(CALL)), max_size=8))
def test_a_bound_call_streams_however_it_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(CALL)]
    got = streamed(FORCED, [CALL[start:end] for start, end in pairwise(edges)])
    assert (got["content"], got["names"], got["ids"]) == ([], ["get_weather"], ["call_abc_0"])
    assert (got["reasons"], got["roles"]) == (["tool_calls"], ["assistant"])
    assert json.loads("".join(got["arguments"])) == ARGUMENTS


@given(st.lists(st.integers(0, len(CALL) + 23), max_size=8))
def test_a_free_call_streams_however_it_is_cut(cuts: list[int]) -> None:
    text = f"<tool_call>{CALL}</tool_call>"
    edges = [0, *sorted(cuts), len(text)]
    got = streamed(FREE, [text[start:end] for start, end in pairwise(edges)])
    assert (got["content"], got["names"], got["reasons"]) == ([], ["get_weather"], ["tool_calls"])
    assert json.loads("".join(got["arguments"])) == ARGUMENTS


def ended(word: str, index: int = 0) -> bytes:
    """The last chunk of a choice, with what llama.cpp tells of its end."""
    choice = {"index": index, "delta": {}, "finish_reason": "stop"}
    fields = {"id": "chatcmpl-abc", "choices": [choice], "__verbose": {"stopping_word": word}}
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


@pytest.mark.parametrize("stop", ["END", ["x", "END"]])
@pytest.mark.parametrize("tools", [None, [WEATHER]])
def test_the_word_that_ended_an_answer_is_its_stop_reason(stop: object, tools: object) -> None:
    call = chat(stop=stop, tools=tools, n=2, stream=True)
    events = (
        chunk({"content": "Hi"}),
        chunk({"content": "Ho"}, index=1),
        ended("END"),
        ended("", 1),
        usage(5, 3),
        DONE,
    )
    choices = collected(call, *events)["choices"]
    assert isinstance(choices, list)
    assert [choice.get("stop_reason") for choice in choices] == ["END", None]
    stream = TRANSLATOR.stream(call, NOTHING_SENT)
    out = b"".join(map(stream.feed, events)) + stream.finish()
    assert b"__verbose" not in out
    assert out.count(b'"stop_reason":"END"') == 1


def test_a_word_that_the_template_stops_at_is_not_told() -> None:
    assert b"stop_reason" not in msgspec.json.encode(
        collected(chat(stop="END"), ended("<|im_end|>"), usage(1, 1), DONE)
    )


FAULTS = ["Failed to parse tool call arguments as JSON: ...", "Unknown reasoning format: foo", "Cannot use both ..."]


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_of_the_request_is_no_failure_of_the_engine(message: str) -> None:
    body = msgspec.json.encode({"error": {"code": 500, "message": message, "type": "server_error"}})
    assert client_error(TRANSLATOR.error(chat(), 500, body, None, "local")).status == 400
    assert client_error(TRANSLATOR.error(chat(), 500, b'{"error":{"message":"boom"}}', None, "local")).status >= 500


def test_plain_text_is_not_held_back() -> None:
    stream = TRANSLATOR.stream(FREE, NOTHING_SENT)
    event = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
    assert b'"content":"Hi"' in stream.feed(event)


@pytest.mark.parametrize(("call", "param"), [(chat(), "messages"), (completion(), "prompt")])
def test_a_prompt_beyond_the_window(call: Call, param: str) -> None:
    body = b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error","n_ctx":8192}}'
    error = client_error(TRANSLATOR.error(call, 400, body, None, "local"))
    assert (error.status, error.detail.code, error.detail.param) == (400, "context_length_exceeded", param)
    assert error.detail.type == "invalid_request_error"


def test_a_field_that_llama_cpp_names() -> None:
    body = b'{"error":{"code":400,"message":"Field \'n\': Value must be between 1 <= value <= 4, but got 5"}}'
    assert client_error(TRANSLATOR.error(chat(), 400, body, None, "local")).detail.param == "n"
