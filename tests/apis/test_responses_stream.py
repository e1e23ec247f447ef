"""Responses as an inbound API: streams, as bytes, and as OpenAI's own SDK reads them."""

import itertools

import httpx
import msgspec
import openai
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from openai.types.responses import ParsedResponse, Response, ResponseStreamEvent

from tests.apis.test_responses import ANNOTATION, FUNCTION, call, text
from tests.apis.test_responses_answer import function, message, thought, without_ids
from weebill.apis.responses.api import RESPONSES
from weebill.apis.responses.stream import ResponseStream
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import Audio, Citation, Image, Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.errors import ApiError
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Finished,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
    WholePart,
)

_EVENT = pydantic.TypeAdapter(ResponseStreamEvent)
STARTED = Started("chatcmpl-1", "m-1", 1741476777)
USED = UsageReported(Usage.reported(1000, 11, cached=800, reasoning=7))
ENTRY = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}
LOGPROBS = Logprobs((Raw(msgspec.json.encode(ENTRY)),))
CITED = Citation("https://a.b", "A", None, 0, 2)


def streamed(*events: Event, at_once: bool = True, **fields: object) -> list[dict[str, object]]:
    """The events sent, each of which OpenAI's types must take, under its own name and numbered in order."""
    encoder = RESPONSES.stream(call(stream=True, **fields))
    given = [STARTED, *events, USED]
    pieces = [given] if at_once else [[event] for event in given]
    data = b"".join(encoder.feed(piece) for piece in pieces) + encoder.finish()
    return parsed(data)


