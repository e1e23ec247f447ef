"""What Chat Completions requests mean."""

import json

import msgspec
import pytest
from msgspec import Raw

from tests.apis.chat import HI, PICTURE, PNG, USER, call, function, read, signed
from weebill.apis.chat.api import CHAT
from weebill.wire.conversation import (
    Audio,
    AudioOutput,
    Citation,
    Conversation,
    Document,
    Image,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningOptions,
    Refusal,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.errors import ApiError


def part(given: object) -> tuple[Part, ...]:
    return read({"role": "user", "content": [given]}).turns[0].parts


PARTS: list[tuple[object, Part]] = [
    ({"type": "text", "text": "a"}, Text("a")),
    ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, Text("a", "5m")),
    ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, Text("a", "1h")),
    ({"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}, Text("a", "5m")),
    ({"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}, Text("a", "1h")),
    (
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}},
        Image(url="https://example.com/a.png", detail="high"),
    ),
    (
        {"type": "image_url", "image_url": {"url": PNG}, "cache_control": {"type": "ephemeral"}},
        msgspec.structs.replace(PICTURE, cache="5m"),
    ),
    ({"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}, Audio("QUJD", "wav")),
    ({"type": "file", "file": {"file_id": "file-1"}}, Document(file_id="file-1")),
    (
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
        Document(data="QUJD", media_type="application/pdf", name="a.pdf"),
    ),
    ({"type": "file", "file": {"file_data": "QUJD"}}, Document(data="QUJD", media_type="application/pdf")),
    (
        {"type": "file", "file": {"file_data": "https://example.com/a.pdf"}},
        Document(url="https://example.com/a.pdf"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "meant"), PARTS)
def test_parts(given: object, meant: Part) -> None:
    assert part(given) == (meant,)


ASSISTANT: list[tuple[dict[str, object], tuple[Part, ...]]] = [
    ({"content": "a"}, (Text("a"),)),
    ({"content": None, "tool_calls": [function("f", '{"a":1}')]}, (ToolUse("c1", "f", '{"a":1}'),)),
    ({"content": "", "tool_calls": [function("f", "")]}, (Text(""), ToolUse("c1", "f", "{}"))),
    ({"tool_calls": [function("f", **signed("sig"))]}, (ToolUse("c1", "f", "{}", "sig", "gemini"),)),
    (
        {"tool_calls": [function("f", **signed("weebill:anthropic:sig"))]},
        (ToolUse("c1", "f", "{}", "sig", "anthropic"),),
    ),
    ({"content": [{"type": "refusal", "refusal": "No."}]}, (Refusal("No."),)),
    ({"content": None, "refusal": "No."}, (Refusal("No."),)),
    ({"content": "a", "refusal": None, "audio": None, "function_call": None, "provider": "x"}, (Text("a"),)),
    ({"content": None, "audio": {"id": "audio_1"}}, (Audio("", "", id="audio_1"),)),
    ({"content": "a", "reasoning_content": "Hm."}, (Reasoning("Hm."), Text("a"))),
    ({"content": "a", "reasoning": "Hm."}, (Reasoning("Hm."), Text("a"))),
    (
        {
            "content": "a",
            "reasoning_content": "Hm.",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "Hm.", "signature": "s", "format": "anthropic", "index": 0},
                {"type": "reasoning.encrypted", "data": "e", "id": "rs_1", "format": "openai", "index": 1},
            ],
        },
        (Reasoning("Hm.", "s", origin="anthropic"), Reasoning("", None, "e", "rs_1", "openai"), Text("a")),
    ),
    (
        {"content": "a", "images": [{"type": "image_url", "image_url": {"url": PNG}}]},
        (Text("a"), PICTURE),
    ),
    (
        {
            "content": "a",
            "annotations": [
                {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}
            ],
        },
        (Text("a", citations=(Citation("u", "t", None, 0, 1),)),),
    ),
    ({"content": "a", "cache_control": {"type": "ephemeral"}}, (Text("a", "5m"),)),
]  # fmt: skip


@pytest.mark.parametrize(("given", "meant"), ASSISTANT)
def test_what_an_assistant_said(given: dict[str, object], meant: tuple[Part, ...]) -> None:
    assert read({"role": "assistant", **given}).turns == (Turn("assistant", meant),)


def test_roles_and_results() -> None:
    asked = read(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
        {"role": "user", "content": "c", "name": "ada"},
        {"role": "assistant", "content": None, "tool_calls": [function("f")]},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "image_url", "image_url": {"url": PNG}}]},
        {"role": "user", "content": "d"},
    )
    assert asked.turns == (
        Turn("system", (Text("a"),)),
        Turn("developer", (Text("b"),)),
        Turn("user", (Text("c"),), "ada"),
        Turn("assistant", (ToolUse("c1", "f", "{}"),)),
        Turn("tool", (ToolResult("c1", (Text("1"),)), ToolResult("c2", (PICTURE,)))),
        Turn("user", (Text("d"),)),
    )


