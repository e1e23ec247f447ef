"""How whole answers of Responses are written, and what their echo means."""

import json

import msgspec
import pytest
from msgspec import Raw
from openai.types.responses import Response

from tests.apis.test_responses import ANNOTATION, FUNCTION, OTHER, call, conversation, text
from weebill.apis.responses.api import RESPONSES
from weebill.wire.conversation import (
    Audio,
    Citation,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolUse,
    Turn,
)
from weebill.wire.errors import ApiError
from weebill.wire.reply import Choice, FinishReason, Reply, Usage


def reply(*parts: Part, finish: FinishReason = "stop", **more: object) -> Reply:
    usage = Usage.reported(1000, 11, cached=800, cache_write=100, reasoning=7)
    return Reply("chatcmpl-1", "m-1", (Choice(parts, finish, **more),), usage, 1741476777)  # type: ignore[arg-type]


def answered(answer: Reply, **fields: object) -> dict[str, object]:
    """The body, which OpenAI's own types must take, every field included."""
    body = RESPONSES.answer(call(**fields), answer)
    Response.model_validate_json(body)
    decoded = msgspec.json.decode(body)
    assert isinstance(decoded, dict)
    return decoded


def without_ids(items: object) -> list[dict[str, object]]:
    """Items without their ids, which are made sure to begin as OpenAI's."""
    prefixes = {"message": "msg_", "reasoning": "rs_", "function_call": "fc_", "image_generation_call": "ig_"}
    assert isinstance(items, list)
    for item in items:
        assert item.pop("id").startswith(prefixes[item["type"]])
    return items


def message(*content: object, status: str = "completed") -> dict[str, object]:
    return {"type": "message", "role": "assistant", "content": list(content), "status": status}


def function(call_id: str, name: str, arguments: str) -> dict[str, object]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, "status": "completed"}


def thought(said: str, encrypted: str | None = None) -> dict[str, object]:
    item: dict[str, object] = {"type": "reasoning", "summary": [{"type": "summary_text", "text": said}] if said else []}
    return item if encrypted is None else {**item, "encrypted_content": encrypted}


