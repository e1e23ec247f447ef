"""The inbound Messages API: requests and counts of tokens, and what is wrong with them."""

import json

import msgspec
import pytest
from msgspec import Raw

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.anthropic.count import count_answer, decode_count, estimate
from weebill.providers.anthropic.dialect import ANTHROPIC_DIALECT
from weebill.providers.base import Target
from weebill.providers.fit import Fit
from weebill.wire.call import Call
from weebill.wire.conversation import (
    Conversation,
    Document,
    Image,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningOptions,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.errors import ApiError

HI = {"role": "user", "content": "Hi."}
PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))


def call(headers: dict[bytes, bytes] | None = None, **fields: object) -> Call:
    body = {"model": "m", "max_tokens": 9, "messages": [HI], **fields}
    return ANTHROPIC.decode(msgspec.json.encode(body), headers or {}, "?beta=true")


def asked(**fields: object) -> Conversation:
    return ANTHROPIC.conversation(call(**fields))


def turns(*messages: tuple[str, object]) -> tuple[Turn, ...]:
    return asked(messages=[{"role": role, "content": content} for role, content in messages]).turns


def block(kind: str, **fields: object) -> dict[str, object]:
    return {"type": kind, **fields}


def text(content: str, **fields: object) -> dict[str, object]:
    return block("text", text=content, **fields)


# --- Requests.


def test_what_decides_about_a_call() -> None:
    headers = {b"anthropic-beta": b"x", b"anthropic-version": b"2023-06-01", b"x-api-key": b"secret"}
    found = call(headers, stream=True, drop_params=True, unknown=1)
    assert (found.model, found.stream, found.drop_params) == ("m", True, True)
    assert dict(found.headers) == {b"anthropic-beta": b"x", b"anthropic-version": b"2023-06-01"}
    assert "drop_params" not in found.fields
    assert bytes(found.fields["unknown"]) == b"1"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ([text("Hi.", cache_control={"type": "ephemeral"})], Text("Hi.", "5m")),
        ([text("Hi.", cache_control={"type": "ephemeral", "ttl": "1h"}, citations=None)], Text("Hi.", "1h")),
        (
            [block("image", source=block("base64", media_type="image/png", data=PNG))],
            Image(data=PNG, media_type="image/png"),
        ),
        ([block("image", source=block("url", url="https://a.example/b.png"))], Image(url="https://a.example/b.png")),
        ([block("image", source=block("file", file_id="file_1"))], Image(file_id="file_1")),
        (
            [block("document", source=block("base64", media_type="application/pdf", data="JVBE"), title="a.pdf")],
            Document(data="JVBE", media_type="application/pdf", name="a.pdf"),
        ),
        (
            [block("document", source=block("url", url="https://a.example/b.pdf"), citations={"enabled": True})],
            Document(url="https://a.example/b.pdf", cite=True),
        ),
        (
            [block("document", source=block("text", media_type="text/plain", data="Hi."))],
            Document(text="Hi.", media_type="text/plain"),
        ),
        ([block("document", source=block("file", file_id="file_1"))], Document(file_id="file_1")),
    ],
)
def test_a_users_part(content: object, part: Part) -> None:
    assert turns(("user", content)) == (Turn("user", (part,)),)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (
            [text("Let me look."), block("tool_use", id="a", name="f", input={"x": 1}, caller={"type": "direct"})],
            (Text("Let me look."), ToolUse("a", "f", '{"x":1}')),
        ),
        ([block("thinking", thinking="Hm.", signature="s")], (Reasoning("Hm.", "s", origin="anthropic"),)),
        ([block("redacted_thinking", data="d")], (Reasoning(encrypted="d", origin="anthropic"),)),
        (
            [block("thinking", thinking="Hm.", signature="weebill:gemini:s")],
            (Reasoning("Hm.", "s", origin="gemini"),),
        ),
        ([block("thinking", thinking="Hm.", signature="weebill:deepseek:")], (Reasoning("Hm.", origin="deepseek"),)),
        (
            [block("thinking", thinking="Hm.", signature="weebill:openai.encrypted@rs_1:e:f")],
            (Reasoning("Hm.", encrypted="e:f", id="rs_1", origin="openai"),),
        ),
        (
            [block("redacted_thinking", data="weebill:openai@rs_1:e")],
            (Reasoning(encrypted="e", id="rs_1", origin="openai"),),
        ),
        (
            [block("redacted_thinking", data="weebill:gemini.tool:s"), block("tool_use", id="a", name="f", input={})],
            (ToolUse("a", "f", "{}", "s", "gemini"),),
        ),
    ],
)
def test_an_assistants_parts(content: object, parts: tuple[Part, ...]) -> None:
    assert turns(("assistant", content)) == (Turn("assistant", parts),)


