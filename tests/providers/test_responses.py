"""Responses as an outbound dialect: requests, whole answers, and streams however they are cut."""

from collections.abc import Iterable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tests import vectors
from weebill.gateway.failures import client_error
from weebill.providers.base import NOTHING_SENT, Target, Unsupported
from weebill.providers.fit import Fit
from weebill.providers.responses.dialect import RESPONSES_DIALECT
from weebill.providers.responses.relay import RESPONSES_RELAY
from weebill.providers.responses.stream import ResponsesStream
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import (
    Citation,
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolUse,
    Turn,
)
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import (
    Choice,
    Event,
    Failed,
    Finished,
    FinishReason,
    Reply,
    Started,
    TextDelta,
    Usage,
    UsageReported,
)
from weebill.wire.responses_request import decode_responses

VECTORS = vectors.load("responses")
ID, CREATED = "resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41", 1741476777
C1, C2 = "call_unLAR8MvFNptuiZK6K6HCy5k", "call_8sMzPc4RfNnYtW2oKd6vGxQe"
RS = "rs_6820f383d7c08191846711c5df8233bc0ac5ba57aafcbac7"
ENCRYPTED = "gAAAAABoISQ24OyVRYbkYfukdJoqdzWT-3uiErKInHDC"
HELLO = Text("Hello there.")
LOOK = Text("Let me look.")
PARIS = ToolUse(C1, "get_weather", '{"city":"Paris"}')
LONDON = ToolUse(C2, "get_weather", '{"city":"London"}')
THOUGHT = "The user greets me."
used = Usage.reported
GREETED = used(11, 11, reasoning=7)

# scenario -> parts, why it ended, usage
ANSWERS: dict[str, tuple[tuple[Part, ...], FinishReason, Usage]] = {
    "text": ((HELLO,), "stop", used(11, 4)),
    "tool-one": ((PARIS,), "tool_calls", used(60, 20)),
    "tool-parallel": ((LOOK, PARIS, LONDON), "tool_calls", used(60, 40)),
    "tool-interleaved": ((PARIS, LONDON), "tool_calls", used(60, 40)),
    "tool-empty": ((ToolUse(C1, "now", "{}"),), "tool_calls", used(60, 10)),
    "vision": ((Text("A red bird."),), "stop", used(300, 5)),
    "json-schema": ((Text('{"name":"Ada","age":36}'),), "stop", used(40, 9)),
    "reasoning": ((Reasoning(THOUGHT, None, ENCRYPTED, RS, "openai"), HELLO), "stop", GREETED),
    "reasoning-two-summaries": (
        (Reasoning("First.\n\nSecond.", None, ENCRYPTED, RS, "openai"), HELLO), "stop", GREETED
    ),
    "reasoning-open": ((Reasoning(THOUGHT, None, None, RS, "openai"), HELLO), "stop", GREETED),
    "reasoning-hidden": ((Reasoning("", None, "gAAAAABoISQ2", RS, "openai"), HELLO), "stop", GREETED),
    "cached": ((HELLO,), "stop", used(1000, 4, cached=800, cache_write=100)),
    "refusal": ((Refusal("I cannot help with that."),), "refusal", used(11, 6)),
    "content-filter": ((Text("Hello"),), "content_filter", used(11, 1)),
    "length": ((HELLO,), "length", used(11, 4)),
    "length-thinking": ((Reasoning(THOUGHT, None, ENCRYPTED, RS, "openai"),), "length", used(11, 11, reasoning=11)),
    "two-texts": ((Text("Hello "), Text("there.")), "stop", used(11, 4)),
    "image": ((Image(data="iVBORw0KGgo=", media_type="image/png"), HELLO), "stop", used(11, 4)),
    "hosted-tool": ((HELLO,), "stop", used(11, 4)),
    "terse": ((HELLO, ToolUse(C1, "now", "{}")), "tool_calls", used(11, 4)),
}  # fmt: skip
DROPPED = {"hosted-tool": ("web_search_call",)}
EXPECTED = {
    name: Reply(ID, name, (Choice(parts, finish),), usage, CREATED, DROPPED.get(name, ()))
    for name, (parts, finish, usage) in ANSWERS.items()
}


