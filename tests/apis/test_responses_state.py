"""Kept responses: how a request builds on them, whatever its target, and how they are read."""

import json

import msgspec
import pytest
from openai.types.responses import ResponseItemList

from weebill.apis.responses.api import RESPONSES
from weebill.apis.responses.state import (
    deleted,
    input_items_page,
    item_references,
    previous_id,
    response_not_found,
    stored_response,
    wants_storing,
    with_history,
    with_items,
)
from weebill.providers.base import Target
from weebill.providers.responses.relay import RESPONSES_RELAY
from weebill.wire.call import Call
from weebill.wire.conversation import Reasoning, Text, ToolResult, ToolUse, Turn
from weebill.wire.errors import ApiError
from weebill.wire.reply import Choice, Reply, Usage
from weebill.wire.responses_state import StoredResponse

HI = Turn("user", (Text("Hi"),))
THOUGHT = Reasoning("Hm.", "c2ln", origin="anthropic")
CALLED = ToolUse("c1", "f", "{}")
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "Sunny"}


def call(**fields: object) -> Call:
    return RESPONSES.decode(json.dumps({"model": "m", **fields}).encode(), {}, "")


def kept(asked: Call, *parts: object) -> StoredResponse:
    """What is kept once these parts have been said."""
    reply = Reply("", "m", (Choice(parts, "stop"),), Usage(), 1741476777)  # type: ignore[arg-type]
    return stored_response(asked, RESPONSES.answer(asked, reply))


FIRST = kept(call(input="Hi", instructions="Be brief."), THOUGHT, CALLED)


def test_what_is_kept() -> None:
    body = msgspec.json.decode(FIRST.body)
    assert (FIRST.id, FIRST.previous_id, FIRST.created_at) == (body["id"], None, 1741476777)
    [item] = msgspec.json.decode(FIRST.input)
    assert item.pop("id").startswith("msg_")
    assert item == {
        "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}], "status": "completed"
    }  # fmt: skip


def test_items_are_kept_as_they_came_but_for_ids() -> None:
    given = [
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}], "id": "msg_mine"},
        RESULT,
        {"type": "future", "a": [1]},
    ]
    items = msgspec.json.decode(kept(call(input=given)).input)
    ids = [item.pop("id") for item in items]
    assert [each.partition("_")[0] for each in ids] == ["msg", "msg", "fco", "item"]
    assert ids[1] == "msg_mine"
    said = {"type": "output_text", "text": "Yes", "annotations": [], "logprobs": []}
    assert items == [
        {"type": "message", "role": "assistant", "content": [said], "status": "completed"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}], "status": "completed"},
        {**RESULT, "status": "completed"},
        {"type": "future", "a": [1]},
    ]


def test_a_conversation_goes_on() -> None:
    asked = call(previous_response_id=FIRST.id, input=[RESULT])
    assert previous_id(asked) == FIRST.id
    continued = with_history(asked, [FIRST])
    assert previous_id(continued) is None
    turns = (HI, Turn("assistant", (THOUGHT, CALLED)), Turn("tool", (ToolResult("c1", (Text("Sunny"),)),)))
    assert RESPONSES.conversation(continued).turns == turns
    # The answer still says what it continues, and only what was new is kept of the request.
    second = kept(continued, Text("It is sunny."))
    assert second.previous_id == FIRST.id == msgspec.json.decode(second.body)["previous_response_id"]
    assert len(msgspec.json.decode(second.input)) == 1
    third = with_history(call(previous_response_id=second.id, input="And now?"), [FIRST, second])
    assert RESPONSES.conversation(third).turns == (
        *turns, Turn("assistant", (Text("It is sunny."),)), Turn("user", (Text("And now?"),))
    )  # fmt: skip


def test_nothing_need_be_added() -> None:
    continued = with_history(call(previous_response_id=FIRST.id), [FIRST])
    assert RESPONSES.conversation(continued).turns[0] == HI


def test_instructions_are_those_of_the_request_alone() -> None:
    continued = with_history(call(previous_response_id=FIRST.id, instructions="Be kind.", input="Hi"), [FIRST])
    assert [turn.parts for turn in RESPONSES.conversation(continued).turns if turn.role == "system"] == [
        (Text("Be kind."),)
    ]


def test_a_target_that_keeps_responses_itself_gets_all_of_it_too() -> None:
    own = kept(call(input="Hi"), Reasoning("Hm.", None, "gA==", "rs_1", "openai"), Text("Hello."))
    moved = kept(with_history(call(previous_response_id=own.id, input="Again"), [own]), THOUGHT, Text("Hello."))
    continued = with_history(call(previous_response_id=moved.id, input="More"), [own, moved])
    body = msgspec.json.decode(RESPONSES_RELAY.encode(continued, Target(model="m-up")).body)
    assert "previous_response_id" not in body
    assert body["store"] is False
    # Nothing is lost but the reasoning that another model signed.
    assert [(item["type"], item.get("role"), item.get("encrypted_content")) for item in body["input"]] == [
        ("message", "user", None), ("reasoning", None, "gA=="), ("message", "assistant", None),
        ("message", "user", None), ("message", "assistant", None), ("message", "user", None),
    ]  # fmt: skip