def test_an_assistants_citations() -> None:
    location = {"type": "char_location", "cited_text": "Grass.", "document_title": "T", "start_char_index": 0}
    (turn,) = turns(("assistant", [text("Green.", citations=[location])]))
    part = turn.parts[0]
    assert isinstance(part, Text)
    (citation,) = part.citations
    assert (citation.title, citation.quote, citation.origin) == ("T", "Grass.", "anthropic")
    assert citation.raw is not None
    assert json.loads(bytes(citation.raw)) == location


def test_tool_results_are_turns_of_their_own() -> None:
    results = [
        block("tool_result", tool_use_id="a", content="Rain.", cache_control={"type": "ephemeral"}),
        block(
            "tool_result",
            tool_use_id="b",
            is_error=True,
            content=[text("No."), block("image", source=block("url", url="https://a.example"))],
        ),
        block("tool_result", tool_use_id="c"),
    ]
    assert turns(("user", [*results, text("Quick!")])) == (
        Turn(
            "tool",
            (
                ToolResult("a", (Text("Rain."),), cache="5m"),
                ToolResult("b", (Text("No."), Image(url="https://a.example")), is_error=True),
                ToolResult("c", ()),
            ),
        ),
        Turn("user", (Text("Quick!"),)),
    )


def test_a_documents_context_goes_before_it() -> None:
    document = block("document", source=block("url", url="https://a.example"), context="From 1950.")
    assert turns(("user", [document]))[0].parts == (Text("From 1950."), Document(url="https://a.example"))


def test_system_prompts() -> None:
    assert asked(system="Be brief.").turns[0] == Turn("system", (Text("Be brief."),))
    blocks = [text("Be brief.", cache_control={"type": "ephemeral"}), text("Be kind.")]
    assert asked(system=blocks).turns[0] == Turn("system", (Text("Be brief.", "5m"), Text("Be kind.")))
    assert turns(("user", "Hi."), ("system", "In French."))[1] == Turn("system", (Text("In French."),))


def test_a_cache_mark_for_the_whole_request_goes_on_its_last_part() -> None:
    messages = [HI, {"role": "assistant", "content": [text("Hm."), block("thinking", thinking="", signature="s")]}]
    found = asked(messages=messages, cache_control={"type": "ephemeral", "ttl": "1h"})
    assert found.turns[0].parts[0] == Text("Hi.")
    assert found.turns[1].parts[0] == Text("Hm.", "1h")


