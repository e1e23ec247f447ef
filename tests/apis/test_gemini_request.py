"""What Gemini clients ask, in canonical form; and the same again, asked of Google."""

import json
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from weebill.apis.gemini.api import GEMINI
from weebill.wire.conversation import (
    Audio,
    AudioOutput,
    Conversation,
    Document,
    Image,
    OutputFormat,
    Reasoning,
    ReasoningOptions,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.gemini_parts import sealed

TAIL = "gemini-2.5-flash:generateContent"
REQUESTS = json.loads((Path(__file__).parents[1] / "vectors" / "gemini.json").read_text())["requests"]

HI = {"role": "user", "parts": [{"text": "Hi"}]}
SAID_HI = Turn("user", (Text("Hi"),))
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
PNG = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}


def read(body: dict) -> Conversation:
    return GEMINI.conversation(GEMINI.decode(json.dumps(body).encode(), {}, TAIL))


def raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def turns(*contents: object) -> dict:
    return {"contents": list(contents)}


def model(*parts: object) -> dict:
    return {"role": "model", "parts": list(parts)}


def user(*parts: object) -> dict:
    return {"role": "user", "parts": list(parts)}


def asked(**fields: object) -> Conversation:
    return Conversation(**{"turns": (SAID_HI,), **fields})  # type: ignore[arg-type]


def config(**fields: object) -> dict:
    return {"contents": [HI], "generationConfig": fields}


def called(call_id: str, **more: object) -> ToolUse:
    return ToolUse(call_id, "f", "{}", **more)  # type: ignore[arg-type]


UPLOADED = "https://generativelanguage.googleapis.com/v1beta/files/x"
CALL = {"functionCall": {"name": "f", "args": {}}}


def gave(**more: object) -> dict:
    return {"functionResponse": {"name": "f", **more}}