def parsed(data: bytes) -> list[dict[str, object]]:
    found = []
    assert data.endswith(b"\n\n")
    for number, block in enumerate(data[:-2].split(b"\n\n")):
        name, line = block.split(b"\n")
        event = msgspec.json.decode(line.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        assert event["sequence_number"] == number
        _EVENT.validate_json(line.removeprefix(b"data: "))
        found.append(event)
    return found


def names(events: list[dict[str, object]]) -> list[str]:
    return [str(event["type"]).removeprefix("response.") for event in events]


TEXT = [
    "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
    "content_part.done", "output_item.done",
]  # fmt: skip
REASONING = [
    "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.done",
    "reasoning_summary_part.done", "output_item.done",
]  # fmt: skip
ARGUMENTS = [
    "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
]  # fmt: skip
WHOLE = ["output_item.added", "output_item.done"]

# What the upstream said -> the names of the events between the first two and the last, and the items.
STREAMS: dict[str, tuple[list[Event], list[str], list[dict[str, object]]]] = {
    "nothing": ([Finished("stop")], [], []),
    "text": ([TextDelta("Hel"), TextDelta("lo."), Finished("stop")], TEXT, [message(text("Hello."))]),
    "texts": (
        [TextDelta("Hel"), TextDelta("lo.", 1), Finished("stop")],
        [
            "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
            "content_part.added", "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
        ],
        [message(text("Hel"), text("lo."))],
    ),
    "citations": (
        [TextDelta("Hi"), CitationAdded(CITED), TextDelta("."), Finished("stop")],
        [*TEXT[:3], "output_text.annotation.added", *TEXT[3:]],
        [message(text("Hi.", [ANNOTATION]))],
    ),
    "a citation first": (
        [CitationAdded(CITED), Finished("stop")],
        [*TEXT[:2], "output_text.annotation.added", *TEXT[4:]],
        [message(text("", [ANNOTATION]))],
    ),
    "refusal": (
        [RefusalDelta("No"), RefusalDelta("."), Finished("refusal")],
        [name.replace("output_text", "refusal") for name in TEXT],
        [message({"type": "refusal", "refusal": "No."})],
    ),
    "calls": (
        [
            TextDelta("Lo"), TextDelta("ok."), ToolStarted("c1", "f", 1), ToolArguments('{"a":1}', 1),
            ToolStarted("c2", "g", 2), Finished("tool_calls"),
        ],
        [*TEXT, *ARGUMENTS, *ARGUMENTS],
        [message(text("Look.")), function("c1", "f", '{"a":1}'), function("c2", "g", "{}")],
    ),
    "a call's signature": (
        [ToolStarted("c1", "f", 0, 0, "c2ln", "gemini"), ToolArguments("{}"), Finished("tool_calls")],
        [*WHOLE, *ARGUMENTS],
        [thought("", "weebill:gemini.tool:c2ln"), function("c1", "f", "{}")],
    ),
    "reasoning": (
        [ReasoningDelta("Hm.", origin="deepseek"), TextDelta("a", 1), TextDelta("b", 1), Finished("stop")],
        [*REASONING, *TEXT],
        [thought("Hm."), message(text("ab"))],
    ),
    "reasoning signed": (
        [ReasoningDelta("Hm.", origin="anthropic"), ReasoningDelta(signature="c2ln"), Finished("stop")],
        REASONING,
        [thought("Hm.", "weebill:anthropic:c2ln")],
    ),
    "reasoning redacted": (
        [ReasoningDelta(encrypted="c2ln", origin="anthropic"), Finished("stop")],
        WHOLE,
        [thought("", "weebill:anthropic.encrypted:c2ln")],
    ),
    "reasoning of openai": (
        [ReasoningDelta(id="rs_9", origin="openai"), ReasoningDelta("Hm.", origin="openai"),
         ReasoningDelta(encrypted="gA==", id="rs_9", origin="openai"), Finished("stop")],
        REASONING,
        [thought("Hm.", "gA==")],
    ),
    "image": (
        [WholePart(Image(data="QUJD", media_type="image/png")), Finished("stop")],
        ["output_item.added", "image_generation_call.completed", "output_item.done"],
        [{"type": "image_generation_call", "result": "QUJD", "output_format": "png", "status": "completed"}],
    ),
    "audio": (
        [WholePart(Audio("QUJD", "wav", "Hello.")), Finished("stop")],
        [*TEXT[:3], *TEXT[4:]],
        [message(text("Hello."))],
    ),
    "logprobs": (
        [TextDelta("Hi"), LOGPROBS, TextDelta("!"), Finished("stop")],
        TEXT,
        [message(text("Hi!", logprobs=[ENTRY]))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name: str) -> None:
    said, between, items = STREAMS[name]
    events = streamed(*said)
    assert names(events) == ["created", "in_progress", *between, "completed"]
    first, last = events[0]["response"], events[-1]["response"]
    assert isinstance(first, dict)
    assert isinstance(last, dict)
    assert (first["status"], first["output"], first["usage"]) == ("in_progress", [], None)
    assert (last["id"], last["created_at"], last["model"]) == (first["id"], 1741476777, "m-1")
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert last["output"] == done
    assert [event["output_index"] for event in events if event["type"] == "response.output_item.done"] == [
        *range(len(items))
    ]
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert [item["id"] for item in added] == [item["id"] for item in done]  # type: ignore[index]
    assert without_ids(last["output"]) == items
    assert last["usage"]["input_tokens_details"] == {"cached_tokens": 800, "cache_write_tokens": 0}


@pytest.mark.parametrize("name", STREAMS)
def test_an_event_at_a_time(name: str) -> None:
    said, between, items = STREAMS[name]
    events = streamed(*said, at_once=False)
    if name == "logprobs":
        # They come after the text that they are of has been sent.
        between = [*TEXT[:3], *TEXT[2:]]
    assert names(events) == ["created", "in_progress", *between, "completed"]
    assert without_ids(events[-1]["response"]["output"]) == items  # type: ignore[index]


def test_logprobs_go_with_their_text() -> None:
    deltas = [event for event in streamed(*STREAMS["logprobs"][0]) if event["type"] == "response.output_text.delta"]
    assert [(event["delta"], event["logprobs"]) for event in deltas] == [("Hi", [ENTRY]), ("!", [])]


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [("length", "incomplete", "max_output_tokens"), ("content_filter", "incomplete", "content_filter")],
)
def test_an_incomplete_answer(reason: str, status: str, why: str) -> None:
    last = streamed(TextDelta("a"), Finished(reason))[-1]  # type: ignore[arg-type]
    assert last["type"] == "response.incomplete"
    response = last["response"]
    assert isinstance(response, dict)
    assert (response["status"], response["incomplete_details"]) == (status, {"reason": why})
    assert response["output"][0]["status"] == "incomplete"


def test_a_stream_that_fails() -> None:
    encoder = ResponseStream(call(stream=True))
    events = parsed(
        encoder.feed([STARTED, TextDelta("Hel")])
        + encoder.fail(ApiError(429, "Slow down.", code="rate_limit_exceeded"))
    )
    assert names(events)[-3:] == ["output_item.done", "error", "failed"]
    response = events[-1]["response"]
    assert isinstance(response, dict)
    assert (response["status"], response["error"]) == (
        "failed", {"code": "rate_limit_exceeded", "message": "Slow down."}
    )  # fmt: skip
    assert without_ids(response["output"]) == [message(text("Hel"), status="incomplete")]
    assert events[-2]["error"] == {
        "message": "Slow down.", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"
    }  # fmt: skip


def test_the_response_is_there_once_it_has_ended() -> None:
    encoder = ResponseStream(call(stream=True))
    encoder.feed([STARTED, TextDelta("a")])
    assert encoder.response == b""
    last = encoder.finish()
    assert b'"status":"completed"' in encoder.response
    assert encoder.response in last


@settings(max_examples=40)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_any_text_comes_through(pieces: list[str]) -> None:
    events = streamed(*(TextDelta(piece) for piece in pieces), Finished("stop"))
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert deltas == pieces
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "".join(pieces)  # type: ignore[index]


# What follows reads the same bytes with the SDK.


class Person(pydantic.BaseModel):
    name: str
    age: int


def sdk(*events: Event, error: bytes = b"") -> openai.OpenAI:
    """A client whose server says these."""

    def serve(request: httpx.Request) -> httpx.Response:
        asked = RESPONSES.decode(request.content, {}, "")
        encoder = RESPONSES.stream(asked)
        if not asked.stream:
            builder = ReplyBuilder()
            for event in (STARTED, *events, USED):
                builder.add(event)
            return httpx.Response(200, content=RESPONSES.answer(asked, builder.reply()))
        data = encoder.feed([STARTED, *events, USED])
        data += error or encoder.finish()
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, content=data)

    client = httpx.Client(transport=httpx.MockTransport(serve))
    return openai.OpenAI(api_key="k", base_url="http://weebill/v1", http_client=client, max_retries=0)


def test_the_sdk_accumulates_a_stream() -> None:
    events: list[Event] = [
        ReasoningDelta("Hm.", origin="anthropic"), ReasoningDelta(signature="c2ln", origin="anthropic"),
        TextDelta("Hel", 1), TextDelta("lo.", 1), ToolStarted("c1", "f", 2), ToolArguments('{"city":', 2),
        ToolArguments('"Paris"}', 2), Finished("tool_calls"),
    ]  # fmt: skip
    with sdk(*events).responses.stream(model="m", input="Hi", tools=[FUNCTION]) as stream:  # type: ignore[list-item]
        seen = [event.type for event in stream]
        response: ParsedResponse[None] = stream.get_final_response()
    assert seen[0] == "response.created"
    assert seen[-1] == "response.completed"
    assert response.output_text == "Hello."
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    called = response.output[2]
    assert called.type == "function_call"
    assert (called.call_id, called.parsed_arguments) == ("c1", {"city": "Paris"})
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens == 7


def test_the_sdk_parses_a_schema_out_of_a_stream() -> None:
    pieces = ['{"name":"Ada",', '"age":36}']
    client = sdk(*map(TextDelta, pieces), Finished("stop"))
    with client.responses.stream(model="m", input="Hi", text_format=Person) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        response = stream.get_final_response()
    assert snapshots == list(itertools.accumulate(pieces))
    assert response.output_parsed == Person(name="Ada", age=36)


def test_the_sdk_parses_a_whole_answer() -> None:
    client = sdk(TextDelta('{"name":"Ada","age":36}'), Finished("stop"))
    response = client.responses.parse(model="m", input="Hi", text_format=Person)
    assert response.output_parsed == Person(name="Ada", age=36)
    assert response.status == "completed"


def test_the_sdk_raises_what_went_wrong() -> None:
    client = sdk(TextDelta("Hel"), error=RESPONSES.error_event(ApiError(502, "It broke.", code="upstream_cut")))
    with pytest.raises(openai.APIError, match="It broke"), client.responses.stream(model="m", input="Hi") as stream:
        stream.until_done()


LARK = {"type": "custom", "name": "patch", "description": "Edits.", "format": {"type": "text"}}
GROUP = {"type": "namespace", "name": "files", "description": "Files.", "tools": [{**FUNCTION, "name": "list"}]}
TOOLS = [FUNCTION, LARK, {"type": "local_shell"}, {"type": "shell"}, GROUP]
PICTURE = Image(data="QUJD", media_type="image/png")
# What a stream says -> what it means once it was accumulated and sent with the next turn.
ECHOED: dict[str, tuple[list[Event], tuple[Part, ...]]] = {
    "text": ([TextDelta("Hel"), TextDelta("lo."), CitationAdded(CITED)],
             (Text("Hello.", citations=(Citation("https://a.b", "A", None, 0, 2, "openai"),)),)),
    "texts": ([TextDelta("a"), TextDelta("b", 1)], (Text("a"), Text("b"))),
    "refusal": ([RefusalDelta("No.")], (Refusal("No."),)),
    "signed thoughts": (
        [ReasoningDelta("Hm.", origin="anthropic"), ReasoningDelta(signature="c2ln", origin="anthropic"),
         TextDelta("a", 1)],
        (Reasoning("Hm.", "c2ln", origin="anthropic"), Text("a")),
    ),
    "encrypted thoughts": (
        [ReasoningDelta("Hm.", encrypted="gA==", id="rs_1", origin="openai"), TextDelta("a", 1)],
        (Reasoning("Hm.", None, "gA==", "rs_1", "openai"), Text("a")),
    ),
    "two thoughts": (
        [ReasoningDelta("Hm.", encrypted="x", origin="openai"),
         ReasoningDelta("So.", signature="y", origin="bedrock", block=1)],
        (Reasoning("Hm.", None, "x", "rs_", "openai"), Reasoning("So.", "y", origin="bedrock")),
    ),
    "calls": (
        [ToolStarted("c1", "f", 0), ToolArguments("{}", 0), ToolStarted("c2", "f", 1), ToolArguments('{"a":', 1),
         ToolArguments("1}", 1)],
        (ToolUse("c1", "f", "{}"), ToolUse("c2", "f", '{"a":1}')),
    ),
    "a signed call": (
        [ToolStarted("c1", "f", 0, signature="s", origin="gemini"), ToolArguments("{}", 0)],
        (ToolUse("c1", "f", "{}", "s", "gemini"),),
    ),
    "a custom call": ([ToolStarted("c1", "patch", 0), ToolArguments('{"input":"a\\n"}', 0)],
                      (ToolUse("c1", "patch", '{"input":"a\\n"}'),)),
    "a shell's call": ([ToolStarted("c1", "local_shell", 0), ToolArguments('{"command":["ls"],"env":{}}', 0)],
                       (ToolUse("c1", "local_shell", '{"command":["ls"],"env":{}}'),)),
    "another shell's call": ([ToolStarted("c1", "shell", 0), ToolArguments('{"commands":["ls"]}', 0)],
                             (ToolUse("c1", "shell", '{"commands":["ls"]}'),)),
    "a call in a namespace": ([ToolStarted("c1", "files__list", 0), ToolArguments("{}", 0)],
                              (ToolUse("c1", "files__list", "{}"),)),
    "an image": ([WholePart(PICTURE)], (PICTURE,)),
}  # fmt: skip


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("name", ECHOED)
def test_what_the_sdk_accumulated_means_the_same_in_the_next_turn(name: str, streams: bool) -> None:
    events, parts = ECHOED[name]
    responses = sdk(*events, Finished("stop")).responses
    if streams:
        with responses.stream(model="m", input="Hi", tools=TOOLS) as stream:  # type: ignore[arg-type]
            answer: Response = stream.get_final_response()
    else:
        answer = responses.create(model="m", input="Hi", tools=TOOLS)  # type: ignore[call-overload]
    echoed = [item.model_dump(mode="json") for item in answer.output]
    asked = RESPONSES.conversation(call(input=[{"role": "user", "content": "Hi"}, *echoed], tools=TOOLS))
    assert asked.extra == {}
    assert tuple(map(bare, asked.turns[1].parts)) == tuple(map(bare, parts))


def bare(part: Part) -> Part:
    """A part without what is made anew each time: ids of items, and citations as they were written."""
    if isinstance(part, Reasoning) and part.id is not None:
        return msgspec.structs.replace(part, id=part.id[:3])
    if isinstance(part, Text):
        cited = tuple([msgspec.structs.replace(each, raw=None) for each in part.citations])
        return msgspec.structs.replace(part, citations=cited)
    return part
