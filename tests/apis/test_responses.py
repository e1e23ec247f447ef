"""Responses as an inbound API: what requests mean, and how whole answers are written."""

import json

import msgspec
import pytest
from msgspec import Raw
from openai.types.responses import Response

from weebill.apis.responses.api import RESPONSES
from weebill.wire.call import Call
from weebill.wire.conversation import (
    Audio,
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
from weebill.wire.reply import Choice, FinishReason, Reply, Usage

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


INVALID: list[tuple[dict[str, object], str, str]] = [
    ({"input": None}, "input", "missing_required_parameter"),
    ({"input": 7}, "input", "invalid_value"),
    ({"model": ""}, "model", "invalid_value"),
    ({"previous_response_id": "resp_1"}, "previous_response_id", "previous_response_not_found"),
    ({"max_output_tokens": 0}, "max_output_tokens", "invalid_value"),
    ({"text": {"format": {"type": "json_schema"}}}, "text.format.name", "missing_required_parameter"),
    ({"text": {"format": {"type": "json_schema", "name": "p"}}}, "text.format.schema", "invalid_value"),
    ({"tools": [OTHER, {"type": "function"}]}, "tools[1].name", "missing_required_parameter"),
    ({"tools": [{**OTHER, "parameters": []}]}, "tools[0].parameters", "invalid_value"),
    ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
    ({"tools": [OTHER], "tool_choice": {"type": "function", "name": "h"}}, "tool_choice", "invalid_value"),
    ({"drop_params": 1}, "drop_params", "invalid_value"),
    ({"input": [7]}, "input[0]", "invalid_value"),
    ({"input": user(7)}, "input[0].content[0]", "invalid_value"),  # type: ignore[arg-type]
    ({"temperature": "hot"}, "temperature", "invalid_value"),
    ({"reasoning": {"effort": 7}}, "reasoning.effort", "invalid_value"),
    ({"text": {"format": []}}, "text.format", "invalid_value"),
    ({"tools": [7]}, "tools[0]", "invalid_value"),
    ({"tools": [{"type": "custom"}]}, "tools[0].name", "missing_required_parameter"),
    (
        {"tools": [{"type": "namespace", "name": "n", "tools": [{}]}]},
        "tools[0].tools[0].name",
        "missing_required_parameter",
    ),
]


@pytest.mark.parametrize(("fields", "param", "code"), INVALID)
def test_what_is_wrong_is_named(fields: dict[str, object], param: str, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        conversation(**fields)
    assert (caught.value.status, caught.value.detail.param, caught.value.detail.code) == (400, param, code)


# What clients send that only some of them do -> the turns, and the names of what is passed over.
LOOSE: dict[str, tuple[list[object], tuple[Turn, ...], set[str]]] = {
    "no content": ([{"role": "user"}, {"role": "user", "content": None}, HI_ITEM], (HI,), set()),
    "empty content": ([{"role": "assistant", "content": given} for given in ("", [])] + [HI_ITEM], (HI,), set()),
    "null text": (user({"type": "input_text", "text": None}, {"type": "input_text", "text": "Hi"}), (HI,), set()),
    "null id and status": ([{**HI_ITEM, "id": None, "status": None}], (HI,), set()),
    "bare strings": (["Hi"], (HI,), set()),
    "a string among parts": ([{"role": "user", "content": ["Hi"]}], (HI,), set()),
    "an odd role": ([{**HI_ITEM, "role": "king"}], (HI,), {"input.role.king"}),
    "a phase": ([{**HI_ITEM, "phase": "commentary", "future": 1}], (HI,), {"input.phase", "input.future"}),
    "a part of another API": (user({"type": "text", "text": "Hi"}), (HI,), set()),
    "what a model says in a user's words": (user({"type": "output_text", "text": "Hi"}), (HI,), set()),
    "a part that is not known": (user({"type": "odd", "text": "Hi"}), (HI,), {"input.content.odd"}),
    "a part without words": (user({"type": "odd", "n": 1}, {"type": "input_text", "text": "Hi"}), (HI,),
                             {"input.content.odd", "input.content.n"}),
    "no image": (user({"type": "input_image"}, {"type": "input_text", "text": "Hi"}), (HI,),
                 {"input.content.input_image"}),
    "an image's address in an object": (
        user({"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}),
        (Turn("user", (Image(url="https://a.b/c.png"),)),), set(),
    ),
    "an image twice": (user(image(file_id=None)), (Turn("user", (Image(url="https://a.b/c.png"),)),), set()),
    "an odd detail": (user(image(detail="vast")), (Turn("user", (Image(url="https://a.b/c.png"),)),),
                      {"input.content.detail"}),
    "reasoning without anything": ([{"type": "reasoning"}, {"type": "reasoning", "summary": None, "content": None,
                                    "encrypted_content": None, "id": None}, HI_ITEM], (HI,), set()),
    "reasoning in a string": ([{"type": "reasoning", "summary": "Hm."}],
                              (Turn("assistant", (Reasoning("Hm.", origin="openai"),)),), set()),
    "a reference to what is not kept": ([{"type": "item_reference", "id": "msg_9"}, {"id": "msg_8"}, HI_ITEM], (HI,),
                                        {"input.item_reference"}),
    "an item that only openai has": ([{"type": "computer_call"}, HI_ITEM], (HI,), {"input.computer_call"}),
    "a hosted tool's words": (
        [{"type": "mcp_call", "name": "f", "output": "Sunny"}, HI_ITEM],
        (Turn("assistant", (Text("Sunny"),)), HI), {"input.mcp_call"},
    ),
    "an item that is not known": (
        [{"type": "agent_message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}], (HI,),
        {"input.agent_message"},
    ),
    "a call's arguments": (
        [{**CALL, "arguments": given} for given in ({"a": 1}, None, "", [1], "[1", 7)],
        (Turn("assistant", tuple(ToolUse("c1", "f", said) for said in ('{"a": 1}', "{}", "{}", "[1]", "[1", "7"))),),
        set(),
    ),
    "a call without a type": (
        [{"call_id": "c1", "name": "f", "arguments": "{}"}, {"call_id": "c1", "output": "a"}],
        (Turn("assistant", (ToolUse("c1", "f", "{}"),)), Turn("tool", (said_by("c1", "a"),))), set(),
    ),
    "a call without a name": ([{"type": "function_call", "call_id": "c"}, HI_ITEM], (HI,), {"input.function_call"}),
    "outputs": (
        [{**RESULT, "output": given}
         for given in (None, "", [], {"a": 1}, 7, [{"a": 1}], ["a"], [{"type": "text", "text": "a"}])],
        (Turn("tool", tuple(said_by("c1", text) for text in ("", "", "", '{"a": 1}', "7", '[{"a": 1}]', "a", "a"))),),
        set(),
    ),
    "an output that says how it went": (
        [{**RESULT, "output": {"content": "No", "success": False}}],
        (Turn("tool", (ToolResult("c1", (Text("No"),), None, True),)),), set(),
    ),
    "a sound from a tool": (
        [{**RESULT, "output": [{"type": "input_text", "text": "a"}, {"type": "input_audio", "input_audio":
                                                                     {"data": "QUJD", "format": "mp3"}}]}],
        (Turn("tool", (said_by("c1", "a"),)),), {"input.output"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOSE)
def test_what_clients_send_is_taken(name: str) -> None:
    given, turns, passed = LOOSE[name]
    asked = conversation(input=given)
    assert asked.turns == turns
    assert asked.extra.keys() == passed


def test_what_is_no_json() -> None:
    with pytest.raises(ApiError) as caught:
        RESPONSES.decode(b'{"model":', {}, "")
    assert caught.value.detail.code == "invalid_json"


def test_names_of_fields_are_this_apis() -> None:
    names = RESPONSES.fields()
    assert set(Conversation.__struct_fields__) <= set(names)
    assert (names["turns"], names["max_tokens"], names["output"]) == ("input", "max_output_tokens", "text.format")


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


def text(said: str, annotations: list[object] | None = None, logprobs: list[object] | None = None) -> dict[str, object]:
    return {"type": "output_text", "text": said, "annotations": annotations or [], "logprobs": logprobs or []}


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