def stream_bytes(name: str) -> bytes:
    return "".join(VECTORS.answers[name].stream).encode()


def events_of(pieces: Iterable[bytes], offered: frozenset[str] | None = None) -> list[Event]:
    decoder = ResponsesStream(offered)
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    return [*events, *decoder.finish()]


def streamed(pieces: Iterable[bytes], offered: frozenset[str] | None = None) -> Reply:
    """What the events of a stream come to; that they keep their order is checked on the way."""
    builder, last = ReplyBuilder(), -1
    events = events_of(pieces, offered)
    assert isinstance(events[0], Started)
    for event in events:
        block = getattr(event, "block", None)
        if block is not None:
            assert block in (last, last + 1)
            last = block
        builder.add(event)
    return builder.reply()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_whole_answer(name: str) -> None:
    assert RESPONSES_DIALECT.decode(bytes(VECTORS.answers[name].body)) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_stream_cut_at_every_byte(name: str) -> None:
    # The echo of the request, which every stream begins with, would be most of the bytes.
    data = stream_bytes(name)
    start = data.index(b"response.output_item.added") - 10 if name != "terse" else 0
    for cut in [0, *range(start, len(data) + 1, 1 if len(data) < 6000 else 23)]:
        assert streamed([data[:cut], data[cut:]]) == EXPECTED[name]
    assert streamed(data[at : at + 1] for at in range(len(data))) == EXPECTED[name]


@given(st.sampled_from(sorted(EXPECTED)), st.lists(st.integers(min_value=0), max_size=12), st.booleans())
def test_a_stream_cut_anywhere(name: str, cuts: list[int], crlf: bool) -> None:
    data = stream_bytes(name)
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    assert streamed(data[start:end] for start, end in pairwise(edges)) == EXPECTED[name]


def test_a_text_comes_in_pieces() -> None:
    pieces = [event.text for event in events_of([stream_bytes("text")]) if isinstance(event, TextDelta)]
    assert len(pieces) == 2


def test_citations_keep_their_original() -> None:
    raw = Raw(
        b'{"type":"url_citation","start_index":0,"end_index":5,"url":"https://example.com/hello","title":"Hello"}'
    )
    cited = Citation("https://example.com/hello", "Hello", None, 0, 5, "openai", raw)
    parts = streamed([stream_bytes("citations")]).choices[0].parts
    assert parts == (Text("Hello there.", citations=(cited,)),)
    [whole] = RESPONSES_DIALECT.decode(bytes(VECTORS.answers["citations"].body)).choices[0].parts
    assert isinstance(whole, Text)
    assert [each.url for each in whole.citations] == ["https://example.com/hello"]


def test_logprobs() -> None:
    whole = RESPONSES_DIALECT.decode(bytes(VECTORS.answers["logprobs"].body)).choices[0]
    in_pieces = streamed([stream_bytes("logprobs")]).choices[0]
    for choice in (whole, in_pieces):
        assert choice.parts == (HELLO,)
        entries = [msgspec.json.decode(entry) for entry in choice.logprobs or ()]
        assert [(entry["token"], entry["logprob"]) for entry in entries] == [("Hello", -0.5), (" there.", -0.25)]


