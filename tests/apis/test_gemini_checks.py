"""What is refused of Gemini clients' requests and why; schemas; paths; counting."""

import json

import pytest

from weebill.apis.gemini.api import GEMINI
from weebill.apis.gemini.count import count_answer, decode_count, estimate
from weebill.wire.conversation import Conversation
from weebill.wire.errors import ApiError

TAIL = "gemini-2.5-flash:generateContent"
HI = {"role": "user", "parts": [{"text": "Hi"}]}
PNG = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
VIDEO = {"fileData": {"fileUri": "gs://b/a.mp4", "mimeType": "video/mp4"}}
SOUND = {"inlineData": {"mimeType": "audio/wav", "data": ""}}
CALL = {"functionCall": {"name": "f", "args": {}}}


def read(body: dict) -> Conversation:
    return GEMINI.conversation(GEMINI.decode(json.dumps(body).encode(), {}, TAIL))


def turns(*contents: object) -> dict:
    return {"contents": list(contents)}


def model(*parts: object) -> dict:
    return {"role": "model", "parts": list(parts)}


def user(*parts: object) -> dict:
    return {"role": "user", "parts": list(parts)}


def gave(**more: object) -> dict:
    return {"functionResponse": {"name": "f", **more}}


def config(**fields: object) -> dict:
    return {"contents": [HI], "generationConfig": fields}


def functions(declaration: dict) -> dict:
    return {"contents": [HI], "tools": [{"functionDeclarations": [declaration]}]}