SIMPLE_TOOL = {"name": "f", "input_schema": SCHEMA}
SIMPLE = Tool("f", parameters=raw(SCHEMA))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 5, "temperature": 0.5}, {"max_tokens": 5, "temperature": 0.5}),
        ({"top_p": 0.9, "top_k": 40}, {"top_p": 0.9, "top_k": 40}),
        ({"stop_sequences": ["a", "b"]}, {"stop": ("a", "b")}),
        (
            {"tools": [{**SIMPLE_TOOL, "description": "F.", "strict": True, "type": "custom"}]},
            {"tools": (Tool("f", "F.", raw(SCHEMA), True),)},
        ),
        (
            {"tools": [{**SIMPLE_TOOL, "cache_control": {"type": "ephemeral"}, "eager_input_streaming": True}]},
            {
                "tools": (Tool("f", parameters=raw(SCHEMA), cache="5m"),),
                "hints": {"cache_control": raw({"type": "ephemeral"})},
            },
        ),
        ({"tool_choice": {"type": "auto"}}, {"tool_choice": ToolChoice()}),
        (
            {"tool_choice": {"type": "any"}, "tools": [SIMPLE_TOOL]},
            {"tool_choice": ToolChoice("required"), "tools": (SIMPLE,)},
        ),
        ({"tool_choice": {"type": "none"}}, {"tool_choice": ToolChoice("none")}),
        (
            {"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}, "tools": [SIMPLE_TOOL]},
            {"tool_choice": ToolChoice("required", ("f",), False), "tools": (SIMPLE,)},
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            {"reasoning": ReasoningOptions(enabled=True, budget_tokens=2048, include=True)},
        ),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "xhigh"}},
            {"reasoning": ReasoningOptions(enabled=True, effort="xhigh", include=False)},
        ),
        ({"thinking": {"type": "disabled"}}, {"reasoning": ReasoningOptions(enabled=False)}),
        ({"output_config": {"effort": "low"}}, {"reasoning": ReasoningOptions(effort="low")}),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            {"output": OutputFormat("json_schema", raw(SCHEMA))},
        ),
        (
            {"output_format": {"type": "json_schema", "schema": SCHEMA}},
            {"output": OutputFormat("json_schema", raw(SCHEMA))},
        ),
        (
            {"metadata": {"user_id": "u"}, "service_tier": "standard_only"},
            {"hints": {"user": raw("u"), "service_tier": raw("default")}},
        ),
        ({"mcp_servers": [1], "container": None}, {"extra": {"mcp_servers": raw([1])}}),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            {"extra": {"tools[0]": raw({"type": "web_search_20250305", "name": "web_search"})}},
        ),
        (
            {"tools": [{**SIMPLE_TOOL, "input_examples": [{}], "defer_loading": True, "allowed_callers": ["x"]}]},
            {
                "tools": (Tool("f", parameters=raw(SCHEMA)),),
                "extra": {
                    "tools[0].input_examples": raw([{}]),
                    "tools[0].defer_loading": raw(True),
                    "tools[0].allowed_callers": raw(["x"]),
                },
            },
        ),
    ],
)
def test_a_field(fields: dict[str, object], expected: dict[str, object]) -> None:
    base = Conversation(turns=(Turn("user", (Text("Hi."),)),), max_tokens=9)
    assert asked(**fields) == msgspec.structs.replace(base, **expected)


def one(content: object, role: str = "user") -> dict[str, object]:
    return {"messages": [{"role": role, "content": [content]}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
        (one({"text": "no type"}), "messages[0].content[0].type"),
        (one(block("image", source=block("ftp", url="x"))), "messages[0].content[0].source.type"),
        (one(block("tool_result", tool_use_id="a"), "assistant"), "messages[0].content[0].type"),
        (one(block("tool_use", id="a", name="f", input={})), "messages[0].content[0].type"),
        (one(block("thinking", thinking="", signature="")), "messages[0].content[0].type"),
        (one(block("image", source=block("url", url="x")), "system"), "messages[0].content[0].type"),
        (one(block("tool_use", name="f", input={}), "assistant"), "messages[0].content[0].id"),
        ({"temperature": "hot"}, "temperature"),
        ({"messages": ["Hi."]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        (one(block("text", text=1)), "messages[0].content[0].text"),
        ({"system": [block("image", source=block("url", url="x"))]}, "system[0].type"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "f", "input_schema": []}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"output_config": {"format": {"type": "json_schema", "schema": 1}}}, "output_config.format.schema"),
        ({"drop_params": 1}, "drop_params"),
    ],
)
def test_a_bad_value_is_named(fields: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as raised:
        asked(**fields)
    assert (raised.value.status, raised.value.detail.param) == (400, param)


@pytest.mark.parametrize("missing", ["model", "messages", "max_tokens"])
def test_a_missing_field_is_named(missing: str) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [HI]}
    del body[missing]
    with pytest.raises(ApiError) as raised:
        ANTHROPIC.decode(msgspec.json.encode(body), {}, "")
    assert (raised.value.detail.param, raised.value.detail.code) == (missing, "missing_required_parameter")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model":"\xff"}'])
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(ApiError) as raised:
        ANTHROPIC.decode(body, {}, "")
    assert raised.value.status == 400


