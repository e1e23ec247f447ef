"""What Gemini's clients send besides the prompt: nothing that is empty, unknown or only Google's is an obstacle."""

import json

import pytest

from weebill.apis.gemini.api import GEMINI
from weebill.wire.conversation import (
    Conversation,
    Document,
    Image,
    OutputFormat,
    ReasoningOptions,
    Text,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)

TAIL = "gemini-2.5-flash:generateContent"
HI = {"role": "user", "parts": [{"text": "Hi"}]}
PLAIN = Conversation(turns=(Turn("user", (Text("Hi"),)),))
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
DECLARED = [{"functionDeclarations": [{"name": "f"}]}]
CALL = {"functionCall": {"name": "f", "args": {}}}


def read(body: dict) -> Conversation:
    return GEMINI.conversation(GEMINI.decode(json.dumps(body).encode(), {}, TAIL))


def config(**fields: object) -> dict:
    return {"contents": [HI], "generationConfig": fields}


def said(*parts: object, role: str = "model") -> dict:
    return {"contents": [HI, {"role": role, "parts": list(parts)}]}


NOTHING_SAID = {
    "no safety settings": {"contents": [HI], "safetySettings": []},
    "no tools": {"contents": [HI], "tools": [], "toolConfig": {}},
    "no functions, and how they are called": {
        "contents": [HI],
        "tools": [{"functionDeclarations": []}],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    },
    "empty objects": {"contents": [HI], "labels": {}, "generationConfig": {"thinkingConfig": {}, "speechConfig": {}}},
    "empty texts": {"contents": [HI], "cachedContent": "", "serviceTier": "", "generationConfig": {"imageConfig": { }}},
    "enums that say nothing": {
        "contents": [HI],
        "serviceTier": "SERVICE_TIER_UNSPECIFIED",
        "generationConfig": {
            "mediaResolution": "MEDIA_RESOLUTION_UNSPECIFIED",
            "responseModalities": ["MODALITY_UNSPECIFIED"],
            "thinkingConfig": {"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED", "includeThoughts": False},
        },
        "toolConfig": {"functionCallingConfig": {"mode": "MODE_UNSPECIFIED"}},
    },
    "noughts": config(maxOutputTokens=0, topK=0, candidateCount=0, logprobs=0),
    "plain text": config(responseMimeType="text/plain", stopSequences=[], responseSchema=None, responseJsonSchema={}),
    "empty stop sequences": config(stopSequences=["", ""]),
    "nulls": {"contents": [HI], "safetySettings": None, "tools": None, "generationConfig": None, "other": None},
    "an empty part": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "systemInstruction": {"parts": []}},
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING_SAID)
def test_what_says_nothing_is_nothing(name: str) -> None:
    assert read(NOTHING_SAID[name]) == PLAIN


PASSED_OVER = {
    "safety settings": ({"contents": [HI], "safetySettings": [{"category": "X"}]}, {"safetySettings"}),
    "a context kept at google": ({"contents": [HI], "cachedContent": "cachedContents/1"}, {"cachedContent"}),
    "unknown settings": (
        config(imageConfig={"aspectRatio": "1:1"}, routing_config={"autoMode": {}}, mediaResolution="HIGH"),
        {"generationConfig.imageConfig", "generationConfig.routingConfig", "generationConfig.mediaResolution"},
    ),
    "unknown members of thinking": (
        config(thinkingConfig={"thinkingLevel": "enormous", "newBudget": 3}),
        {"generationConfig.thinkingConfig.thinkingLevel", "generationConfig.thinkingConfig.newBudget"},
    ),
    "unknown members of calling": (
        {
            "contents": [HI],
            "tools": DECLARED,
            "toolConfig": {
                "functionCallingConfig": {"mode": "SOMETIMES", "streamFunctionCallArguments": True},
                "includeServerSideToolInvocations": True,
            },
        },
        {
            "toolConfig.functionCallingConfig.mode", "toolConfig.functionCallingConfig.streamFunctionCallArguments",
            "toolConfig.includeServerSideToolInvocations",
        },
    ),
    "tools that google runs": (
        {"contents": [HI], "tools": [{"googleSearch": {}}, {"code_execution": {}}, {"newTool": {"a": 1}}]},
        {"tools.googleSearch", "tools.codeExecution", "tools.newTool"},
    ),
    "an unknown modality": (config(responseModalities=["SMELL"]), {"generationConfig.responseModalities"}),
    "what tools of google's said": (
        said({"toolCall": {"id": "a"}}, {"toolResponse": {"id": "a"}}, {"text": "It is."}),
        {"contents[1].parts[0].toolCall", "contents[1].parts[1].toolResponse"},
    ),
    "how a video is cut": (
        said({"inlineData": {"mimeType": "image/png", "data": "aGk="}, "videoMetadata": {"fps": 1}}, role="user"),
        {"contents[1].parts[0].videoMetadata"},
    ),
    "unknown members of messages and their parts": (
        {
            "systemInstruction": {"parts": [{"text": "Be brief.", "part_metadata": {"a": 1}}]},
            "contents": [
                {"role": "user", "timestamp": 3, "parts": {"text": "Hi", "newThing": "x"}},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"own": 1}, "reason": "r"}}]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": "f", "response": {"own": 1}, "scheduling": "SILENT"}},
                    {"inlineData": {"mimeType": "image/png", "data": "aGk=", "colour": "red"}, "labels": [], "x": None},
                ]},
            ],
        },
        {
            "systemInstruction.parts[0].partMetadata", "contents[0].timestamp", "contents[0].parts[0].newThing",
            "contents[1].parts[0].functionCall.reason", "contents[2].parts[0].functionResponse.scheduling",
            "contents[2].parts[1].inlineData.colour",
        },
    ),
    "unknown members of functions": (
        {
            "contents": "Hi",
            "tools": [
                {"googleSearch": {"newWay": 1}},
                {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "new": 1}, "behavior": "B"}]},
            ],
        },
        {"tools.googleSearch", "tools[1].functionDeclarations[0].behavior"},
    ),
    "a part without content": (said({"text": "x"}, {}, role="user"), {"contents[1].parts[1]"}),
    "a call without a name": (said({"functionCall": {}}), {"contents[1].parts[0].functionCall"}),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSED_OVER)