# scenario -> status, code, param
ERRORS = {
    "error-400": (400, "decimal_above_max_value", "temperature"),
    "error-context": (400, "context_length_exceeded", "input"),
    "error-401": (502, "upstream_credential_refused", None),
    "error-404": (404, "model_not_found", None),
    "error-429": (429, "rate_limit_exceeded", None),
    "error-500": (500, "server_error", None),
    "error-overloaded": (503, "server_is_overloaded", None),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_keeps_the_providers_words(name: str) -> None:
    vector = VECTORS.answers[name]
    error = client_error(RESPONSES_DIALECT.error(vector.status, bytes(vector.body), "acme"))
    assert (error.status, error.detail.code, error.detail.param) == ERRORS[name]
    assert msgspec.json.decode(vector.body)["error"]["message"] in error.detail.message


@pytest.mark.parametrize("name", ["error-in-200", "error-first-event"])
def test_an_error_in_a_200(name: str) -> None:
    with pytest.raises(UpstreamFailure, match="failed to generate") as caught:
        RESPONSES_DIALECT.decode(bytes(VECTORS.answers[name].body))
    assert (client_error(caught.value).status, client_error(caught.value).detail.code) == (502, "server_error")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"error":{"message":"x","code":"rate_limit_exceeded"}}', 429, "rate_limit_exceeded"),
        (b'{"error":{"message":"x","code":"invalid_prompt"}}', 400, "invalid_prompt"),
        (b'{"error":{"message":"x","code":"server_is_overloaded"}}', 503, "server_is_overloaded"),
        (b'{"error":{"message":"x","code":429}}', 429, "rate_limit_exceeded"),
        (b'{"error":{"message":"x","type":"server_error"}}', 502, "upstream_error"),
        (b'{"error":{"message":"x"}}', 502, "upstream_error"),
        (b'{"status":"failed","output":[]}', 502, "upstream_error"),
        (b'{"status":"in_progress","output":[]}', 502, "upstream_invalid_answer"),
        (b'{"status":"queued"}', 502, "upstream_invalid_answer"),
        (b'{"output":[7]', 502, "upstream_invalid_answer"),
        (b"{}", 502, "upstream_invalid_answer"),
        (b"<html>", 502, "upstream_invalid_answer"),
        (b"\xff", 502, "upstream_invalid_answer"),
    ],
)
def test_what_is_no_answer(body: bytes, status: int, code: str) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        RESPONSES_DIALECT.decode(body)
    assert (client_error(caught.value).status, client_error(caught.value).detail.code) == (status, code)


@pytest.mark.parametrize(
    ("name", "before", "status", "said"),
    [
        ("error-first-event", "", 429, "Rate limit reached"),
        ("error-in-200", "", 502, "failed to generate"),
        ("error-mid-stream", "Hello", 502, "server had an error"),
    ],
)
def test_an_error_as_an_event_ends_the_stream(name: str, before: str, status: int, said: str) -> None:
    decoder = RESPONSES_DIALECT.stream()
    events = decoder.feed(stream_bytes(name) + stream_bytes("text"))
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert client_error(failed.error).status == status
    assert said in failed.error.message
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == before
    assert not any(isinstance(event, Finished | UsageReported) for event in events)


@pytest.mark.parametrize(
    "block", [b'data: {"error":{"message":"No","code":"server_error"}}', b'{"error":{"code":502}}']
)
def test_an_error_without_a_type_is_one(block: bytes) -> None:
    decoder = RESPONSES_DIALECT.stream()
    [failed] = [*decoder.feed(block + b"\n\n"), *decoder.finish()]
    assert isinstance(failed, Failed)
    assert client_error(failed.error).status == 502


@pytest.mark.parametrize("data", [stream_bytes("cut"), b"", b"data: [DONE]\n\n", stream_bytes("text")[:3000]])
def test_a_cut_never_ends_cleanly(data: bytes) -> None:
    decoder = RESPONSES_DIALECT.stream()
    assert not any(isinstance(event, Finished) for event in decoder.feed(data))
    with pytest.raises(UpstreamFailure) as caught:
        decoder.finish()
    assert caught.value.code == "upstream_cut"


def test_the_last_blank_line_may_be_missing() -> None:
    assert streamed([stream_bytes("text").rstrip()]) == EXPECTED["text"]


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\n\n",
        b"data: [1]\n\n",
        b'data: {"type":"response.output_item.done","item":{"type":"message","content":[7]}}\n\n',
    ],
)
def test_an_event_that_cannot_be_read(data: bytes) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        RESPONSES_DIALECT.stream().feed(data)
    assert (client_error(caught.value).status, client_error(caught.value).detail.code) == (
        502,
        "upstream_invalid_answer",
    )


