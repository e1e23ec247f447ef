"""Requests of Anthropic's API to itself: what is mended of a history, and what the traits of a model change."""

import json

import pytest

from tests.providers.test_anthropic_relay import call
from weebill.catalog.traits import traits_of
from weebill.providers.anthropic.relay import ANTHROPIC_RELAY
from weebill.providers.base import Target
from weebill.wire.call import Call
from weebill.wire.errors import ApiError

Json = dict[str, object]
OPUS, HAIKU, OLD = "claude-opus-4-7", "claude-haiku-4-5", "claude-3-haiku-20240307"
USER = {"role": "user", "content": "Hi."}
HO = {"type": "text", "text": "Ho."}


def sent(asked: Call, model: str = HAIKU, **target: object) -> tuple[Json, tuple[str, ...]]:
    """The body, and what was passed over."""
    known = Target(model=model, provider="anthropic", traits=traits_of(model), **target)  # type: ignore[arg-type]
    request = ANTHROPIC_RELAY.encode(asked, known)
    return json.loads(request.body), request.dropped


def said(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def thought(signature: object = None, text: str = "Hm.") -> Json:
    return {"type": "thinking", "thinking": text, **({} if signature is None else {"signature": signature})}


def result(**content: object) -> Json:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", **content}]}


def photo(media_type: str, **more: object) -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": "{AA=", **more}}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([USER, said(thought(), HO), USER], [USER, said(HO), USER]),
        ([USER, said(thought(""), HO), USER], [USER, said(HO), USER]),
        ([USER, said(thought("s"), HO), USER], None),
        ([USER, said(thought("weebill:gemini:s"), HO), USER], [USER, said(HO), USER]),
        ([USER, said(thought("weebill:kimi:s"), HO), USER], [USER, said(HO), USER]),
        ([USER, said(thought("weebill:anthropic:s"), HO), USER], [USER, said(thought("s"), HO), USER]),
        ([USER, said({"type": "redacted_thinking", "data": "weebill:openai:d"}, HO), USER], [USER, said(HO), USER]),
        ([USER, said({"type": "redacted_thinking", "data": "d"}, HO), USER], None),
        ([USER, said({"type": "text", "text": " \n"}, HO), USER], [USER, said(HO), USER]),
        ([USER, said({"type": "text", "text": None}, HO), USER], [USER, said(HO), USER]),
        ([USER, said({"type": "text", "text": ""}), USER], [USER, USER]),
        ([USER, {"role": "assistant", "content": ""}, USER], [USER, USER]),
        ([USER, {"role": "assistant", "content": None}, USER], [USER, USER]),
        ([USER, {"role": "assistant", "content": []}, USER], [USER, USER]),
        ([USER, {"role": "assistant", "content": "Ho. \n"}], [USER, {"role": "assistant", "content": "Ho."}]),
        ([USER, said({"type": "text", "text": "Ho.\t"})], [USER, said(HO)]),
        ([USER, {"content": "Ho. ", "role": "assistant"}], [USER, {"content": "Ho.", "role": "assistant"}]),
        ([USER, {"role": "assistant", "content": "Ho. "}, USER], None),
        ([result(content=None)], [result()]),
        ([result(content=[{"type": "text", "text": ""}])], [result()]),
        ([result(content=[{"type": "text", "text": " "}, HO])], [result(content=[HO])]),
        ([result(content="")], None),
        ([USER, said({"type": "tool_use", "id": "a", "name": "f", "input": {"text": "", "content": []}}), USER], None),
        ([{"role": "user", "content": [{"type": "novelty", "text": "", "x": 1.0}]}], None),
        ([{"role": "user", "content": ""}], None),
        ([result(content=[photo("image/jpg")])], [result(content=[photo("image/jpeg")])]),
        ([{"role": "user", "content": [photo("IMAGE/PNG"), photo("image/png"), photo("Image/JPG; name=a.jpg", b=1)]}],
         [{"role": "user", "content": [photo("image/png"), photo("image/png"), photo("image/jpeg", b=1)]}]),
        ([USER, said({"type": "tool_use", "id": "a", "name": "f", "input": {"media_type": "image/jpg"}}), USER], None),
    ],
)  # fmt: skip
def test_a_history_is_mended_where_it_must_be(messages: list[Json], expected: list[Json] | None) -> None:
    assert sent(call(messages=messages))[0]["messages"] == (messages if expected is None else expected)


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ([{"type": "text", "text": ""}, HO], [HO]),
        ([HO, {"type": "text", "text": " \n", "cache_control": {"type": "ephemeral"}}], [HO]),
        ([{"type": "text", "text": None}], None),
        ([{"type": "novelty", "text": ""}, HO], [{"type": "novelty", "text": ""}, HO]),
        ([HO], [HO]),
        ("", ""),
    ],
)
def test_a_system_prompt_has_no_blocks_of_nothing(system: object, expected: object) -> None:
    assert sent(call(messages=[USER], system=system))[0].get("system") == expected