SCHEMAS = [
    ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
    ({"type": "STRING", "format": "enum", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
    ({"type": "STRING", "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
    ({"type": "INTEGER", "enum": ["1", "-2"]}, {"type": "integer", "enum": [1, -2]}),
    (
        {"type": "ARRAY", "items": {"type": "NUMBER"}, "minItems": "1", "max_items": 3},
        {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 3},
    ),
    (
        {
            "type": "OBJECT",
            "properties": {"b": {"type": "BOOLEAN"}, "type": {"type": "STRING"}},
            "required": ["b"],
            "propertyOrdering": ["type", "b"],
        },
        {"type": "object", "properties": {"type": {"type": "string"}, "b": {"type": "boolean"}}, "required": ["b"]},
    ),
    ({"any_of": [{"type": "STRING"}, {"type": "NULL"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ({"anyOf": [{"type": "STRING"}], "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ({"ref": "#/defs/P", "nullable": True}, {"anyOf": [{"$ref": "#/$defs/P"}, {"type": "null"}]}),
    (
        {
            "type": "OBJECT",
            "defs": {"P": {"type": "STRING", "example": "x"}},
            "additionalProperties": {"type": "INTEGER"},
        },
        {
            "type": "object",
            "$defs": {"P": {"type": "string", "examples": ["x"]}},
            "additionalProperties": {"type": "integer"},
        },
    ),
    ({"type": "TYPE_UNSPECIFIED", "description": "d", "nullable": False}, {"description": "d"}),
    ({"type": "string", "maxLength": "x"}, {"type": "string", "maxLength": "x"}),
    (
        {"type": 6, "properties": {"b": {"type": 1}, "c": {"type": 0}}},
        {"type": "object", "properties": {"b": {"type": "string"}, "c": {}}},
    ),
    ({"type": 99, "properties": {"b": {}}, "propertyOrdering": [[], {}, 1]}, {"type": 99, "properties": {"b": {}}}),
]


@pytest.mark.parametrize(("given", "expected"), SCHEMAS)
def test_schemas(given: dict, expected: dict) -> None:
    body = {
        "contents": [HI],
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": given}]}],
        "generationConfig": {"responseMimeType": "application/json", "responseSchema": given},
    }
    read_body = read(body)
    for schema in (read_body.tools[0].parameters, read_body.output and read_body.output.schema):
        assert schema is not None
        # Order matters, since it is what a model is told to write in.
        assert json.dumps(json.loads(bytes(schema))) == json.dumps(expected)


WRONG = [
    ({}, "contents", "missing_required_parameter"),
    ({"contents": 1}, "contents", "invalid_value"),
    (turns({"role": "narrator", "parts": [{"text": "x"}]}), "contents[0].role", "invalid_value"),
    (turns(user({"text": 1})), "contents[0].parts[0].text", "invalid_value"),
    (turns(HI, user({"inlineData": {"data": ""}})), "contents[1].parts[0]", "unsupported_parameter"),
    (config(temperature="warm"), "generationConfig.temperature", "invalid_value"),
    (config(candidateCount="two"), "generationConfig.candidateCount", "invalid_value"),
    (functions({"name": ""}), "tools[0].functionDeclarations[0].name", "invalid_value"),
    (functions({"name": "f", "parameters": [1]}), "tools[0].functionDeclarations[0].parameters", "invalid_value"),
    (turns(user(gave(response={}))), "contents[0].parts[0].functionResponse", "invalid_value"),
    (
        turns(model(CALL), user(gave(parts=[SOUND]))),
        "contents[1].parts[0].functionResponse.parts[0]",
        "unsupported_parameter",
    ),
    (turns(user(VIDEO)), "contents[0].parts[0]", "unsupported_parameter"),
    ({"contents": [HI], "drop_params": 1}, "drop_params", "invalid_value"),
]


@pytest.mark.parametrize(("body", "param", "code"), WRONG)
def test_what_is_wrong_is_named(body: dict, param: str, code: str) -> None:
    with pytest.raises(ApiError) as raised:
        read(body)
    assert (raised.value.status, raised.value.detail.param, raised.value.detail.code) == (400, param, code)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"contents"'])
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(ApiError) as raised:
        GEMINI.decode(body, {}, TAIL)
    assert raised.value.status == 400


TAILS = [
    ("gemini-2.5-flash:generateContent", "gemini-2.5-flash", False, False),
    ("gemini-2.5-flash:streamGenerateContent?alt=sse", "gemini-2.5-flash", True, False),
    ("gemini-2.5-flash:streamGenerateContent?key=k&$alt=sse", "gemini-2.5-flash", True, False),
    ("gemini-2.5-flash:streamGenerateContent", "gemini-2.5-flash", True, True),
    ("gemini-2.5-flash:streamGenerateContent?alt=json", "gemini-2.5-flash", True, True),
    ("smollm2:135m:generateContent", "smollm2:135m", False, False),
    ("anthropic/claude:generateContent?alt=sse", "anthropic/claude", False, False),
]


@pytest.mark.parametrize(("tail", "model_name", "stream", "array"), TAILS)
def test_the_path_says_the_model_and_the_form(tail: str, model_name: str, stream: bool, array: bool) -> None:
    call = GEMINI.decode(json.dumps(turns(HI)).encode(), {}, tail)
    assert (call.model, call.stream, call.request.array) == (model_name, stream, array)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("tail", "status"),
    [("m", 404), ("m:embedContent", 404), (":generateContent", 400), ("m" * 257 + ":generateContent", 400)],
)
def test_paths_that_there_are_not(tail: str, status: int) -> None:
    with pytest.raises(ApiError) as raised:
        GEMINI.decode(json.dumps(turns(HI)).encode(), {}, tail)
    assert raised.value.status == status


def test_counting() -> None:
    text = "a word or two " * 40
    contents = [user({"text": text}, PNG), model(CALL), user(gave(response={"output": text}))]
    whole = {"generateContentRequest": {"model": "models/m", "contents": contents}}
    snake = {"generate_content_request": whole["generateContentRequest"]}
    for body in (turns(*contents), whole, snake):
        call = decode_count(json.dumps(body).encode(), "m:countTokens")
        assert call.model == "m"
        assert estimate(call) == 258 + 3 + -(-(2 * len(text) + 3) // 4)
    assert count_answer(7) == b'{"totalTokens":7}'


@pytest.mark.parametrize(("body", "tail", "status"), [({}, "m:countTokens", 400), (turns(HI), TAIL, 404)])
def test_counting_what_cannot_be(body: dict, tail: str, status: int) -> None:
    with pytest.raises(ApiError) as raised:
        decode_count(json.dumps(body).encode(), tail)
    assert raised.value.status == status