def test_every_field_of_a_conversation_has_a_name() -> None:
    assert set(ANTHROPIC.fields()) >= set(Conversation.__struct_fields__)
    assert ANTHROPIC.fields()["stop"] == "stop_sequences"


def test_a_request_comes_back_as_it_went() -> None:
    body = {
        "model": "m",
        "max_tokens": 4096,
        "system": [text("Be brief.", cache_control={"type": "ephemeral", "ttl": "1h"})],
        "messages": [
            {"role": "user", "content": [text("Hi."), block("image", source=block("url", url="https://a.example"))]},
            {
                "role": "assistant",
                "content": [
                    block("thinking", thinking="Hm.", signature="s"),
                    block("redacted_thinking", data="d"),
                    text("Green.", citations=[{"type": "char_location", "cited_text": "Grass."}]),
                    block("tool_use", id="a", name="f", input={"city": "Paris"}),
                ],
            },
            {
                "role": "user",
                "content": [
                    block("tool_result", tool_use_id="a", content="No.", is_error=True),
                    block(
                        "document",
                        source=block("base64", media_type="application/pdf", data="JVBE"),
                        title="a.pdf",
                        citations={"enabled": True},
                    ),
                ],
            },
        ],
        "tools": [{"name": "f", "input_schema": SCHEMA, "description": "F.", "strict": True}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {
            "format": {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}},
        },
        "top_p": 0.95,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "service_tier": "standard_only",
    }
    conversation = ANTHROPIC.conversation(ANTHROPIC.decode(msgspec.json.encode(body), {}, ""))
    assert not conversation.extra
    assert json.loads(ANTHROPIC_DIALECT.encode(conversation, Target(model="m"), Fit(), stream=False).body) == body


# --- Counting tokens.


def counted(**fields: object) -> int:
    return estimate(decode_count(msgspec.json.encode({"model": "m", "messages": [HI], **fields})))


def test_an_estimate_of_tokens() -> None:
    base = counted()
    assert 1 <= base <= 10
    assert counted(system="x" * 400) - base in range(100, 106)
    assert counted(tools=[{"name": "f", "description": "x" * 400, "input_schema": {"type": "object"}}]) - base > 100
    image = block("image", source=block("base64", media_type="image/png", data=PNG * 10_000))
    assert counted(messages=[{"role": "user", "content": [image]}]) in range(1600, 1620)
    result = block("tool_result", tool_use_id="a", content=[text("x" * 400), image])
    assert counted(messages=[{"role": "user", "content": [result]}]) in range(1700, 1720)
    pdf = block("document", source=block("base64", media_type="application/pdf", data="JVBE" * 50_000))
    assert counted(messages=[{"role": "user", "content": [pdf]}]) in range(4000, 4020)
    assert count_answer(7) == b'{"input_tokens":7}'


def test_counting_names_a_bad_field() -> None:
    with pytest.raises(ApiError) as raised:
        decode_count(b'{"model":"m"}')
    assert raised.value.detail.param == "messages"
    with pytest.raises(ApiError) as raised:
        counted(messages=[{"role": "user", "content": [{}]}])
    assert raised.value.detail.param == "messages[0].content[0].type"
