"""Whole answers and streams of Responses that are not as they should be: nothing is lost for it."""

import msgspec
import pytest

from tests.providers.test_responses import streamed, used
from weebill.gateway.failures import client_error
from weebill.providers.base import NOTHING_SENT
from weebill.providers.responses.dialect import RESPONSES_DIALECT
from weebill.providers.responses.relay import RESPONSES_RELAY
from weebill.providers.responses.stream import ResponsesStream
from weebill.wire.conversation import (
    Part,
    Reasoning,
    Text,
    ToolUse,
)
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import (
    Failed,
    Reply,
    Usage,
)
from weebill.wire.responses_request import decode_responses


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