TABLE: dict[str, tuple[dict, Conversation]] = {
    "text": (turns(HI), asked()),
    "one content, one part, no role": ({"contents": {"parts": {"text": "Hi"}}}, asked()),
    "system": (
        {"contents": [HI], "systemInstruction": {"parts": [{"text": "a"}, {"text": "b"}]}},
        asked(turns=(Turn("system", (Text("a"), Text("b"))), SAID_HI)),
    ),
    "media": (
        turns(
            user(
                PNG,
                {"fileData": {"fileUri": "https://example.com/a.jpg"}},
                {"fileData": {"fileUri": UPLOADED, "mimeType": "image/png"}},
                {"fileData": {"fileUri": "gs://bucket/a.pdf", "mimeType": "application/pdf", "displayName": "a"}},
                {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg==", "displayName": "b.pdf"}},
                {"inlineData": {"mimeType": "audio/mpeg", "data": "AAAA"}},
                {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "AAAA"}},
                {**PNG, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}},
            )
        ),
        asked(
            turns=(
                Turn(
                    "user",
                    (
                        Image(data="aGk=", media_type="image/png"),
                        Image(url="https://example.com/a.jpg", media_type="image/jpeg"),
                        Image(file_id=UPLOADED, media_type="image/png"),
                        Document(file_id="gs://bucket/a.pdf", media_type="application/pdf", name="a"),
                        Document(data="JVBERg==", media_type="application/pdf", name="b.pdf"),
                        Audio("AAAA", "mp3"),
                        Audio("AAAA", "pcm16"),
                        Image(data="aGk=", media_type="image/png", detail="low"),
                    ),
                ),
            )
        ),
    ),
    "calls without ids, answered in another order": (
        turns(
            model(CALL, {"functionCall": {"name": "g"}}, CALL),
            user(gave(response={"output": "1"}), {"functionResponse": {"name": "g"}}, gave(response={"output": 2})),
        ),
        asked(
            turns=(
                Turn("assistant", (called("call_0_0"), ToolUse("call_0_1", "g", "{}"), called("call_0_2"))),
                Turn(
                    "tool",
                    (
                        ToolResult("call_0_0", (Text("1"),), "f"),
                        ToolResult("call_0_1", (Text(""),), "g"),
                        ToolResult("call_0_2", (Text("2"),), "f"),
                    ),
                ),
            )
        ),
    ),
    "calls with ids": (
        turns(
            model(*({"functionCall": {"id": name, "name": "f", "args": {}}} for name in "ab")),
            user(gave(id="b", response={"result": "x"}), gave(id="a", response={"error": "no"})),
        ),
        asked(
            turns=(
                Turn("assistant", (called("a"), called("b"))),
                Turn("tool", (ToolResult("b", (Text("x"),), "f"), ToolResult("a", (Text("no"),), "f", is_error=True))),
            )
        ),
    ),
    "what a tool gave, among words": (
        turns(model(CALL), user({"text": "so"}, gave(response={"a": 1, "b": [2]}, parts=[PNG]), {"text": "and"})),
        asked(
            turns=(
                Turn("assistant", (called("call_0_0"),)),
                Turn("user", (Text("so"),)),
                Turn(
                    "tool",
                    (
                        ToolResult(
                            "call_0_0",
                            (Text('{"a": 1, "b": [2]}'), Image(data="aGk=", media_type="image/png")),
                            "f",
                        ),
                    ),
                ),
                Turn("user", (Text("and"),)),
            )
        ),
    ),
    "thoughts and signatures": (
        turns(
            model(
                {"text": "think", "thought": True, "thoughtSignature": "QUJD"},
                {"text": "say", "thoughtSignature": "REVG"},
                {**CALL, "thoughtSignature": "R0hJ"},
            )
        ),
        asked(
            turns=(
                Turn(
                    "assistant",
                    (
                        Reasoning("think", "QUJD", origin="gemini"),
                        Text("say"),
                        Reasoning("", "REVG", origin="gemini"),
                        called("call_0_2", signature="R0hJ", origin="gemini"),
                    ),
                ),
            )
        ),
    ),
    "the pieces of a stream, sent back one by one": (
        turns(
            HI,
            model({"text": "thi", "thought": True}),
            model({"text": "nk", "thought": True}),
            model({"text": "", "thought": True, "thoughtSignature": sealed("anthropic", "+/=")}),
            model({"text": "Hel"}),
            model({"text": "lo"}),
            model({"functionCall": {"id": "a", "name": "f", "args": {}}}),
            model({"text": ""}),
            user(gave(id="a", response={"output": "x"})),
        ),
        asked(
            turns=(
                SAID_HI,
                Turn("assistant", (Reasoning("think", "+/=", origin="anthropic"), Text("Hello"), called("a"))),
                Turn("tool", (ToolResult("a", (Text("x"),), "f"),)),
            )
        ),
    ),
    "what is opaque of others": (
        turns(
            model(
                {"text": "", "thought": True, "thoughtSignature": sealed("anthropic", "x:y", encrypted=True)},
                {"text": "t", "thought": True, "thoughtSignature": sealed("openai", "z", encrypted=True, item="rs_1")},
                {"text": "u", "thought": True, "thoughtSignature": sealed("deepseek", "")},
                {**CALL, "thoughtSignature": sealed("other", "s")},
            )
        ),
        asked(
            turns=(
                Turn(
                    "assistant",
                    (
                        Reasoning("", None, "x:y", None, "anthropic"),
                        Reasoning("t", None, "z", "rs_1", "openai"),
                        Reasoning("u", origin="deepseek"),
                        called("call_0_3", signature="s", origin="other"),
                    ),
                ),
            )
        ),
    ),
    "tools": (
        {
            "contents": [HI],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "f", "description": "d", "parametersJsonSchema": CITY},
                        {"name": "g"},
                    ]
                },
                {"google_search": {}},
                {"codeExecution": {}, "urlContext": {}},
            ],
        },
        asked(
            tools=(Tool("f", "d", raw(CITY)), Tool("g")),
            extra={"tools.googleSearch": raw({}), "tools.codeExecution": raw({}), "tools.urlContext": raw({})},
        ),
    ),
    "what a function returns": (
        {"contents": [HI], "tools": {"functionDeclarations": [{"name": "f", "responseJsonSchema": CITY}]}},
        asked(tools=(Tool("f", f"Returns JSON of this schema: {json.dumps(CITY)}"),)),
    ),
    "settings": (
        config(
            temperature=0.5, topP=0.9, topK=40.0, maxOutputTokens=10, stopSequences=["a"], candidateCount=2, seed=-1,
            presencePenalty=0.1, frequencyPenalty=0.2, responseLogprobs=True, logprobs=3, responseModalities=["TEXT"],
        ),
        asked(
            temperature=0.5, top_p=0.9, top_k=40, max_tokens=10, stop=("a",), n=2, seed=-1, presence_penalty=0.1,
            frequency_penalty=0.2, logprobs=True, top_logprobs=3, modalities=("text",),
        ),
    ),
    "speech": (
        config(
            responseModalities=["AUDIO"],
            speechConfig={"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        ),
        asked(modalities=("audio",), audio=AudioOutput("Kore", "pcm16")),
    ),
    "speech of several": (
        config(speechConfig={"multiSpeakerVoiceConfig": {}}),
        asked(extra={"generationConfig.speechConfig": raw({"multiSpeakerVoiceConfig": {}})}),
    ),
    "json": (config(responseMimeType="application/json"), asked(output=OutputFormat("json_object"))),
    "json schema": (
        config(responseMimeType="application/json", responseJsonSchema=CITY),
        asked(output=OutputFormat("json_schema", raw(CITY))),
    ),
    "plain text": (config(responseMimeType="text/plain"), asked()),
    "enum": (
        config(responseMimeType="text/x.enum", responseSchema={"type": "STRING"}),
        asked(
            extra={
                "generationConfig.responseMimeType": raw("text/x.enum"),
                "generationConfig.responseSchema": raw({"type": "STRING"}),
            }
        ),
    ),
    "thinking budget": (
        config(thinkingConfig={"thinkingBudget": 100, "includeThoughts": True}),
        asked(reasoning=ReasoningOptions(enabled=True, budget_tokens=100, include=True)),
    ),
    "no thinking": (
        config(thinkingConfig={"thinkingBudget": 0}), asked(reasoning=ReasoningOptions(enabled=False, include=False)),
    ),
    "as much thinking as it takes": (
        config(thinkingConfig={"thinkingBudget": -1}), asked(reasoning=ReasoningOptions(enabled=True, include=False)),
    ),
    "thinking level": (
        config(thinkingConfig={"thinkingLevel": "LOW"}), asked(reasoning=ReasoningOptions(effort="low", include=False)),
    ),
    "what only google has": (
        {
            "contents": [HI], "safetySettings": [{"a": 1}], "cachedContent": "c", "labels": {"a": "b"},
            "serviceTier": "flex", "new_field": 1, "systemInstruction": None,
            "generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW", "image_config": {"ratio": "1:1"}},
            "toolConfig": {"retrievalConfig": {"language": "en"}},
        },
        asked(
            hints={"labels": raw({"a": "b"}), "serviceTier": raw("flex")},
            extra={
                "safetySettings": raw([{"a": 1}]), "cachedContent": raw("c"), "newField": raw(1),
                "generationConfig.mediaResolution": raw("MEDIA_RESOLUTION_LOW"),
                "generationConfig.imageConfig": raw({"ratio": "1:1"}),
                "toolConfig.retrievalConfig": raw({"language": "en"}),
            },
        ),
    ),
}  # fmt: skip
CHOICES = {
    "AUTO": ToolChoice("auto"), "VALIDATED": ToolChoice("auto"), "ANY": ToolChoice("required"),
    "NONE": ToolChoice("none"), "MODE_UNSPECIFIED": None,
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_what_is_asked(name: str) -> None:
    body, expected = TABLE[name]
    # As text, since raw JSON compares by its bytes.
    assert json.loads(msgspec.json.encode(read(body))) == json.loads(msgspec.json.encode(expected))


OFFERED = {"contents": [HI], "tools": [{"functionDeclarations": [{"name": "f"}]}]}


@pytest.mark.parametrize("mode", CHOICES)
def test_tool_choice(mode: str) -> None:
    for written in (mode, mode.lower()):
        body = {**OFFERED, "toolConfig": {"functionCallingConfig": {"mode": written}}}
        assert read(body).tool_choice == CHOICES[mode]


def test_tool_choice_of_names() -> None:
    calling = {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}
    choice = read({"contents": [HI], "toolConfig": {"functionCallingConfig": calling}}).tool_choice
    assert choice == ToolChoice("required", ("f", "g"))
