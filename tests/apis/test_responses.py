"""Responses as an inbound API: what requests mean, and how whole answers are written."""

import json

import msgspec
import pytest
from msgspec import Raw

from weebill.apis.responses.api import RESPONSES
from weebill.wire.call import Call
from weebill.wire.conversation import (
    Audio,
    Citation,
    Conversation,
    Document,
    Image,
    OutputFormat,
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

HI = Turn("user", (Text("Hi"),))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"type": "function", "name": "f", "description": "F.", "parameters": SCHEMA, "strict": True}
FUNCTION_SAID = Tool("f", "F.", Raw(b'{"type": "object", "properties": {"city": {"type": "string"}}}'), True)
OTHER = {"type": "function", "name": "g"}
OTHER_SAID = Tool("g")
ANNOTATION = {"type": "url_citation", "url": "https://a.b", "title": "A", "start_index": 0, "end_index": 2}


def call(**fields: object) -> Call:
    return RESPONSES.decode(json.dumps({"model": "m", "input": "Hi", **fields}).encode(), {}, "")


def conversation(**fields: object) -> Conversation:
    return RESPONSES.conversation(call(**fields))


def user(*content: dict[str, object]) -> list[object]:
    return [{"role": "user", "content": list(content)}]


def image(url: str = "https://a.b/c.png", **more: object) -> dict[str, object]:
    return {"type": "input_image", "image_url": url, **more}


CALL = {
    "type": "function_call",
    "call_id": "c1",
    "name": "f",
    "arguments": '{"a":1}',
    "id": "fc_1",
    "status": "completed",
}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "Sunny"}


HI_ITEM = {"role": "user", "content": "Hi"}


def said_by(call_id: str, text: str) -> ToolResult:
    return ToolResult(call_id, (Text(text),))


def reasoning(text: str = "", **more: object) -> dict[str, object]:
    return {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": text}] if text else [],
        **more,
    }