PARTS: dict[str, tuple[tuple[Part, ...], list[dict[str, object]]]] = {
    "nothing": ((), []),
    "text": ((Text("Hello."),), [message(text("Hello."))]),
    "texts": ((Text("Hel"), Text("lo.")), [message(text("Hel"), text("lo."))]),
    "refusal": ((Refusal("No."),), [message({"type": "refusal", "refusal": "No."})]),
    "calls": (
        (Text("Look."), ToolUse("c1", "f", '{"a":1}'), ToolUse("c2", "g", "")),
        [message(text("Look.")), function("c1", "f", '{"a":1}'), function("c2", "g", "{}")],
    ),
    "text after a call": (
        (Text("a"), ToolUse("c1", "f", "{}"), Text("b")),
        [message(text("a")), function("c1", "f", "{}"), message(text("b"))],
    ),
    "a call's signature": (
        (ToolUse("c1", "f", "{}", "c2ln", "gemini"),),
        [thought("", "weebill:gemini.tool:c2ln"), function("c1", "f", "{}")],
    ),
    "reasoning": ((Reasoning("Hm."), Text("a")), [thought("Hm."), message(text("a"))]),
    "reasoning of openai": ((Reasoning("Hm.", None, "gA==", "rs_9", "openai"),), [thought("Hm.", "gA==")]),
    "reasoning signed": ((Reasoning("Hm.", "c2ln", origin="anthropic"),), [thought("Hm.", "weebill:anthropic:c2ln")]),
    "reasoning redacted": (
        (Reasoning("", None, "c2ln", origin="anthropic"),), [thought("", "weebill:anthropic.encrypted:c2ln")]
    ),
    "image": (
        (Image(data="QUJD", media_type="image/webp"), Text("a")),
        [
            {"type": "image_generation_call", "result": "QUJD", "output_format": "webp", "status": "completed"},
            message(text("a")),
        ],
    ),
    "image elsewhere": ((Image(url="https://a.b/c.png"),), [message(text("https://a.b/c.png"))]),
    "audio": ((Audio("QUJD", "wav", "Hello."),), [message(text("Hello."))]),
    "citations": (
        (Text("Hi", citations=(
            Citation("https://a.b", "A", "quote", 0, 2),
            Citation(None, "a.pdf", "quote", 0, 2, "anthropic"),
            Citation(origin="openai", raw=Raw(b'{"type":"file_path","file_id":"f","index":3}')),
        )),),
        [message(text("Hi", [
            ANNOTATION,
            {"type": "file_citation", "file_id": "", "filename": "a.pdf", "index": 2},
            {"type": "file_path", "file_id": "f", "index": 3},
        ]))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_an_answer(name: str) -> None:
    parts, items = PARTS[name]
    assert without_ids(answered(reply(*parts))["output"]) == items


@pytest.mark.parametrize("name", [name for name in PARTS if name not in ("nothing", "image elsewhere", "audio")])
def test_what_a_client_echoes_means_the_same(name: str) -> None:
    parts, _ = PARTS[name]
    [turn] = conversation(input=answered(reply(*parts))["output"]).turns
    if name == "citations":
        assert [each.url for part in turn.parts for each in part.citations] == ["https://a.b", None, None]  # type: ignore[union-attr]
        return
    same = [
        msgspec.structs.replace(part, id=None, origin="") if isinstance(part, Reasoning) else part for part in parts
    ]
    seen = [
        msgspec.structs.replace(part, id=None, origin="") if isinstance(part, Reasoning) else part
        for part in turn.parts
    ]
    assert seen == [ToolUse("c2", "g", "{}") if part == ToolUse("c2", "g", "") else part for part in same]


def test_the_origin_of_what_is_opaque_comes_back() -> None:
    part = Reasoning("Hm.", "c2ln", origin="anthropic")
    assert conversation(input=answered(reply(part))["output"]).turns == (Turn("assistant", (part,)),)


def test_an_id_of_openai_is_kept() -> None:
    output = answered(reply(Reasoning("Hm.", None, "gA==", "rs_9", "openai")))["output"]
    assert isinstance(output, list)
    assert output[0]["id"] == "rs_9"


def test_logprobs() -> None:
    entry = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}
    output = answered(reply(Text("Hi"), logprobs=(Raw(json.dumps(entry).encode()),)))["output"]
    assert without_ids(output) == [message(text("Hi", logprobs=[entry]))]


@pytest.mark.parametrize(
    ("finish", "parts", "status", "reason", "item_status"),
    [
        ("stop", (Text("a"),), "completed", None, "completed"),
        ("tool_calls", (ToolUse("c", "f", "{}"),), "completed", None, "completed"),
        ("length", (Text("a"),), "incomplete", "max_output_tokens", "incomplete"),
        ("content_filter", (Text("a"),), "incomplete", "content_filter", "incomplete"),
        ("refusal", (Refusal("a"),), "completed", None, "completed"),
        ("refusal", (Text("a"),), "incomplete", "content_filter", "incomplete"),
        ("pause", (Text("a"),), "incomplete", "max_output_tokens", "incomplete"),
    ],
)
def test_how_an_answer_ends(
    finish: FinishReason, parts: tuple[Part, ...], status: str, reason: str | None, item_status: str
) -> None:
    body = answered(reply(*parts, finish=finish))
    assert body["status"] == status
    assert body["incomplete_details"] == (None if reason is None else {"reason": reason})
    assert body["output"][-1]["status"] == item_status  # type: ignore[index]


def test_usage() -> None:
    assert answered(reply())["usage"] == {
        "input_tokens": 1000,
        "input_tokens_details": {"cached_tokens": 800, "cache_write_tokens": 100},
        "output_tokens": 11,
        "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 1011,
    }


def test_the_request_is_echoed() -> None:
    asked: dict[str, object] = {
        "instructions": "Be brief.", "metadata": {"a": "b"}, "temperature": 0.5, "top_p": 0.9, "max_output_tokens": 20,
        "parallel_tool_calls": False, "tool_choice": {"type": "function", "name": "f"}, "user": "u", "store": False,
        "reasoning": {"effort": "low", "summary": None}, "truncation": "auto", "top_logprobs": 2,
        "prompt_cache_key": "k", "previous_response_id": "resp_1", "safety_identifier": "s",
    }  # fmt: skip
    body = answered(
        reply(Text("a")), **asked, tools=[FUNCTION, OTHER, {"type": "web_search"}], text={"verbosity": "low"}
    )
    assert {name: body[name] for name in asked} == asked
    bare = {"description": None, "parameters": None, "strict": None}
    assert body["tools"] == [FUNCTION, {**OTHER, **bare}, {"type": "web_search"}]
    assert body["text"] == {"verbosity": "low", "format": {"type": "text"}}


def test_a_response_has_all_that_the_format_demands() -> None:
    body = answered(reply(Text("a")))
    assert str(body["id"]).startswith("resp_")
    expected = {
        "object": "response", "created_at": 1741476777, "status": "completed", "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {},
        "model": "m-1", "parallel_tool_calls": True, "temperature": 1,
        "tool_choice": "auto", "tools": [], "top_p": 1, "store": True, "truncation": "disabled", "background": False,
        "text": {"format": {"type": "text"}, "verbosity": "medium"}, "previous_response_id": None,
    }  # fmt: skip
    assert {name: body[name] for name in expected} == expected


def test_errors() -> None:
    error = ApiError(429, "Slow down.", code="rate_limit_exceeded", param="model")
    inner = {"message": "Slow down.", "type": "rate_limit_error", "param": "model", "code": "rate_limit_exceeded"}
    assert msgspec.json.decode(RESPONSES.error_body(error)) == {"error": inner}
    event = RESPONSES.error_event(error)
    assert event.startswith(b"event: error\ndata: ")
    said = {name: inner[name] for name in ("message", "param", "code")}
    expected = {"type": "error", "sequence_number": 0, **said, "error": inner}
    assert msgspec.json.decode(event.partition(b"data: ")[2]) == expected
