"""Histories that are passed through, with what clients replay and strict providers refuse."""

import json
from typing import Any

import pytest

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.gemini.api import GEMINI
from weebill.apis.responses.api import RESPONSES
from weebill.catalog.load import load
from weebill.gateway.translation import translator
from weebill.providers.base import Target
from weebill.providers.openai.history import is_talk
from weebill.providers.replayed import Results
from weebill.wire.errors import ApiError

HI = {"role": "user", "content": "hi"}
CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
]}  # fmt: skip
A, B = ({"role": "tool", "tool_call_id": name, "content": name} for name in "ab")
SAID = {"role": "assistant", "content": "ok"}


def gemini(role: str, *parts: object) -> dict[str, object]:
    return {"role": role, "parts": list(parts)}


def response(name: str, **more: object) -> dict[str, object]:
    return {"functionResponse": {"id": name, "name": "f", "response": {"output": name}, **more}}


ASKED = gemini("user", {"text": "hi"})
CALLED = gemini(
    "model", *({"functionCall": {"id": name, "name": "f", "args": {}}, "thoughtSignature": "c2ln"} for name in "ab")
)
CHATS: list[tuple[list[Any], list[Any], list[str]]] = [
    ([HI, CALL, A, B, A, SAID, HI], [HI, CALL, A, B, SAID, HI], ["messages[4]"]),
    (
        [HI, CALL, A, B, SAID, A, {**B, "content": "other"}, HI],
        [HI, CALL, A, B, SAID, HI],
        ["messages[5]", "messages[6]"],
    ),
    ([HI, CALL, A, B, CALL, A, B, HI], [HI, CALL, A, B, CALL, A, B, HI], []),
    ([HI, A, A, HI], [HI, A, A, HI], []),
    ([HI, {**SAID, "parsed": {"x": 1}}, HI], [HI, SAID, HI], []),
    ([HI, {**SAID, "parsed": None}, CALL, A, B, B], [HI, SAID, CALL, A, B], ["messages[5]"]),
]
GEMINIS: list[tuple[list[Any], list[Any], list[str]]] = [
    (
        [ASKED, CALLED, gemini("user", response("a"), response("b"), response("a")), ASKED],
        [ASKED, CALLED, gemini("user", response("a"), response("b")), ASKED],
        ["contents[2].parts[2].functionResponse"],
    ),
    (
        [ASKED, CALLED, gemini("user", response("a"), response("b")), gemini("user", response("b"))],
        [ASKED, CALLED, gemini("user", response("a"), response("b"))],
        ["contents[3].parts[0].functionResponse"],
    ),
    (
        [ASKED, *[CALLED, gemini("user", response("a"), response("b"))] * 2],
        [ASKED, *[CALLED, gemini("user", response("a"), response("b"))] * 2],
        [],
    ),
    (
        [ASKED, CALLED, gemini("user", *[{"functionResponse": {"name": "f", "response": {}}}] * 2)],
        [ASKED, CALLED, gemini("user", *[{"functionResponse": {"name": "f", "response": {}}}] * 2)],
        [],
    ),
]
USED = {"role": "assistant", "content": [{"type": "tool_use", "id": name, "name": "f", "input": {}} for name in "ab"]}
R, S = ({"type": "tool_result", "tool_use_id": name, "content": name} for name in "ab")
NEXT = {"type": "text", "text": "go on"}


def user(*blocks: object) -> dict[str, object]:
    return {"role": "user", "content": list(blocks)}


ANTHROPICS: list[tuple[list[Any], list[Any], list[str]]] = [
    ([HI, USED, user(R, S, R, NEXT)], [HI, USED, user(R, S, NEXT)], ["messages[2].content[2]"]),
    (
        [HI, USED, user(R, S), SAID, user(R, {**S, "content": "other"}), HI],
        [HI, USED, user(R, S), SAID, HI],
        ["messages[4].content[0]", "messages[4].content[1]"],
    ),
    ([HI, *[USED, user(R, S)] * 2], [HI, *[USED, user(R, S)] * 2], []),
    ([HI, user(R, R)], [HI, user(R, R)], []),
]
ROWS = [
    *[(ANTHROPIC, "messages", "anthropic", *row) for row in ANTHROPICS],
    *[(CHAT, "messages", "openai", *row) for row in CHATS],
    *[(GEMINI, "contents", dialect, *row) for dialect in ("gemini", "vertex") for row in GEMINIS],
]