def test_what_only_google_has_is_named(name: str) -> None:
    body, names = PASSED_OVER[name]
    assert set(read(body).extra) == names


def test_code_that_google_ran_stays_as_text() -> None:
    conversation = read(
        said(
            {"text": "I count."},
            {"executableCode": {"language": "PYTHON", "code": "print(2)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2\n"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
        )
    )
    [text] = conversation.turns[1].parts
    assert text == Text("I count.\n```python\nprint(2)\n```\n\n```\n2\n```\n")
    assert [name.rpartition(".")[2] for name in conversation.extra] == [
        "executableCode", "codeExecutionResult", "codeExecutionResult",
    ]  # fmt: skip


THINKING = [
    ({"thinkingLevel": "low"}, ReasoningOptions(effort="low", include=False)),
    ({"thinking_level": "High", "include_thoughts": True}, ReasoningOptions(effort="high", include=True)),
    ({"thinkingBudget": "512"}, ReasoningOptions(enabled=True, budget_tokens=512, include=False)),
    ({"thinkingBudget": 0}, ReasoningOptions(enabled=False, include=False)),
    ({"includeThoughts": True}, ReasoningOptions(include=True)),
    ({"includeThoughts": False}, None),
    ({}, None),
]


@pytest.mark.parametrize(("thinking", "expected"), THINKING)
def test_thinking(thinking: dict, expected: ReasoningOptions | None) -> None:
    assert read(config(thinkingConfig=thinking)).reasoning == expected


SHAPES = {
    "text alone": {"contents": "Hi"},
    "texts for parts": {"contents": [{"role": "USER", "parts": ["Hi"]}]},
    "one of each": {"contents": {"parts": {"text": "Hi"}}},
    "numbers as texts": {"contents": [HI], "generationConfig": {"candidateCount": "1", "maxOutputTokens": "7"}},
    "numbers with a point": {"contents": [HI], "generationConfig": {"candidateCount": 1.0, "maxOutputTokens": 7.0}},
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_the_shapes_that_googles_parser_takes(name: str) -> None:
    conversation = read(SHAPES[name])
    assert conversation.turns == PLAIN.turns
    assert conversation.max_tokens in (None, 7)


SYSTEMS = [
    ("Be brief.", (Text("Be brief."),)),
    ({"parts": ["Be brief."]}, (Text("Be brief."),)),
    ({"role": "system", "parts": {"text": "Be brief."}}, (Text("Be brief."),)),
    ({"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}, (Text("a"), Text("b"))),
]


@pytest.mark.parametrize(("system", "parts"), SYSTEMS)
def test_system_instructions(system: object, parts: tuple) -> None:
    assert read({"contents": [HI], "system_instruction": system}).turns == (Turn("system", parts), *PLAIN.turns)


def test_media_in_the_system_instruction_is_shown_by_the_user() -> None:
    png = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    turns = read({"contents": [HI], "systemInstruction": {"parts": [{"text": "a"}, png]}}).turns
    assert turns[0] == Turn("system", (Text("a"),))
    assert turns[1] == Turn("user", (Image(data="aGk=", media_type="image/png"),))


MEDIA = [
    ({"mimeType": "image/JPG", "data": "/9j/"}, Image(data="/9j/", media_type="image/jpeg")),
    ({"mimeType": "", "data": "iVBORw0KGgo="}, Image(data="iVBORw0KGgo=", media_type="image/png")),
    ({"mime_type": "image/png", "data": "-_-_"}, Image(data="+/+/", media_type="image/png")),
    (
        {"mimeType": "text/plain; charset=utf-8", "data": "aGk="},
        Document(data="aGk=", media_type="text/plain"),
    ),
]


@pytest.mark.parametrize(("blob", "expected"), MEDIA)
def test_media_types_and_alphabets(blob: dict, expected: object) -> None:
    [_, turn] = read(said({"inlineData": blob}, role="user")).turns
    assert turn.parts == (expected,)


ARGUMENTS = [
    ({}, "{}"),
    (None, "{}"),
    ({"a": 1}, '{"a": 1}'),
    ({"weebill_arguments": '{"cut'}, '{"cut'),
    ({"weebill_arguments": [1]}, "[1]"),
]


@pytest.mark.parametrize(("args", "expected"), ARGUMENTS)
def test_arguments_come_back_as_they_were(args: object, expected: str) -> None:
    call = read(said({"functionCall": {"name": "f", "args": args}})).turns[1].parts[0]
    assert call == ToolUse("call_1_0", "f", expected)


RESULTS = [
    ({"output": "x"}, "x"),
    ({"result": {"a": 1}}, '{"a": 1}'),
    ("x", "x"),
    (None, ""),
    ([1, 2], "[1, 2]"),
    (7, "7"),
    ({"a": 1, "b": 2}, '{"a": 1, "b": 2}'),
]


@pytest.mark.parametrize(("response", "expected"), RESULTS)
def test_results_of_any_type(response: object, expected: str) -> None:
    body = said(CALL)
    body["contents"].append({"role": "function", "parts": [{"functionResponse": {"name": "f", "response": response}}]})
    assert read(body).turns[2].parts == (ToolResult("call_1_0", (Text(expected),), "f"),)


def test_results_find_their_calls_whatever_names_them() -> None:
    body = said({"functionCall": {"id": "a", "name": "f"}}, {"functionCall": {"id": "a", "name": "g"}})
    body["contents"].append(
        {"role": "user", "parts": [{"functionResponse": {"id": "a"}}, {"functionResponse": {"name": "other"}}]}
    )
    calls, results = read(body).turns[1:]
    assert [part.id for part in calls.parts if isinstance(part, ToolUse)] == ["a", "a_1_1"]
    assert [(part.call_id, part.name) for part in results.parts if isinstance(part, ToolResult)] == [
        ("a", "f"), ("a_1_1", "other"),
    ]  # fmt: skip


def test_a_call_is_answered_once() -> None:
    body = said({"functionCall": {"id": "a", "name": "f"}}, {"functionCall": {"id": "b", "name": "f"}})
    given = [{"functionResponse": {"id": name, "name": "f", "response": {"output": name}}} for name in "aab"]
    body["contents"].append({"role": "user", "parts": given})
    conversation = read(body)
    assert conversation.turns[2].parts == (ToolResult("a", (Text("a"),), "f"), ToolResult("b", (Text("b"),), "f"))
    assert list(conversation.extra) == ["contents[2].parts[1].functionResponse"]


CHOICES = [
    ({"mode": "any", "allowedFunctionNames": "f"}, ToolChoice("required", ("f",))),
    ({"mode": "none"}, ToolChoice("none")),
    ({"mode": "Validated"}, ToolChoice("auto")),
    ({"mode": "SOMETIMES"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("calling", "expected"), CHOICES)
def test_tool_choices(calling: dict, expected: ToolChoice | None) -> None:
    body = {"contents": [HI], "tools": DECLARED, "toolConfig": {"functionCallingConfig": calling}}
    assert read(body).tool_choice == expected


@pytest.mark.parametrize("kind", ["application/json", "APPLICATION/JSON; charset=utf-8", None])
def test_a_schema_says_that_json_is_wanted(kind: str | None) -> None:
    output = read(config(responseMimeType=kind, responseSchema={"type": "STRING"})).output
    assert output is not None
    assert (output.type, bytes(output.schema or b"")) == ("json_schema", b'{"type":"string"}')
    assert read(config(responseMimeType="application/json", responseSchema={})).output == OutputFormat("json_object")


def test_an_empty_schema_is_none() -> None:
    for name in ("parameters", "parametersJsonSchema"):
        [tool] = read({"contents": [HI], "tools": {"functionDeclarations": {"name": "f", name: {}}}}).tools
        assert tool.parameters is None


@pytest.mark.parametrize("role", ["system", "System"])
def test_a_system_message_among_the_contents(role: str) -> None:
    conversation = read({"contents": [HI, {"role": role, "parts": [{"text": "Be brief."}]}]})
    assert conversation.turns == (*PLAIN.turns, Turn("system", (Text("Be brief."),)))