def test_what_needs_no_mending_stays_byte_for_byte() -> None:
    asked = call(messages=[USER, said(thought("s"), {**HO, "x": 1.0, "cache_control": {"type": "ephemeral", "y": 1}})])
    request = ANTHROPIC_RELAY.encode(asked, Target(model=HAIKU, traits=traits_of(HAIKU)))
    assert bytes(asked.fields["messages"]) in request.body


def test_unsigned_thinking_goes_to_models_that_sign_none() -> None:
    messages = [USER, said(thought(), HO), USER]
    assert sent(call(messages=messages), "kimi-k2")[0]["messages"] == messages


ENABLED = {"type": "enabled", "budget_tokens": 4000}
SONNET = "claude-sonnet-4-5"
ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "fields", "expected", "dropped"),
    [
        (OPUS, {"temperature": 0.5, "top_p": 0.9, "top_k": 5}, {}, ("temperature", "top_p", "top_k")),
        (OPUS, {"temperature": 1}, {}, ()),
        (HAIKU, {"temperature": 0.5, "top_p": 0.9, "top_k": 5}, {"temperature": 0.5, "top_k": 5}, ("top_p",)),
        (HAIKU, {"temperature": 1.7}, {"temperature": 1.7}, ()),
        (OPUS, {"thinking": {**ENABLED, "foo": 1}},
         {"thinking": {"type": "adaptive", "foo": 1}, "output_config": {"effort": "low"}}, ("thinking.budget_tokens",)),
        (OPUS, {"thinking": ENABLED, "output_config": {"effort": "max", "x": 1}},
         {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max", "x": 1}}, ("thinking.budget_tokens",)),
        (OPUS, {"thinking": ADAPTIVE}, {"thinking": ADAPTIVE}, ()),
        ("claude-opus-4-6", {"thinking": ENABLED}, {"thinking": ENABLED}, ()),
        (HAIKU, {"thinking": ADAPTIVE, "output_config": {"effort": "high", "task_budget": {"total": 9}}},
         {"thinking": {"type": "enabled", "budget_tokens": 16384, "display": "summarized"},
          "output_config": {"task_budget": {"total": 9}}}, ("thinking.type", "output_config.effort")),
        (HAIKU, {"thinking": {"type": "enabled", "budget_tokens": 500}},
         {"thinking": {"type": "enabled", "budget_tokens": 1024}}, ("thinking.budget_tokens",)),
        (HAIKU, {"thinking": {"type": "brand_new", "x": 1}}, {"thinking": {"type": "brand_new", "x": 1}}, ()),
        (OPUS, {"output_config": {"effort": "ultra"}}, {"output_config": {"effort": "ultra"}}, ()),
        ("claude-opus-4-6", {"output_config": {"effort": "xhigh"}}, {"output_config": {"effort": "high"}},
         ("output_config.effort",)),
        (SONNET, {"thinking": ENABLED, "temperature": 0.5}, {"thinking": ENABLED}, ("temperature",)),
        (SONNET, {"thinking": ENABLED, "top_k": 5, "top_p": 0.96}, {"thinking": ENABLED, "top_p": 0.96}, ("top_k",)),
        (SONNET, {"thinking": ENABLED, "top_p": 0.5, "temperature": None},
         {"thinking": ENABLED, "temperature": None}, ("top_p",)),
        (SONNET, {"thinking": ENABLED, "temperature": 1, "tool_choice": {"type": "auto"}},
         {"thinking": ENABLED, "temperature": 1, "tool_choice": {"type": "auto"}}, ()),
        (SONNET, {"thinking": ENABLED, "tool_choice": {"type": "any"}}, {"tool_choice": {"type": "any"}},
         ("thinking",)),
        (SONNET, {"thinking": ENABLED, "temperature": 0.5, "tool_choice": {"type": "tool", "name": "f"}},
         {"temperature": 0.5, "tool_choice": {"type": "tool", "name": "f"}}, ("thinking",)),
        (OLD, {"thinking": ENABLED, "output_config": {"effort": "low"}}, {}, ("thinking", "output_config.effort")),
        (OLD, {"thinking": {"type": "disabled"}}, {}, ()),
        ("kimi-k2", {"thinking": ENABLED, "temperature": 2, "output_config": {"effort": "x"}},
         {"thinking": ENABLED, "temperature": 2, "output_config": {"effort": "x"}}, ()),
    ],
)  # fmt: skip
def test_fields_as_the_model_takes_them(model: str, fields: Json, expected: Json, dropped: tuple[str, ...]) -> None:
    body, passed_over = sent(call(max_tokens=30_000, **fields), model)
    rest = {name: value for name, value in body.items() if name not in ("model", "max_tokens", "messages")}
    assert (rest, passed_over) == (expected, dropped)


def test_a_limit_is_bounded_and_leaves_room_for_a_budget() -> None:
    asked = call(max_tokens=32_000, thinking={"type": "enabled", "budget_tokens": 31_999})
    body, dropped = sent(asked, max_output_tokens=8192)
    assert (body["max_tokens"], body["thinking"]) == (8192, {"type": "enabled", "budget_tokens": 8191})
    assert dropped == ("max_tokens", "thinking.budget_tokens")
    assert sent(call(max_tokens=32_000), OLD, max_output_tokens=4096)[0]["max_tokens"] == 4096


def test_thinking_that_has_no_room_is_left_out() -> None:
    body, dropped = sent(call(max_tokens=500, thinking={"type": "adaptive"}))
    assert "thinking" not in body
    assert dropped == ("thinking",)


CALL = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
RESULT = result(content="1")
MORE = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}, HO]}
CLEAR = {"type": "clear_thinking_20251015", "keep": "all"}
OTHER_EDIT = {"type": "clear_tool_uses_20250919"}


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        ([USER, said(thought(), CALL), RESULT], False),
        ([USER, said(thought(""), CALL), RESULT], False),
        ([USER, said(thought("weebill:gemini:s"), CALL), MORE], False),
        ([USER, said({"type": "redacted_thinking", "data": "weebill:openai:d"}, CALL), RESULT], False),
        ([USER, said(CALL), RESULT], False),
        ([USER, said(CALL), RESULT, said(thought("s"), CALL), RESULT], False),
        ([USER, said(thought("s"), CALL), RESULT, said(HO), USER, said(HO, CALL), RESULT], False),
        ([USER, said(thought("s"), CALL), RESULT], True),
        ([USER, said(thought("weebill:anthropic:s"), CALL), RESULT], True),
        ([USER, said({"type": "redacted_thinking", "data": "d"}, CALL), MORE], True),
        ([USER, said(thought("s"), CALL), RESULT, said(CALL), RESULT], True),
        ([USER, said(thought("s")), said(CALL), RESULT, said(CALL), RESULT], True),
        ([USER, said(thought(), CALL), RESULT, said(HO), USER], True),
        ([USER, said(thought(), HO), USER], True),
        ([RESULT], True),
    ],
)
def test_a_budget_gives_way_to_tools_that_were_called_without_thinking(messages: list[Json], thinks: bool) -> None:
    managed = {"edits": [CLEAR, OTHER_EDIT], "x": 1}
    asked = call(messages=messages, max_tokens=9000, thinking=ENABLED, context_management=managed)
    body, dropped = sent(asked)
    assert (body.get("thinking"), dropped) == ((ENABLED, ()) if thinks else (None, ("thinking",)))
    assert body["context_management"] == (managed if thinks else {"edits": [OTHER_EDIT], "x": 1})


@pytest.mark.parametrize(("model", "thinking"), [(OPUS, ADAPTIVE), ("kimi-k2", ENABLED), (HAIKU, {"type": "disabled"})])
def test_what_goes_with_any_history_stays(model: str, thinking: Json) -> None:
    asked = call(messages=[USER, said(CALL), RESULT], max_tokens=9000, thinking=thinking)
    assert sent(asked, model)[0]["thinking"] == thinking


def test_edits_of_thinking_alone_go_with_it() -> None:
    asked = call(thinking=ENABLED, context_management={"edits": [CLEAR]})
    assert "context_management" not in sent(asked, OLD)[0]


def test_a_hint_is_refused_where_that_is_asked_for() -> None:
    with pytest.raises(ApiError) as raised:
        sent(call(temperature=0.5), OPUS, on_unsupported="refuse")
    assert (raised.value.status, raised.value.detail.param) == (400, "temperature")
