"""What is wrong in a request is named, and what clients send in fact is taken."""

import pytest

from tests.apis.test_responses import CALL, HI, HI_ITEM, OTHER, RESULT, conversation, image, said_by, user
from weebill.apis.responses.api import RESPONSES
from weebill.wire.conversation import (
    Conversation,
    Image,
    Reasoning,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.errors import ApiError

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