SCHEMA = {"type": "object", "properties": {}}
RAW_SCHEMA = Raw(json.dumps(SCHEMA).encode())
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}
NOW = {"type": "function", "function": {"name": "now"}, "cache_control": {"type": "ephemeral"}}
BOTH = (Tool("f", "d", RAW_SCHEMA, True), Tool("now", cache="5m"))
CHOICES: list[tuple[dict[str, object], ToolChoice | None]] = [
    ({}, None),
    ({"tool_choice": "auto"}, ToolChoice()),
    ({"tool_choice": "none"}, ToolChoice("none")),
    ({"tool_choice": "required", "parallel_tool_calls": False}, ToolChoice("required", (), False)),
    ({"parallel_tool_calls": True}, ToolChoice("auto", (), True)),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, ToolChoice("required", ("f",))),
    (
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL, NOW]}}},
        ToolChoice("auto", ("f", "now")),
    ),
]


@pytest.mark.parametrize(("given", "meant"), CHOICES)
def test_tools(given: dict[str, object], meant: ToolChoice | None) -> None:
    asked = read(tools=[TOOL, NOW], **given)
    assert asked.tools == BOTH
    assert asked.tool_choice == meant


def test_functions_of_old() -> None:
    asked = read(
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}},
        {"role": "function", "name": "f", "content": "1"},
        functions=[TOOL["function"]],
        function_call={"name": "f"},
    )
    assert asked.turns[1:] == (
        Turn("assistant", (ToolUse("call_1", "f", '{"a":1}'),)),
        Turn("tool", (ToolResult("call_1", (Text("1"),), "f"),)),
    )
    assert asked.tools == BOTH[:1]
    assert asked.tool_choice == ToolChoice("required", ("f",), False)


