"""Answers against what the Open Responses specification demands, restated from its public schema.

Source: https://www.openresponses.org/specification, https://github.com/openresponses/openresponses (ResponseResource)
"""

import json
from types import NoneType

import pytest

from tests.apis.test_responses import ANNOTATION, FUNCTION, OTHER, call
from tests.apis.test_responses_answer import answered, reply
from weebill.apis.responses.api import RESPONSES
from weebill.wire.conversation import Citation, Reasoning, Refusal, Text, ToolUse
from weebill.wire.errors import ApiError
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
)

Shape = dict[str, type | tuple[type, ...]]
NUMBER = (int, float)
MAYBE_TEXT = (str, NoneType)
MAYBE_COUNT = (int, NoneType)
RESOURCE: Shape = {
    "id": str, "object": str, "created_at": int, "completed_at": MAYBE_COUNT, "status": str,
    "incomplete_details": (dict, NoneType), "model": str, "previous_response_id": MAYBE_TEXT,
    "instructions": (str, list, NoneType), "output": list, "error": (dict, NoneType), "tools": list,
    "tool_choice": (str, dict), "truncation": str, "parallel_tool_calls": bool, "text": dict, "top_p": NUMBER,
    "presence_penalty": NUMBER, "frequency_penalty": NUMBER, "top_logprobs": int, "temperature": NUMBER,
    "reasoning": (dict, NoneType), "user": MAYBE_TEXT, "usage": (dict, NoneType), "max_output_tokens": MAYBE_COUNT,
    "max_tool_calls": MAYBE_COUNT, "store": bool, "background": bool, "service_tier": str, "metadata": dict,
    "safety_identifier": MAYBE_TEXT, "prompt_cache_key": MAYBE_TEXT,
}  # fmt: skip
ITEMS: dict[str, Shape] = {
    "message": {"id": str, "status": str, "role": str, "content": list},
    "function_call": {"id": str, "call_id": str, "name": str, "arguments": str, "status": str},
    "reasoning": {"id": str, "summary": list},
}
PARTS: dict[str, Shape] = {
    "output_text": {"text": str, "annotations": list, "logprobs": list},
    "refusal": {"refusal": str},
    "summary_text": {"text": str},
}
OPTIONAL: Shape = {"encrypted_content": str}
TOOL: Shape = {
    "type": str, "name": str, "description": MAYBE_TEXT, "parameters": (dict, NoneType), "strict": (bool, NoneType)
}  # fmt: skip
USAGE: Shape = {
    "input_tokens": int, "output_tokens": int, "total_tokens": int, "input_tokens_details": dict,
    "output_tokens_details": dict,
}  # fmt: skip
# What the event of each type has besides its `type` and `sequence_number`.
INDEXED: Shape = {"item_id": str, "output_index": int}
IN_PART: Shape = {**INDEXED, "content_index": int}
IN_SUMMARY: Shape = {**INDEXED, "summary_index": int}
LIFECYCLE: Shape = {"response": dict}
OF_ITEM: Shape = {"output_index": int, "item": dict}
OF_PART: Shape = {**IN_PART, "part": dict}
OF_SUMMARY: Shape = {**IN_SUMMARY, "part": dict}
EVENTS: dict[str, Shape] = {
    "created": LIFECYCLE,
    "in_progress": LIFECYCLE,
    "completed": LIFECYCLE,
    "incomplete": LIFECYCLE,
    "failed": LIFECYCLE,
    "output_item.added": OF_ITEM,
    "output_item.done": OF_ITEM,
    "content_part.added": OF_PART,
    "content_part.done": OF_PART,
    "output_text.delta": {**IN_PART, "delta": str, "logprobs": list},
    "output_text.done": {**IN_PART, "text": str, "logprobs": list},
    "output_text.annotation.added": {**IN_PART, "annotation_index": int, "annotation": dict},
    "refusal.delta": {**IN_PART, "delta": str},
    "refusal.done": {**IN_PART, "refusal": str},
    "function_call_arguments.delta": {**INDEXED, "delta": str},
    "function_call_arguments.done": {**INDEXED, "arguments": str},
    "reasoning_summary_part.added": OF_SUMMARY,
    "reasoning_summary_part.done": OF_SUMMARY,
    "reasoning_summary_text.delta": {**IN_SUMMARY, "delta": str},
    "reasoning_summary_text.done": {**IN_SUMMARY, "text": str},
}


def check(found: object, shape: Shape) -> None:
    assert isinstance(found, dict)
    for name, kinds in shape.items():
        assert name in found
        wanted = kinds if isinstance(kinds, tuple) else (kinds,)
        assert isinstance(found[name], wanted), name
        # A bool is an int to Python alone.
        assert bool in wanted or not isinstance(found[name], bool), name