def test_a_response_that_is_not_kept() -> None:
    with pytest.raises(ApiError, match="resp_9") as caught:
        with_history(call(previous_response_id="resp_9"), [])
    assert (caught.value.status, caught.value.detail.code) == (400, "previous_response_not_found")


def test_errors_name_the_items_as_the_client_counts_them() -> None:
    odd = [{"role": "user", "content": [7]}]
    for given, param in (odd, "input[0].content[0]"), ("Hi", "previous_response_id.content[0]"):
        before = FIRST if given != "Hi" else kept(call(input=odd), Text("a"))
        with pytest.raises(ApiError) as caught:
            RESPONSES.conversation(with_history(call(previous_response_id=before.id, input=given), [before]))
        assert caught.value.detail.param == param


def reference(item_id: str) -> dict[str, str]:
    return {"type": "item_reference", "id": item_id}


def test_references_to_kept_items() -> None:
    [_, item] = msgspec.json.decode(FIRST.body)["output"]
    asked = call(input=[{"role": "user", "content": "Hi"}, reference(item["id"]), RESULT])
    assert item_references(asked) == (item["id"],)
    found = with_items(asked, {item["id"]: msgspec.json.encode(item)})
    assert item_references(found) == ()
    assert RESPONSES.conversation(found).turns[1] == Turn("assistant", (CALLED,))
    assert msgspec.json.decode(kept(found, Text("a")).input)[1] == item
    assert len(msgspec.json.decode(kept(asked, Text("a")).input)) == 2
    unknown = RESPONSES.conversation(with_items(asked, {}))
    assert [turn.role for turn in unknown.turns] == ["user", "tool"]
    assert unknown.extra.keys() == {"input.item_reference"}


def test_bare_strings_are_kept_as_items() -> None:
    stored = kept(call(input=["Hi"]), Text("a"))
    assert [item["content"] for item in msgspec.json.decode(stored.input)] == [[{"type": "input_text", "text": "Hi"}]]


def test_references_to_what_comes_before_anyway() -> None:
    [_, item] = msgspec.json.decode(FIRST.body)["output"]
    asked = call(previous_response_id=FIRST.id, input=[reference(item["id"]), reference("msg_9"), RESULT])
    continued = with_history(asked, [FIRST])
    assert item_references(continued) == ("msg_9",)
    message = b'{"role":"user","content":"More","id":"msg_9"}'
    turns = RESPONSES.conversation(with_items(continued, {"msg_9": message})).turns
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "tool"]


def test_an_input_without_references() -> None:
    assert item_references(call(input="Hi")) == ()
    with pytest.raises(ApiError) as caught:
        item_references(call(input=[7]))
    assert caught.value.detail.param == "input[0]"


def test_whether_it_is_to_be_kept() -> None:
    assert wants_storing(call(input="Hi"))
    assert wants_storing(call(input="Hi", store=True))
    assert not wants_storing(call(input="Hi", store=False))


def page(query: str, *stored: StoredResponse) -> tuple[list[str], bool]:
    body = input_items_page(stored, query)
    listed = ResponseItemList.model_validate_json(body)
    ids = [item["id"] for item in msgspec.json.decode(body)["data"]]
    assert (listed.first_id, listed.last_id) == ((ids[0], ids[-1]) if ids else ("", ""))
    return ids, listed.has_more


def test_input_items() -> None:
    many = kept(call(input=[{"role": "user", "content": str(at), "id": f"msg_{at:02}"} for at in range(30)]))
    ids = [f"msg_{at:02}" for at in range(30)]
    assert page("", many) == (ids[:9:-1], True)
    assert page("order=asc&limit=100", many) == (ids, False)
    assert page("order=asc&limit=5&after=msg_03", many) == (ids[4:9], True)
    assert page("after=msg_01&limit=5", many) == (["msg_00"], False)
    assert page("after=msg_00", many) == ([], False)
    after = kept(with_history(call(previous_response_id=many.id, input="Hi"), [many]))
    # The answer before is part of what went in, the own answer is not.
    assert page("order=asc&limit=100", many, after)[0][:30] == ids


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("order=up", "order"), ("after=x", "after")],
)
def test_what_is_wrong_with_a_query_is_named(query: str, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        input_items_page([FIRST], query)
    assert (caught.value.status, caught.value.detail.param) == (400, param)


def test_answers_about_what_is_kept() -> None:
    assert msgspec.json.decode(deleted("resp_1")) == {"id": "resp_1", "object": "response", "deleted": True}
    assert response_not_found("resp_1").status == 404