FIELDS: list[tuple[dict[str, object], dict[str, object]]] = [
    ({}, {}),
    ({"max_tokens": 9}, {"max_tokens": 9}),
    ({"max_tokens": 9, "max_completion_tokens": 8}, {"max_tokens": 8}),
    ({"temperature": 0, "top_p": 1, "seed": 0}, {"temperature": 0.0, "top_p": 1.0, "seed": 0}),
    ({"top_k": 40, "min_p": 0.1, "repetition_penalty": 1.1}, {"top_k": 40, "min_p": 0.1, "repetition_penalty": 1.1}),
    ({"presence_penalty": 1, "frequency_penalty": -1}, {"presence_penalty": 1.0, "frequency_penalty": -1.0}),
    ({"stop": "a"}, {"stop": ("a",)}),
    ({"stop": ["a", "b"], "n": 2}, {"stop": ("a", "b"), "n": 2}),
    ({"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
    ({"logit_bias": {"1": -5}}, {"logit_bias": {"1": -5.0}}),
    ({"response_format": {"type": "json_object"}}, {"output": OutputFormat("json_object")}),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}},
        {"output": OutputFormat("json_schema", RAW_SCHEMA, "x", None, True)},
    ),
    ({"reasoning_effort": "high"}, {"reasoning": ReasoningOptions(effort="high")}),
    (
        {"reasoning": {"max_tokens": 9, "exclude": True, "enabled": True}},
        {"reasoning": ReasoningOptions(True, None, 9, None, False)},
    ),
    (
        {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}},
        {"modalities": ("text", "audio"), "audio": AudioOutput("alloy", "mp3")},
    ),
    (
        {"user": "ada", "store": False, "metadata": {"a": "b"}, "prompt_cache_key": None},
        {"hints": {"user": Raw(b'"ada"'), "store": Raw(b"false"), "metadata": Raw(b'{"a": "b"}')}},
    ),
    (
        {"store": True, "verbosity": "low", "x_new": [1]},
        {"extra": {"store": Raw(b"true"), "verbosity": Raw(b'"low"'), "x_new": Raw(b"[1]")}},
    ),
    # What asks for no more than leaving it out does.
    ({"n": 1, "presence_penalty": 0, "frequency_penalty": 0, "repetition_penalty": 1, "min_p": 0}, {}),
    ({"logprobs": False, "logit_bias": {}, "stop": [], "tools": [], "modalities": ["text"]}, {}),
    ({"response_format": {"type": "text"}, "tool_choice": "auto", "stream": True, "x_new": None}, {}),
]


@pytest.mark.parametrize(("given", "meant"), FIELDS)
def test_fields(given: dict[str, object], meant: dict[str, object]) -> None:
    assert read(**given) == Conversation(turns=(USER,), **meant)  # type: ignore[arg-type]


def say(role: str, *content: object, **fields: object) -> dict[str, object]:
    return {"messages": [{"role": role, "content": list(content) or None, **fields}]}


BAD: list[tuple[dict[str, object], str]] = [
    (say("user", {"type": "video_url", "video_url": {}}), "messages[0].content[0].type"),
    (say("user", {"type": "image_url", "image_url": {"url": "ftp://a"}}), "messages[0].content[0].image_url.url"),
    (say("user", {"type": "image_url", "image_url": {}}), "messages[0].content[0].image_url.url"),
    (say("user", {"type": "file", "file": {}}), "messages[0].content[0].file.file_data"),
    (
        say("user", {"type": "file", "file": {"file_data": "data:text/plain,a"}}),
        "messages[0].content[0].file.file_data",
    ),
    (say("system", {"type": "image_url", "image_url": {"url": PNG}}), "messages[0].content[0].type"),
    (say("user", {"type": "refusal", "refusal": "No."}), "messages[0].content[0].type"),
    (say("tool", {"type": "text", "text": "1"}), "messages[0].tool_call_id"),
    (say("assistant", tool_calls=[{"id": "c", "type": "custom"}]), "messages[0].tool_calls[0].custom"),
    (say("boss", {"type": "text", "text": "a"}), "messages[0].role"),
    ({"messages": HI, "tools": [{"type": "custom", "custom": {"description": "x"}}]}, "tools[0].custom"),
    ({"messages": HI, "tools": [TOOL], "tool_choice": {"type": "custom", "custom": {"name": "g"}}}, "tool_choice"),
    ({"messages": HI, "tool_choice": "required"}, "tool_choice"),
    (
        {"messages": HI, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice",
    ),
    ({"messages": HI, "tools": [TOOL], "functions": [{"name": "f"}]}, "functions"),
    ({"messages": HI, "functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call"),
    ({"messages": HI, "response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"messages": HI, "top_k": "a"}, "top_k"),
]


@pytest.mark.parametrize(("fields", "param"), BAD)
def test_a_bad_value_is_refused_by_the_name_of_its_field(fields: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        CHAT.conversation(call(**fields))
    assert caught.value.status == 400
    assert (caught.value.detail.param or "").endswith(param)