def check_resource(found: object) -> None:
    check(found, RESOURCE)
    assert isinstance(found, dict)
    assert found["object"] == "response"
    assert found["truncation"] in ("auto", "disabled")
    check(found["text"], {"format": dict})
    assert (found["completed_at"] is not None) == (found["status"] == "completed")
    assert found["completed_at"] is None or found["completed_at"] >= found["created_at"]
    for tool in found["tools"]:
        check(tool, TOOL)
    for item in found["output"]:
        check_item(item)
    if found["usage"] is not None:
        check(found["usage"], USAGE)
        check(found["usage"]["input_tokens_details"], {"cached_tokens": int})
        check(found["usage"]["output_tokens_details"], {"reasoning_tokens": int})
    if found["error"] is not None:
        check(found["error"], {"code": str, "message": str})
    if found["incomplete_details"] is not None:
        check(found["incomplete_details"], {"reason": str})


def check_item(item: dict[str, object]) -> None:
    check(item, ITEMS[str(item["type"])])
    check(item, {name: kinds for name, kinds in OPTIONAL.items() if name in item})
    parts = item.get("content", item.get("summary", []))
    assert isinstance(parts, list)
    for part in parts:
        check(part, PARTS[part["type"]])


ASKED: list[dict[str, object]] = [
    {},
    {"tools": [FUNCTION, OTHER, {"name": "h"}], "tool_choice": "auto", "parallel_tool_calls": False},
    {"temperature": 0, "top_p": 0.5, "top_logprobs": 3, "max_output_tokens": 99, "max_tool_calls": 2, "store": False},
    {"truncation": None, "metadata": None, "text": None, "reasoning": None, "tool_choice": None, "tools": None},
    {"reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "metadata": {"a": "b"}, "user": "u"},
    {"instructions": "Be brief.", "safety_identifier": "s", "prompt_cache_key": "k", "previous_response_id": "resp_1"},
]


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("finish", ["stop", "length", "content_filter", "tool_calls"])
def test_whole_answers(asked: dict[str, object], finish: FinishReason) -> None:
    parts = (
        Reasoning("Hm.", "c2ln", origin="anthropic"), Text("Hi", citations=(Citation("https://a.b", "A", None, 0, 2),)),
        Refusal("No."), ToolUse("c1", "f", '{"city":"Paris"}'), Reasoning("Hm."),
    )  # fmt: skip
    check_resource(answered(reply(*parts, finish=finish), **asked))


SAID: list[Event] = [
    ReasoningDelta("Hm.", block=0),
    ReasoningDelta(signature="c2ln", origin="anthropic", block=0),
    TextDelta("H", 1),
    TextDelta("i", 1),
    CitationAdded(Citation("https://a.b", "A", None, 0, 2), 1),
    RefusalDelta("No.", 2),
    ToolStarted("c1", "f", 3),
    ToolArguments('{"city":', 3),
    ToolArguments('"Paris"}', 3),
    UsageReported(Usage.reported(3, 2)),
]


def events_of(data: bytes) -> list[dict[str, object]]:
    return [json.loads(block.split("\ndata: ")[1]) for block in data.decode().strip().split("\n\n")]


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("ending", ["stop", "length", "fail"])
def test_streams(asked: dict[str, object], started: bool, ending: FinishReason) -> None:
    encoder = RESPONSES.stream(call(stream=True, **asked))
    data = encoder.feed([Started("x", "m-1", 1741476777), Started("x", "m-1")] if started else [])
    data += b"".join(encoder.feed([event]) for event in SAID)
    if ending == "fail":
        data += encoder.fail(ApiError(502, "The upstream failed."))
    else:
        data += encoder.feed([Finished(ending)]) + encoder.finish()
    events = events_of(data)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [str(event["type"]).removeprefix("response.") for event in events]
    assert kinds[:2] == ["created", "in_progress"]
    assert kinds.count("created") == 1
    assert kinds[-1] == {"stop": "completed", "length": "incomplete", "fail": "failed"}[ending]
    for event, kind in zip(events, kinds, strict=True):
        if kind != "error":
            check(event, EVENTS[kind])
        if "response" in event:
            check_resource(event["response"])
        if kind == "output_item.done":
            check_item(event["item"])  # type: ignore[arg-type]
    assert set(EVENTS) - set(kinds) <= {"completed", "incomplete", "failed"}
    said = [event["item"] for event, kind in zip(events, kinds, strict=True) if kind == "output_item.done"]
    assert events[-1]["response"]["output"] == said  # type: ignore[index]
    assert ANNOTATION["url"] in data.decode()


def test_a_failure_is_told_of_before_anything_was_said() -> None:
    encoder = RESPONSES.stream(call(stream=True))
    kinds = [event["type"] for event in events_of(encoder.fail(ApiError(502, "No.")))]
    assert kinds == ["response.created", "response.in_progress", "error", "response.failed"]
