"""The names of fields that Gemini clients may use, and requests that read back as they were asked."""

import json
from base64 import b64encode

import msgspec
import pytest

from tests.apis.test_gemini_request import HI, REQUESTS, TABLE, TAIL, config, model, read, turns
from weebill.apis.gemini.api import GEMINI
from weebill.catalog.traits import traits_of
from weebill.providers.base import Target
from weebill.providers.fit import Fit
from weebill.providers.gemini.dialect import GEMINI_DIALECT
from weebill.wire.conversation import (
    Conversation,
    Reasoning,
    Text,
    ToolUse,
    Turn,
)
from weebill.wire.gemini_parts import sealed


def snake(value: object) -> object:
    """The names in snake_case, but for those inside what is the client's own."""
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    own = ("args", "response", "parameters", "parametersJsonSchema", "responseJsonSchema", "responseSchema", "labels")
    return {
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name): item
        if name in own
        else snake(item)
        for name, item in value.items()
    }


@pytest.mark.parametrize("name", [name for name in TABLE if not name.startswith(("speech of", "what a function"))])
def test_snake_case_says_the_same(name: str) -> None:
    body, _ = TABLE[name]
    assert msgspec.json.encode(read(snake(body))) == msgspec.json.encode(read(body))  # type: ignore[arg-type]


def test_snake_case_changes_nothing_that_is_the_clients_own() -> None:
    args = {"mime_type": 1, "inline_data": {"file_uri": 2}}
    body = {"contents": [{"parts": [{"function_call": {"name": "f", "args": args}}], "role": "model"}]}
    [turn] = read(body).turns
    [call] = turn.parts
    assert isinstance(call, ToolUse)
    assert json.loads(call.arguments) == args
    text = {"contents": [{"parts": [{"text": 'is "inline_data": a field?'}]}], "generation_config": {}}
    assert read(text).turns == (Turn("user", (Text('is "inline_data": a field?'),)),)


def test_drop_params_is_for_the_gateway_alone() -> None:
    call = GEMINI.decode(json.dumps({"contents": [HI], "drop_params": True, "x_y": 1}).encode(), {}, TAIL)
    assert call.drop_params
    assert list(call.fields) == ["contents", "x_y"]


def test_every_field_that_can_be_asked_for_has_a_name() -> None:
    body = {
        **config(
            temperature=1, topP=1, topK=1, maxOutputTokens=1, stopSequences=["a"], candidateCount=1, seed=1,
            presencePenalty=1, frequencyPenalty=1, responseLogprobs=True, logprobs=1, responseModalities=["TEXT"],
            responseMimeType="application/json", thinkingConfig={"thinkingBudget": 1},
            speechConfig={"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        ),
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    }  # fmt: skip
    default, full = Conversation(turns=()), read(body)
    given = {name for name in Conversation.__struct_fields__ if getattr(full, name) != getattr(default, name)}
    assert given == GEMINI.fields().keys()


# Those that Google has two ways to write, or that a client writes in the short one.
ONE_WAY = {"tool-strict", "tool-unsigned", "tool-image-beside", "vision-detail", "json-schema", "signed-text"}


@pytest.mark.parametrize("name", [name for name in REQUESTS if name not in ONE_WAY])
def test_what_google_is_asked_reads_back_and_is_asked_again(name: str) -> None:
    vector = REQUESTS[name]
    target = msgspec.convert(vector["target"], Target)
    target = msgspec.structs.replace(target, traits=traits_of(target.model))
    again = GEMINI_DIALECT.encode(read(vector["body"]), target, Fit(), stream=False)
    thinking = vector["body"].get("generationConfig", {}).get("thinkingConfig")
    sent = json.loads(again.body)
    if thinking is not None and "includeThoughts" not in thinking:
        assert sent["generationConfig"]["thinkingConfig"].pop("includeThoughts") is False
    assert sent == vector["body"]


def test_a_signature_that_only_looks_sealed_is_googles() -> None:
    for signature in ("d2VlYmlsbDphbnRocm9waWM", "d2VlYmlsbD//", b64encode(b"weebill;x").decode()):
        [turn] = read(turns(model({"text": "x", "thought": True, "thoughtSignature": signature}))).turns
        assert turn.parts == (Reasoning("x", signature, origin="gemini"),)


def test_the_alphabet_for_urls_is_read_too() -> None:
    signature = sealed("anthropic", "?>?>??>>")
    assert {"+", "/"} & set(signature)
    swapped = signature.replace("+", "-").replace("/", "_")
    [turn] = read(turns(model({"text": "x", "thought": True, "thoughtSignature": swapped}))).turns
    assert turn.parts == (Reasoning("x", "?>?>??>>", origin="anthropic"),)