def test_an_event_that_is_not_known_may_look_as_it_likes() -> None:
    assert RESPONSES_DIALECT.stream().feed(b'data: {"type":"response.audio.delta","delta":[1]}\n\n') == []


def message_item(*texts: str) -> dict[str, object]:
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": each} for each in texts],
    }


CALL_ITEM = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}
USED = {"input_tokens": 3, "output_tokens": 2}


def whole(*output: object, **fields: object) -> Reply:
    body = {"id": "r", "model": "m", "status": "completed", "output": list(output), "usage": USED, **fields}
    return RESPONSES_DIALECT.decode(msgspec.json.encode(body))


# What a whole answer may look like -> its parts.
ODD_ANSWERS: list[tuple[dict[str, object], list[object], tuple[Part, ...]]] = [
    ({"status": "complete"}, [message_item("Hi")], (Text("Hi"),)),
    ({"status": "in_progress"}, [message_item("Hi")], (Text("Hi"),)),
    ({"status": None}, [message_item("Hi")], (Text("Hi"),)),
    ({"error": {}, "created_at": "1741476777.5", "id": 7, "model": None}, [message_item("Hi")], (Text("Hi"),)),
    ({"incomplete_details": "no", "output_text": "Hi"}, [message_item("Hi")], (Text("Hi"),)),
    ({"output": None, "output_text": "Hi"}, [], (Text("Hi"),)),
    ({"output": None}, [], ()),
    ({}, [{"type": "message", "content": "Hi"}], (Text("Hi"),)),
    ({}, [{"content": [{"text": "Hi", "annotations": None, "logprobs": {}}]}], (Text("Hi"),)),
    ({}, [None, "x", message_item("Hi")], (Text("Hi"),)),
    ({}, [{**CALL_ITEM, "arguments": {"a": 1}}], (ToolUse("c1", "f", '{"a":1}'),)),
    ({}, [{**CALL_ITEM, "arguments": None, "status": 7}], (ToolUse("c1", "f", "{}"),)),
    ({}, [{**CALL_ITEM, "arguments": ""}], (ToolUse("c1", "f", "{}"),)),
    ({}, [{**CALL_ITEM, "arguments": " null\n"}], (ToolUse("c1", "f", "{}"),)),
    ({}, [{"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "x"}],
     (ToolUse("c1", "f", '{"input":"x"}'),)),
    ({}, [{"type": "local_shell_call", "call_id": "c1", "action": {"type": "exec", "command": ["ls"]}}],
     (ToolUse("c1", "local_shell", '{"command":["ls"]}'),)),
    ({}, [{"type": "reasoning", "summary": "Hm."}], (Reasoning("Hm.", origin="openai"),)),
    ({}, [{"type": "reasoning", "summary": ["Hm.", {"text": None}], "content": None, "id": None}],
     (Reasoning("Hm.", origin="openai"),)),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "output", "parts"), ODD_ANSWERS)
def test_no_answer_is_lost_for_a_field(
    fields: dict[str, object], output: list[object], parts: tuple[Part, ...]
) -> None:
    assert whole(*output, **fields).choices[0].parts == parts


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"input_tokens": "3", "output_tokens": 2.0}, used(3, 2)),
        ({"prompt_tokens": 3, "completion_tokens": 2}, used(3, 2)),
        ({"input_tokens": 3, "output_tokens": 2, "input_tokens_details": 7}, used(3, 2)),
        ({**USED, "output_tokens_details": {"reasoning_tokens": "1"}}, used(3, 2, reasoning=1)),
        ({"input_tokens": None, "output_tokens": 2}, used(0, 2)),
        ({"input_tokens": 0, "output_tokens": 0}, Usage()),
        ({"input_tokens": "many", "output_tokens": -1}, Usage()),
        ([], Usage()),
        (None, Usage()),
    ],
)
def test_counts_of_any_form(usage: object, counted: Usage) -> None:
    assert whole(message_item("Hi"), usage=usage).usage == counted
    assert said_by({"type": "response.completed", "response": {"usage": usage}}).usage == counted


