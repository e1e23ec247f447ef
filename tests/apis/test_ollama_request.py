"""Requests of Ollama's clients in canonical form."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from msgspec import Raw

from weebill.apis.ollama.api import OLLAMA_CHAT, OLLAMA_GENERATE, OllamaApi
from weebill.providers.pairing import paired
from weebill.wire.call import Call
from weebill.wire.conversation import (
    Conversation,
    Image,
    OutputFormat,
    Reasoning,
    ReasoningOptions,
    Text,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.errors import ApiError

PNG: Final = "iVBORw0KGgo="
HI: Final = {"messages": [{"role": "user", "content": "Hi"}]}


def decoded(api: OllamaApi, **fields: Any) -> Call:
    return api.decode(json.dumps({"model": "m", **fields}).encode(), {}, "")


def read(api: OllamaApi = OLLAMA_CHAT, **fields: Any) -> Conversation:
    return api.conversation(decoded(api, **fields))


def refusal(api: OllamaApi = OLLAMA_CHAT, **fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read(api, **fields)
    assert caught.value.status == 400
    return caught.value


def test_messages_of_every_kind() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "User", "content": "See", "images": [PNG, "data:image/webp;base64,AAAA"]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [
                {"function": {"name": "f", "arguments": {"a": 1}}},
                {"id": "x", "function": {"index": 1, "name": "g", "arguments": '{"b":2}'}},
            ],
        },
        {"role": "tool", "content": "two", "tool_call_id": "x"},
        {"role": "tool", "content": "one", "tool_name": "f"},
    ]
    assert read(messages=messages).turns == (
        Turn("system", (Text("Be brief."),)),
        Turn(
            "user",
            (
                Image(data=PNG, media_type="image/png"),
                Image(data="AAAA", media_type="image/webp"),
                Text("See"),
            ),
        ),
        Turn(
            "assistant",
            (Reasoning("Hm."), ToolUse("", "f", '{"a": 1}'), ToolUse("x", "g", '{"b":2}')),
        ),
        Turn("tool", (ToolResult("x", (Text("two"),)),)),
        Turn("tool", (ToolResult("", (Text("one"),), "f"),)),
    )


def test_results_find_their_calls() -> None:
    """Without ids, by the tool and the order; one too many keeps what it says."""
    calls = [{"function": {"name": name, "arguments": {}}} for name in ("f", "g", "f")]
    messages: list[dict[str, Any]] = [{"role": "assistant", "tool_calls": calls}]
    messages += [{"role": "tool", "content": f"r{at}", "tool_name": name} for at, name in enumerate(("g", "f", "h"))]
    messages.append({"role": "tool", "content": "r3"})
    said, *results = paired(read(messages=messages).turns)
    names = {part.id: part.name for part in said.parts if isinstance(part, ToolUse)}
    assert len(names) == 3
    answered = [part for turn in results for part in turn.parts if isinstance(part, ToolResult)]
    assert [names[part.call_id] for part in answered] == ["g", "f", "f"]
    assert [part.content for part in answered] == [(Text("r0"),), (Text("r1"),), (Text("r2"),)]
    assert results[-1].parts[-1] == Text("r3")


def test_a_prompt() -> None:
    asked = read(OLLAMA_GENERATE, prompt="See", system="Be brief.", images=["/9j/4AAQ"])
    image = Image(data="/9j/4AAQ", media_type="image/jpeg")
    assert asked.turns == (Turn("system", (Text("Be brief."),)), Turn("user", (image, Text("See"))))
    assert read(OLLAMA_GENERATE, prompt="Hi").turns == (Turn("user", (Text("Hi"),)),)


def test_options() -> None:
    asked = read(
        **HI,
        options={
            "num_predict": 7.0, "temperature": 0, "top_p": 0.5, "top_k": 3, "min_p": 0.1, "seed": 1, "stop": ["a", ""],
            "repeat_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.3, "num_ctx": 4096, "mirostat": 1,
            "typical_p": None, "vocab_only": False, "odd": 1,
        },
    )  # fmt: skip
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.top_k, asked.min_p) == (7, 0.0, 0.5, 3, 0.1)
    assert (asked.seed, asked.stop, asked.repetition_penalty) == (1, ("a",), 1.1)
    assert (asked.presence_penalty, asked.frequency_penalty) == (0.2, 0.3)
    assert asked.extra == {
        "num_ctx": Raw(b"4096"), "mirostat": Raw(b"1"), "options.vocab_only": Raw(b"false"), "options.odd": Raw(b"1"),
    }  # fmt: skip
    assert OLLAMA_CHAT.fields()["num_ctx"] == "options.num_ctx"


@pytest.mark.parametrize("options", [None, {}, {"num_predict": -1, "seed": -1}, {"num_predict": -2, "stop": ""}])
def test_options_that_ask_for_nothing(options: dict[str, object] | None) -> None:
    assert read(**HI, options=options) == read(**HI)


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ("json", OutputFormat("json_object")),
        ({"type": "object"}, OutputFormat("json_schema", Raw(b'{"type": "object"}'))),
        ("", None),
        (None, None),
    ],
)
def test_formats(given: object, output: OutputFormat | None) -> None:
    assert read(**HI, format=given).output == output


@pytest.mark.parametrize(
    ("think", "reasoning"),
    [
        (True, ReasoningOptions(enabled=True, include=True)),
        (False, ReasoningOptions(enabled=False)),
        ("max", ReasoningOptions(enabled=True, effort="max", include=True)),
        (None, None),
    ],
)
def test_thinking(think: object, reasoning: ReasoningOptions | None) -> None:
    assert read(**HI, think=think).reasoning == reasoning


def test_tools() -> None:
    schema = {"type": "object", "properties": {}}
    tools = [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}},
        {"function": {"name": "g", "parameters": None, "strict": True}, "x_new": 1},
    ]
    asked = read(**HI, tools=tools)
    assert asked.tools == (Tool("f", "d", Raw(json.dumps(schema).encode())), Tool("g"))
    assert asked.extra == {"tools[1].x_new": Raw(b"1"), "tools[1].function.strict": Raw(b"true")}


def test_probabilities() -> None:
    asked = read(**HI, logprobs=True, top_logprobs=3)
    assert (asked.logprobs, asked.top_logprobs) == (True, 3)
    assert read(**HI, top_logprobs=3).top_logprobs is None


def test_what_nobody_else_has_keeps_its_name() -> None:
    fields = {"keep_alive": "5m", "truncate": False, "suffix": "end", "raw": True, "template": "t", "context": [1]}
    assert read(OLLAMA_GENERATE, prompt="Hi", **fields).extra.keys() == fields.keys()
    nothing = {"keep_alive": None, "suffix": "", "raw": False, "template": "", "context": []}
    assert read(OLLAMA_GENERATE, prompt="Hi", **nothing).extra == {}
    odd = [{"role": "user", "content": "Hi", "x_new": 1}, {"role": "assistant", "content": "Ho", "images": [PNG]}]
    assert read(messages=odd).extra.keys() == {"messages[0].x_new", "messages[1].images"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "judge", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": "Hi", "images": ["iVBOR", 1], "x_new": 1}]},
            "messages[0].images[1]",
        ),
        ({"messages": [1]}, "messages[0]"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        ({"messages": "Hi"}, "messages"),
        ({**HI, "options": [1]}, "options"),
        ({**HI, "options": {"num_predict": "many"}}, "options.num_predict"),
        ({**HI, "format": "xml"}, "format"),
        ({**HI, "format": 1}, "format"),
        ({**HI, "think": "hard"}, "think"),
        ({**HI, "tools": {}}, "tools"),
        ({**HI, "tools": [{"function": {}}]}, "tools[0].function.name"),
        ({**HI, "top_logprobs": 21}, "top_logprobs"),
        ({**HI, "model": ""}, "model"),
        ({**HI, "drop_params": 1}, "drop_params"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    assert refusal(**fields).detail.param == param


def test_bodies_that_are_none() -> None:
    for body in (b"", b"[]", b"{", b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}'):
        with pytest.raises(ApiError) as caught:
            OLLAMA_CHAT.conversation(OLLAMA_CHAT.decode(body, {}, ""))
        assert caught.value.status == 400


def test_streams_unless_told_otherwise() -> None:
    assert [decoded(OLLAMA_CHAT, **HI, **said).stream for said in ({}, {"stream": None}, {"stream": False})] == [
        True, True, False,
    ]  # fmt: skip
    assert decoded(OLLAMA_CHAT, **HI, top_logprobs=3.0).stream


@pytest.mark.parametrize(
    ("keep_alive", "reason"),
    [(None, "load"), ("5m", "load"), (-1, "load"), (0, "unload"), ("0", "unload"), ("0s", "unload")],
)
def test_requests_without_words(keep_alive: object, reason: str) -> None:
    """These load a model, or let it go."""
    for api, fields in ((OLLAMA_CHAT, {"messages": []}), (OLLAMA_CHAT, {}), (OLLAMA_GENERATE, {"prompt": ""})):
        wordless = api.without_words(decoded(api, **fields, keep_alive=keep_alive))
        assert wordless is not None
        assert wordless.loads == (reason == "load")
        said = json.loads(wordless.body)
        assert (said["model"], said["done"], said["done_reason"]) == ("m", True, reason)
        assert said["message" if api is OLLAMA_CHAT else "response"] in ({"role": "assistant", "content": ""}, "")


def test_requests_with_words() -> None:
    assert OLLAMA_CHAT.without_words(decoded(OLLAMA_CHAT, **HI, keep_alive=0)) is None
    assert OLLAMA_GENERATE.without_words(decoded(OLLAMA_GENERATE, images=[PNG])) is None
    with pytest.raises(ApiError) as caught:
        OLLAMA_GENERATE.without_words(decoded(OLLAMA_GENERATE, keep_alive=[]))
    assert caught.value.detail.param == "keep_alive"