@pytest.mark.parametrize(("api", "field", "dialect", "given", "sent", "dropped"), ROWS)
def test_a_result_is_passed_on_once_and_the_other_is_named(
    api: Api, field: str, dialect: str, given: list[Any], sent: list[Any], dropped: list[str]
) -> None:
    body = {field: given} if api is GEMINI else {"model": "m", "max_tokens": 9, field: given}
    call = api.decode(json.dumps(body).encode(), {}, "m:generateContent")
    target = Target(model="m", provider=dialect, options={"project": "p", "location": "l"})
    request = translator(api, dialect, frozenset({dialect})).encode(call, target)
    assert json.loads(request.body)[field] == sent
    assert list(request.dropped) == dropped


def test_or_refused_where_the_caller_wants_that() -> None:
    body = {"model": "m", "messages": [HI, CALL, A, B, B, HI], "provider": {"on_unsupported": "refuse"}}
    call = CHAT.decode(json.dumps(body).encode(), {}, "")
    target = Target(model="m", provider="openai", on_unsupported="refuse")
    with pytest.raises(ApiError, match="twice"):
        translator(CHAT, "openai", frozenset({"openai"})).encode(call, target)


@pytest.mark.parametrize("provider", ["groq", "cerebras"])
@pytest.mark.parametrize("api", ["chat", "anthropic"])
def test_reasoning_goes_where_the_provider_takes_it(provider: str, api: str) -> None:
    """Both answer `reasoning_content` with 400, as https://github.com/QwenLM/qwen-code/issues/11045 has it."""
    thought = {"role": "assistant", "content": "ok", "reasoning_content": "Hm.", "reasoning": "Hm."}
    body: dict[str, Any] = {"model": "m", "messages": [HI, thought, HI], "store": True}
    if api == "anthropic":
        blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "ok"}]
        body = {"model": "m", "max_tokens": 9, "messages": [HI, {"role": "assistant", "content": blocks}, HI]}
    inbound: Api = CHAT if api == "chat" else ANTHROPIC
    call = inbound.decode(json.dumps(body).encode(), {}, "")
    quirks = load().providers[provider].quirks
    target = Target(model="m", provider=provider, quirks=quirks)
    request = json.loads(translator(inbound, "openai", frozenset({"openai"})).encode(call, target).body)
    assert not {"reasoning_content", "reasoning_details"} & set(request["messages"][1])
    if api == "chat":
        assert request["messages"][1]["reasoning"] == "Hm."
    assert ("store" in request) == (provider == "groq" and api == "chat")


@pytest.mark.parametrize("kind", ["function_call", "custom_tool_call"])
@pytest.mark.parametrize("stored", [True, False])
def test_of_responses_too_where_they_are_looked_into(kind: str, stored: bool) -> None:
    """That is where something is stored or reasoned; all others go as they are."""
    call, output = (
        {"type": kind, "call_id": "a", "name": "f"},
        {"type": f"{kind}_output", "call_id": "a", "output": "x"},
    )
    thought = {"type": "reasoning", "summary": [], "encrypted_content": "weebill:openai-responses.encrypted:x"}
    said = {"type": "message", "role": "user", "content": "hi"}
    items = [said, *([] if stored else [thought]), call, output, output, said, call, output]
    request = RESPONSES.decode(json.dumps({"model": "m", "input": items, "store": stored}).encode(), {}, "")
    target = Target(model="m", provider="openai-responses")
    sent = translator(RESPONSES, "openai-responses", frozenset({"openai-responses"})).encode(request, target)
    kept = [item for item in json.loads(sent.body)["input"] if item["type"] != "reasoning"]
    assert kept == [said, call, output, said, call, output]
    assert f"input.{kind}_output" in sent.dropped


@pytest.mark.parametrize("identity", ["c1", ""])
def test_results_of_calls_that_share_an_id_are_all_genuine(identity: str) -> None:
    told = Results()
    for _ in range(2):
        assert not told.come_again(identity, is_call=True)
    assert [told.come_again(identity, is_call=False) for _ in range(3)] == [False, False, True]


TALK = b'[{"role":"user","content":"Hi"},{"role":"assistant","name":"a","content":"{\\"parsed\\": 1}"}]'


@pytest.mark.parametrize(
    "message",
    [
        b'{"role":"developer","content":"x"}',
        b'{"role":"tool","content":"x","tool_call_id":"c"}',
        b'{"role":"user","content":["x"]}',
        b'{"role":"assistant","content":null}',
        b'{"role":"assistant","content":"x","parsed":null}',
        b'{"role":"assistant","content":"x","reasoning_content":"y"}',
        b'{"role":"assistant","content":"x","extra_content":{"google":{"thought_signature":"weebill:a:b"}}}',
    ],
)
def test_what_is_but_talk_is_not_looked_into(message: bytes) -> None:
    assert is_talk(TALK)
    assert not is_talk(TALK[:-1] + b"," + message + b"]")