def test_what_has_no_place_is_named() -> None:
    output = [{"type": "mcp_call", "output": "x"}, {"type": "mcp_call"}, {"type": "function_call"}]
    assert whole(*output).dropped == ("mcp_call", "function_call")


def written(*events: dict[str, object]) -> bytes:
    return b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in events)


def said_by(*events: dict[str, object], offered: frozenset[str] | None = None) -> Reply:
    return streamed([written(*events)], offered)


def event(kind: str, **fields: object) -> dict[str, object]:
    return {"type": f"response.{kind}", "output_index": 0, **fields}


def added(item: object, at: int = 0) -> dict[str, object]:
    return event("output_item.added", item=item, output_index=at)


def done(item: object, at: int = 0) -> dict[str, object]:
    return event("output_item.done", item=item, output_index=at)


def delta(piece: object, **fields: object) -> dict[str, object]:
    return event("output_text.delta", delta=piece, **fields)


CREATED_EVENT = event("created", response={"id": "r", "model": "m"})
COMPLETED = event("completed", response={"id": "r", "usage": USED})
REASONING_ITEM = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
THINK = event("reasoning_text.delta", delta="Hm.")
HI = (Text("Hi"),)
CALL_OF_NULL = {**CALL_ITEM, "arguments": "null"}
NO_ARGUMENTS = (ToolUse("c1", "f", "{}"),)
ALL_OF_IT = event("completed", response={"output": [message_item("Hi"), CALL_ITEM]})
# What a stream may look like -> the parts of the answer.
ODD_STREAMS: dict[str, tuple[list[dict[str, object]], tuple[Part, ...]]] = {
    "nothing first": ([delta("Hi"), COMPLETED], HI),
    "only a lifecycle event first": ([event("in_progress", response={"id": "r"}), delta("Hi"), COMPLETED], HI),
    "created twice": ([CREATED_EVENT, delta("H"), CREATED_EVENT, delta("i"), COMPLETED], HI),
    "indexes of other types": (
        [delta("H", output_index="0", content_index=None), delta("i", output_index=0.0), COMPLETED], HI
    ),
    "extra fields of any type": ([delta("Hi", logprobs={}, text=[1], message={}, code=[], refusal=7), COMPLETED], HI),
    "a text that is none": ([delta(None), delta("Hi"), COMPLETED], HI),
    "no more than the message at its end": ([done(message_item("Hi")), COMPLETED], HI),
    "the message, then its end": (
        [delta("Hi"), event("output_text.done", text="Hi"), done(message_item("Hi")), COMPLETED], HI
    ),
    "no more than the whole response": ([ALL_OF_IT], (*HI, ToolUse("c1", "f", '{"a":1}'))),
    "a call that no event told of": ([delta("Hi"), ALL_OF_IT], (*HI, ToolUse("c1", "f", '{"a":1}'))),
    "a call without a beginning": (
        [event("function_call_arguments.delta", delta='{"a"'), done(CALL_ITEM), COMPLETED],
        (ToolUse("c1", "f", '{"a":1}'),),
    ),
    "a call whose arguments come with its beginning": (
        [added(CALL_ITEM), done(CALL_ITEM), COMPLETED], (ToolUse("c1", "f", '{"a":1}'),)
    ),
    "arguments as an object": (
        [added({**CALL_ITEM, "arguments": ""}), event("function_call_arguments.delta", delta={"a": 1}),
         done(CALL_ITEM), COMPLETED], (ToolUse("c1", "f", '{"a":1}'),)
    ),
    "a call without a name": ([added({"type": "function_call"}), delta("Hi"), COMPLETED], HI),
    "a custom call": (
        [added({"type": "custom_tool_call", "name": "f", "call_id": "c1", "input": ""}),
         event("custom_tool_call_input.delta", delta="x"),
         done({"type": "custom_tool_call", "name": "f", "call_id": "c1", "input": "x"}), COMPLETED],
        (ToolUse("c1", "f", '{"input":"x"}'),),
    ),
    "thoughts that close after the message": (
        [added({**REASONING_ITEM, "summary": []}), THINK, delta("Hi", output_index=1), done(message_item("Hi"), 1),
         done(REASONING_ITEM), COMPLETED],
        (Reasoning("Hm.", id="rs_1", origin="openai"), *HI),
    ),
    "and are worth keeping": (
        [THINK, delta("Hi", output_index=1), done({**REASONING_ITEM, "encrypted_content": "gA"}), COMPLETED],
        (Reasoning("Hm.", origin="openai"), *HI, Reasoning("", None, "gA", "rs_1", "openai")),
    ),
    "no response at its end": ([delta("Hi"), done(message_item("Hi"))], HI),
    "an end without a response": ([delta("Hi"), event("completed", response=None)], HI),
    "arguments only at their end": (
        [added({**CALL_ITEM, "arguments": ""}), event("function_call_arguments.done", arguments='{"a":1}'),
         done({**CALL_ITEM, "arguments": ""}), COMPLETED], (ToolUse("c1", "f", '{"a":1}'),)
    ),
    "arguments only at the call's end": (
        [added({**CALL_ITEM, "arguments": ""}), done(CALL_ITEM), COMPLETED], (ToolUse("c1", "f", '{"a":1}'),)
    ),
    "arguments only in the whole response": (
        [added({**CALL_ITEM, "arguments": ""}), done({**CALL_ITEM, "arguments": ""}),
         event("completed", response={"output": [CALL_ITEM]})], (ToolUse("c1", "f", '{"a":1}'),)
    ),
    "and the call never ends": (
        [added({**CALL_ITEM, "arguments": ""}), delta("Hi", output_index=1),
         event("completed", response={"output": [CALL_ITEM, message_item("Hi")]})],
        (ToolUse("c1", "f", '{"a":1}'), *HI)
    ),
    "no arguments anywhere": (
        [added({**CALL_ITEM, "arguments": ""}), done({**CALL_ITEM, "arguments": ""}),
         done({**CALL_ITEM, "call_id": "c2"}, 1), COMPLETED],
        (ToolUse("c1", "f", "{}"), ToolUse("c2", "f", '{"a":1}'))
    ),
    "arguments of null": (
        [added({**CALL_ITEM, "arguments": ""}), event("function_call_arguments.delta", delta="null"),
         event("function_call_arguments.done", arguments="null"), done({**CALL_ITEM, "arguments": "null"}), COMPLETED],
        NO_ARGUMENTS,
    ),
    "and in pieces": (
        [added({**CALL_ITEM, "arguments": ""}), event("function_call_arguments.delta", delta="nu"),
         event("function_call_arguments.delta", delta="ll"), done({**CALL_ITEM, "arguments": "null"}), COMPLETED],
        NO_ARGUMENTS,
    ),
    "and only in the whole response": (
        [added({**CALL_ITEM, "arguments": ""}), event("completed", response={"output": [CALL_OF_NULL]})], NO_ARGUMENTS
    ),
    "an empty text at the arguments' end": (
        [added({**CALL_ITEM, "arguments": ""}), event("function_call_arguments.done", arguments=""),
         done({**CALL_ITEM, "arguments": ""}), COMPLETED], NO_ARGUMENTS
    ),
    "null within arguments": (
        [added({**CALL_ITEM, "arguments": ""}),
         *[event("function_call_arguments.delta", delta=piece) for piece in (" ", '{"a":', "null", "}")],
         done({**CALL_ITEM, "arguments": ' {"a":null}'}), COMPLETED], (ToolUse("c1", "f", ' {"a":null}'),)
    ),
    "arguments that are cut": (
        [added({**CALL_ITEM, "arguments": ""}), event("function_call_arguments.delta", delta='{"a"'),
         event("function_call_arguments.done", arguments='{"a":1}'), done(CALL_ITEM), COMPLETED],
        (ToolUse("c1", "f", '{"a":1}'),)
    ),
    "a text that is cut, then said whole": ([delta("H"), event("output_text.done", text="Hi"), COMPLETED], HI),
    "and in the message": ([delta("H"), done(message_item("Hi")), COMPLETED], HI),
    "and in the whole response": (
        [delta("H"), event("completed", response={"output": [message_item("Hi")]})], HI
    ),
    "and elsewhere in it": (
        [delta("H"), event("completed", response={"output": [REASONING_ITEM, message_item("Hi")]})],
        (Text("H"), Text("i"))
    ),
    "a text only at its end": ([event("output_text.done", text="Hi"), done(message_item("Hi")), COMPLETED], HI),
    "a text that only the whole response holds": (
        [done(CALL_ITEM), event("completed", response={"output": [CALL_ITEM, message_item("Hi")]})],
        (ToolUse("c1", "f", '{"a":1}'), *HI)
    ),
    "two texts, and the whole of both": (
        [delta("H"), delta("i"), event("output_text.done", text="Hi"), delta("Ho", content_index=1),
         done(message_item("Hi", "Ho")), event("completed", response={"output": [message_item("Hi", "Ho")]})],
        (*HI, Text("Ho"))
    ),
    "an end of another name": ([delta("Hi"), event("done", response={})], HI),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_STREAMS)