INPUTS: dict[str, tuple[object, tuple[Turn, ...]]] = {
    "string": ("Hi", (HI,)),
    "easy": ([{"role": "user", "content": "Hi"}], (HI,)),
    "typed": ([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}], (HI,)),
    "roles": (
        [{"role": role, "content": "Hi"} for role in ("system", "developer", "user", "assistant")],
        tuple(Turn(role, (Text("Hi"),)) for role in ("system", "developer", "user", "assistant")),
    ),
    "users stay apart": ([{"role": "user", "content": "Hi"}] * 2, (HI, HI)),
    "image url": (user(image(detail="low")), (Turn("user", (Image(url="https://a.b/c.png", detail="low"),)),)),
    "image data": (
        user(image("data:image/png;base64,QUJD")), (Turn("user", (Image(data="QUJD", media_type="image/png"),)),)
    ),
    "image file": (user({"type": "input_image", "file_id": "f1"}), (Turn("user", (Image(file_id="f1"),)),)),
    "file data": (
        user({"type": "input_file", "file_data": "data:text/csv;base64,QUJD", "filename": "a.csv"}),
        (Turn("user", (Document(data="QUJD", media_type="text/csv", name="a.csv"),)),),
    ),
    "file data bare": (
        user({"type": "input_file", "file_data": "QUJD", "filename": "a.pdf"}),
        (Turn("user", (Document(data="QUJD", media_type="application/pdf", name="a.pdf"),)),),
    ),
    "file url": (
        user({"type": "input_file", "file_url": "https://a.b/c"}), (Turn("user", (Document(url="https://a.b/c"),)),)
    ),
    "file id": (user({"type": "input_file", "file_id": "f1"}), (Turn("user", (Document(file_id="f1"),)),)),
    "audio": (
        user({"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}}),
        (Turn("user", (Audio("QUJD", "mp3"),)),),
    ),
    "cache": (
        user(
            {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "input_text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
        ),
        (Turn("user", (Text("a", "5m"), Text("b", "1h"))),),
    ),
    "output message": (
        [
            {
                "type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
                "content": [{"type": "output_text", "text": "No"}, {"type": "refusal", "refusal": "!"}],
            }
        ],
        (Turn("assistant", (Text("No"), Refusal("!"))),),
    ),
    "a model's items are one turn, and results": (
        [
            {"role": "assistant", "content": "Look"}, CALL, {**CALL, "call_id": "c2", "arguments": ""}, RESULT,
            {**RESULT, "call_id": "c2", "output": [{"type": "input_text", "text": "Seen"}, image()]},
            {"role": "user", "content": "Hi"},
        ],
        (
            Turn("assistant", (Text("Look"), ToolUse("c1", "f", '{"a":1}'), ToolUse("c2", "f", "{}"))),
            Turn(
                "tool",
                (
                    ToolResult("c1", (Text("Sunny"),)),
                    ToolResult("c2", (Text("Seen"), Image(url="https://a.b/c.png"))),
                ),
            ),
            HI,
        ),
    ),
    "reasoning": (
        [reasoning("Hm.", encrypted_content="gA=="), CALL],
        (Turn("assistant", (Reasoning("Hm.", None, "gA==", "rs_1", "openai"), ToolUse("c1", "f", '{"a":1}'))),),
    ),
    "reasoning plain": ([reasoning("Hm.")], (Turn("assistant", (Reasoning("Hm.", id="rs_1", origin="openai"),)),)),
    "reasoning open": (
        [reasoning(content=[{"type": "reasoning_text", "text": "Hm."}])],
        (Turn("assistant", (Reasoning("Hm.", id="rs_1", origin="openai"),)),),
    ),
    "reasoning empty": ([reasoning(), {"role": "user", "content": "Hi"}], (HI,)),
    "reasoning signed": (
        [reasoning("Hm.", encrypted_content="weebill:anthropic:c2ln")],
        (Turn("assistant", (Reasoning("Hm.", "c2ln", origin="anthropic"),)),),
    ),
    "reasoning redacted": (
        [reasoning(encrypted_content="weebill:anthropic.encrypted:c2:ln")],
        (Turn("assistant", (Reasoning("", None, "c2:ln", origin="anthropic"),)),),
    ),
    "a call's signature": (
        [reasoning(encrypted_content="weebill:gemini.tool:c2ln"), CALL, {**CALL, "call_id": "c2"}],
        (
            Turn(
                "assistant",
                (ToolUse("c1", "f", '{"a":1}', "c2ln", "gemini"), ToolUse("c2", "f", '{"a":1}')),
            ),
        ),
    ),
    "a generated image": (
        [{"type": "image_generation_call", "id": "ig_1", "result": "QUJD", "output_format": "webp"}],
        (Turn("assistant", (Image(data="QUJD", media_type="image/webp"),)),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_input(name: str) -> None:
    given, turns = INPUTS[name]
    assert conversation(input=given).turns == turns


def test_annotations_become_citations() -> None:
    content = [{"type": "output_text", "text": "Hi", "annotations": [ANNOTATION, {"type": "odd", "url": 7}]}]
    [turn] = conversation(input=[{"role": "assistant", "content": content}]).turns
    first = Citation("https://a.b", "A", None, 0, 2, "openai", Raw(json.dumps(ANNOTATION).encode()))
    odd = Citation(origin="openai", raw=Raw(b'{"type": "odd", "url": 7}'))
    assert turn.parts == (Text("Hi", citations=(first, odd)),)


def test_instructions_come_first() -> None:
    assert conversation(instructions="Be brief.").turns == (Turn("system", (Text("Be brief."),)), HI)


# What else a request may hold -> what of the conversation differs from one of "Hi" alone.
FIELDS: list[tuple[dict[str, object], dict[str, object]]] = [
    ({}, {}),
    ({"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 20}, {"temperature": 0.5, "top_p": 0.9, "max_tokens": 20}),
    ({"tools": [FUNCTION, OTHER]}, {"tools": (FUNCTION_SAID, OTHER_SAID)}),
    (
        {"tools": [OTHER], "tool_choice": "required", "parallel_tool_calls": False},
        {"tools": (OTHER_SAID,), "tool_choice": ToolChoice("required", (), False)},
    ),
    ({"tools": [OTHER], "tool_choice": "none"}, {"tools": (OTHER_SAID,), "tool_choice": ToolChoice("none")}),
    (
        {"tools": [OTHER], "tool_choice": {"type": "function", "name": "g"}},
        {"tools": (OTHER_SAID,), "tool_choice": ToolChoice("required", ("g",))},
    ),
    (
        {
            "tools": [FUNCTION, OTHER],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]},
        },
        {"tools": (FUNCTION_SAID, OTHER_SAID), "tool_choice": ToolChoice("auto", ("g",))},
    ),
    ({"tool_choice": "auto", "parallel_tool_calls": True, "tools": []}, {}),
    (
        {"tools": [{"type": "web_search"}, OTHER], "tool_choice": {"type": "web_search"}},
        {
            "tools": (OTHER_SAID,),
            "extra": {"tools[0]": Raw(b'{"type": "web_search"}'), "tool_choice": Raw(b'{"type": "web_search"}')},
        },
    ),
    ({"tools": [{"name": "g"}, {"name": "f", "type": None, "parameters": None}]}, {"tools": (OTHER_SAID, Tool("f"))}),
    ({"tools": [OTHER], "tool_choice": "any"}, {"tools": (OTHER_SAID,), "tool_choice": ToolChoice("required")}),
    (
        {"tools": [OTHER], "tool_choice": {"type": "any"}},
        {"tools": (OTHER_SAID,), "tool_choice": ToolChoice("required")},
    ),
    (
        {"tools": [OTHER], "tool_choice": "sometimes"},
        {"tools": (OTHER_SAID,), "extra": {"tool_choice": Raw(b'"sometimes"')}},
    ),
    (
        {"tools": [{"type": "web_search"}], "tool_choice": "required"},
        {"extra": {"tools[0]": Raw(b'{"type": "web_search"}'), "tool_choice": Raw(b'"required"')}},
    ),
    (
        {
            "tools": [OTHER, {"type": "mcp"}],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "s"}]},
        },
        {
            "tools": (OTHER_SAID,),
            "tool_choice": ToolChoice("none"),
            "extra": {
                "tools[1]": Raw(b'{"type": "mcp"}'),
                "tool_choice.tools": Raw(
                    b'{"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "s"}]}'
                ),
            },
        },
    ),
    (
        {"tools": [{**OTHER, "defer_loading": True, "output_schema": None}, {**FUNCTION, "defer_loading": False}]},
        {"tools": (OTHER_SAID, FUNCTION_SAID), "extra": {"tools.defer_loading": Raw(b"true")}},
    ),
    ({"temperature": 3, "top_logprobs": 21}, {"temperature": 3, "top_logprobs": 21, "logprobs": True}),
    ({"truncation": "some"}, {"extra": {"truncation": Raw(b'"some"')}}),
    ({"metadata": {"a": 1}}, {"hints": {"metadata": Raw(b'{"a": 1}')}}),
    ({"client_metadata": {"a": {}}}, {"extra": {"client_metadata": Raw(b'{"a": {}}')}}),
    ({"reasoning": {"effort": "vast"}}, {"extra": {"reasoning.effort": Raw(b'"vast"')}}),
    (
        {"reasoning": {"effort": "vast", "summary": "odd"}},
        {"extra": {"reasoning.effort": Raw(b'"vast"')}, "reasoning": ReasoningOptions(summary="odd")},
    ),
    ({"text": {"verbosity": "vast", "tone": 1}}, {"extra": {"verbosity": Raw(b'"vast"'), "text.tone": Raw(b"1")}}),
    ({"text": {"format": {"type": "xml"}}}, {"extra": {"output": Raw(b'{"type": "xml"}')}}),
    ({"text": {"format": {}}}, {}),
    ({"text": {"format": {"type": "text"}, "verbosity": "medium"}}, {}),
    ({"text": {"verbosity": "low"}}, {"extra": {"verbosity": Raw(b'"low"')}}),
    ({"text": {"format": {"type": "json_object"}}}, {"output": OutputFormat("json_object")}),
    (
        {"text": {"format": {"type": "json_schema", "name": "p", "schema": {"a": 1}, "strict": True,
                             "description": "P"}}},
        {"output": OutputFormat("json_schema", Raw(b'{"a": 1}'), "p", "P", True)},
    ),
    (
        {"reasoning": {"effort": "high", "summary": "auto"}},
        {"reasoning": ReasoningOptions(effort="high", summary="auto")},
    ),
    ({"reasoning": {"generate_summary": "concise"}}, {"reasoning": ReasoningOptions(summary="concise")}),
    ({"reasoning": {"effort": "none"}}, {"reasoning": ReasoningOptions(enabled=False, effort="none")}),
    ({"reasoning": {"effort": None, "context": "auto"}}, {}),
    ({"reasoning": {"context": "all_turns"}}, {"extra": {"reasoning.context": Raw(b'"all_turns"')}}),
    ({"include": ["reasoning.encrypted_content", "web_search_call.action.sources"]}, {}),
    ({"include": ["message.output_text.logprobs"], "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
    ({"top_logprobs": 0}, {}),
    ({"include": ["something.new"]}, {"extra": {"include": Raw(b'["something.new"]')}}),
    ({"truncation": "disabled", "store": True, "stream": True, "background": False, "max_tool_calls": None}, {}),
    ({"max_tool_calls": 3}, {"extra": {"max_tool_calls": Raw(b"3")}}),
    ({"stream_options": {"include_obfuscation": False}, "conversation": None, "previous_response_id": None}, {}),
    ({"truncation": "auto"}, {"extra": {"truncation": Raw(b'"auto"')}}),
    ({"prompt": {"id": "p"}}, {"extra": {"prompt": Raw(b'{"id": "p"}')}}),
    ({"background": True}, {"extra": {"background": Raw(b"true")}}),
    ({"conversation": "conv_1"}, {"extra": {"conversation": Raw(b'"conv_1"')}}),
    ({"conversation": {"id": "c"}}, {"extra": {"conversation": Raw(b'{"id": "c"}')}}),
    ({"future": 1, "nothing": None}, {"extra": {"future": Raw(b"1")}}),
    (
        {"user": "u", "metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k",
         "safety_identifier": "s"},
        {
            "hints": {
                "user": Raw(b'"u"'), "metadata": Raw(b'{"a": "b"}'), "service_tier": Raw(b'"flex"'),
                "prompt_cache_key": Raw(b'"k"'), "safety_identifier": Raw(b'"s"'),
            }
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "said"), FIELDS)
def test_fields(fields: dict[str, object], said: dict[str, object]) -> None:
    assert conversation(**fields) == msgspec.structs.replace(Conversation(turns=(HI,)), **said)


def test_what_a_call_is() -> None:
    asked = call(stream=True, drop_params=True)
    assert (asked.model, asked.stream, asked.drop_params, asked.wants_usage) == ("m", True, True, True)
    assert "drop_params" not in asked.fields


def text(said: str, annotations: list[object] | None = None, logprobs: list[object] | None = None) -> dict[str, object]:
    return {"type": "output_text", "text": said, "annotations": annotations or [], "logprobs": logprobs or []}