def test_no_stream_is_lost_for_a_field(name: str) -> None:
    events, parts = ODD_STREAMS[name]
    reply = said_by(*events)
    assert reply.choices[0].parts == parts
    called = any(isinstance(part, ToolUse) for part in parts)
    assert reply.choices[0].finish == ("tool_calls" if called else "stop")


@pytest.mark.parametrize("name", [name for name, row in ODD_STREAMS.items() if row[1] is NO_ARGUMENTS])
def test_no_arguments_of_a_call_that_the_client_did_not_offer(name: str) -> None:
    assert said_by(*ODD_STREAMS[name][0], offered=frozenset()).choices[0].parts == NO_ARGUMENTS


@pytest.mark.parametrize("name", ODD_STREAMS)
def test_kinds_that_only_the_events_names_say(name: str) -> None:
    events, parts = ODD_STREAMS[name]
    said = [(str(each["type"]).encode(), {k: v for k, v in each.items() if k != "type"}) for each in events]
    data = b"".join(b"event: %b\ndata: %b\n\n" % (kind, msgspec.json.encode(rest)) for kind, rest in said)
    assert streamed([data]).choices[0].parts == parts


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"type": "error", "error": "No"}, 502, "No"),
        ({"type": "error", "error": {"message": "No", "code": 429}}, 429, "No"),
        ({"type": "error", "message": "No", "code": "server_error"}, 502, "No"),
        ({"type": "error", "message": "No", "code": 503}, 503, "No"),
        ({"type": "response.error", "error": {"message": "No", "type": "server_error", "code": [1]}}, 502, "No"),
        ({"type": "response.failed", "response": {"error": {"message": "No", "code": "slow_down"}}}, 503, "No"),
        ({"type": "response.failed", "response": {"error": None}}, 502, ""),
        ({"type": "response.cancelled", "response": {}}, 502, ""),
        ({"error": {"message": "No", "code": 400}}, 400, "No"),
    ],
)  # fmt: skip
def test_errors_of_any_form(said: dict[str, object], status: int, words: str) -> None:
    [*_, failed] = RESPONSES_DIALECT.stream().feed(b"data: %b\n\n" % msgspec.json.encode(said))
    assert isinstance(failed, Failed)
    assert client_error(failed.error).status == status
    assert words in failed.error.message


SAID = {"message": "No.", "code": "server_error", "metadata": {"raw": "hot"}, "failed_generation": "<f>"}
MORE = {"metadata": b'{"raw":"hot"}', "failed_generation": b'"<f>"'}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "error": SAID},
        {"type": "response.failed", "response": {"error": SAID, "status": "failed"}},
        {"error": SAID},
    ],
)
def test_all_that_an_error_says_is_told(event: dict[str, object]) -> None:
    *_, failed = ResponsesStream().feed(written(delta("H"), event))
    assert isinstance(failed, Failed)
    relay = RESPONSES_RELAY.stream(decode_responses(b'{"model":"m","input":""}'), NOTHING_SENT)
    relay.feed(written(delta("H"), event))
    assert relay.error is not None
    with pytest.raises(UpstreamFailure) as caught:
        whole(status="failed", error=SAID)
    for error in (failed.error, relay.error, caught.value):
        assert {name: bytes(value) for name, value in client_error(error).more.items()} == MORE


@pytest.mark.parametrize("last", [THINK, done(REASONING_ITEM), delta("Hi"), added(CALL_ITEM)])
def test_a_stream_that_stops_in_the_middle_is_cut(last: dict[str, object]) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        said_by(CREATED_EVENT, last)
    assert caught.value.code == "upstream_cut"


def target(name: str) -> Target:
    fields = msgspec.json.decode(VECTORS.requests[name].target)
    return msgspec.convert({"model": name, **fields}, Target)


@pytest.mark.parametrize("name", VECTORS.requests)
def test_a_request(name: str) -> None:
    vector = VECTORS.requests[name]
    request = RESPONSES_DIALECT.encode(
        vectors.conversation(vector.conversation), target(name), Fit(), stream=vector.stream
    )
    assert request.path.decode() == vector.path
    assert msgspec.json.decode(request.body) == msgspec.json.decode(vector.body)


def conversation(*parts: Part, role: str = "user", name: str | None = None, **fields: object) -> Conversation:
    return msgspec.structs.replace(Conversation(turns=(Turn(role, parts, name),)), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (conversation(Refusal("No.")), "turns"),
        (conversation(Text("Hi"), role="tool"), "turns"),
    ],
)
def test_what_it_cannot_say_is_refused(asked: Conversation, field: str) -> None:
    with pytest.raises(Unsupported) as caught:
        RESPONSES_DIALECT.encode(asked, Target(model="m"), Fit(), stream=False)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("asked", "hint", "said"),
    [
        (conversation(Text("Hi"), max_tokens=15), "max_tokens", {"max_output_tokens": 16}),
        (
            conversation(Text("Hi"), extra={"prediction": Raw(b'{"content":"x"}'), "tools.x": Raw(b"1")}),
            "prediction",
            {},
        ),
        (conversation(Text("Hi"), name="ada"), "messages.name", {}),
        (conversation(Document(data="QUJD", cite=True)), "citations", {}),
    ],
)
def test_hints_are_passed_over(asked: Conversation, hint: str, said: dict[str, object]) -> None:
    fit = Fit()
    body = msgspec.json.decode(RESPONSES_DIALECT.encode(asked, Target(model="m"), fit, stream=False).body)
    assert hint in fit.dropped
    assert said.items() <= body.items()
    with pytest.raises(Unsupported):
        RESPONSES_DIALECT.encode(asked, Target(model="m"), Fit("refuse"), stream=False)


def test_what_a_model_made_can_be_echoed() -> None:
    asked = conversation(Text("a"), Image(data="QUJD", media_type="image/png"), Text("b"), role="assistant")
    items = msgspec.json.decode(RESPONSES_DIALECT.encode(asked, Target(model="m"), Fit(), stream=False).body)["input"]
    assert [(item["role"], item["content"][0]["type"]) for item in items] == [
        ("assistant", "output_text"), ("user", "input_image"), ("assistant", "output_text"),
    ]  # fmt: skip
    assert items[1]["content"][0]["image_url"] == "data:image/png;base64,QUJD"


@pytest.mark.parametrize("field", ["stop", "seed", "n", "top_k", "min_p", "presence_penalty", "logit_bias", "audio"])
def test_fields_without_a_counterpart_are_left_to_the_bridge(field: str) -> None:
    assert field in Conversation.__struct_fields__
    assert field not in RESPONSES_DIALECT.supported
