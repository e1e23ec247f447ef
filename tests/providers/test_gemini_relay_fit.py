"""What the relay between Gemini clients and upstreams changes, and that it changes nothing else."""

import json

import msgspec
import pytest

from weebill.apis.gemini.api import GEMINI
from weebill.catalog.traits import OnUnsupported, traits_of
from weebill.providers.base import NOTHING_SENT, Target, UpstreamRequest
from weebill.providers.gemini.contents import UNSIGNED_CALL
from weebill.providers.gemini.relay import GEMINI_RELAY, GeminiRelay
from weebill.providers.gemini.vertex import VERTEX_RELAY
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.gemini_parts import sealed
from weebill.wire.reply import Usage

OLD, NEW = "gemini-2.5-flash", "gemini-3-pro-preview"
HI = {"role": "user", "parts": [{"text": "Hi"}]}
DONE = {"candidates": [{"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"}]}
USED = {"promptTokenCount": 5, "candidatesTokenCount": 2}


def call(body: dict | bytes, *, stream: bool = False, array: bool = False) -> Call:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    method = ("streamGenerateContent" + ("" if array else "?alt=sse")) if stream else "generateContent"
    return GEMINI.decode(data, {}, f"mine:{method}")


def target(model: str, policy: OnUnsupported = "drop-hints") -> Target:
    return Target(model=model, traits=traits_of(model), max_output_tokens=65_536, on_unsupported=policy)


def sent(body: dict, model: str = OLD, relay: GeminiRelay = GEMINI_RELAY) -> tuple[dict, tuple[str, ...]]:
    request = relay.encode(call(body), target(model))
    return json.loads(request.body), request.dropped


UNTOUCHED = b"""{"contents": [{"role":"user","parts":[{"text":"Hi","newMember": 1.50}]},
 {"role":"model","parts":[{"functionCall":{"name":"f","args":{"n":1.0}},"thoughtSignature":"QUJD"}]}],
 "toolConfig":{"functionCallingConfig":{"mode":"sometimes","newMember":{"a.b":1}}},"safetySettings":[],
 "tools":[{"googleSearch":{}},{"functionDeclarations":[{"name":"f","parameters":{"type":"string","const":1}}]}],
 "generationConfig":{"temperature":9,"thinkingConfig":{"thinkingLevel":"LOW","newMember":[1.0]},"newMember":null}}"""


@pytest.mark.parametrize("relay", [GEMINI_RELAY, VERTEX_RELAY])
def test_what_weebill_does_not_know_passes_byte_for_byte(relay: GeminiRelay) -> None:
    request = relay.encode(call(UNTOUCHED), target(NEW))
    before = msgspec.json.decode(UNTOUCHED, type=dict[str, msgspec.Raw])
    after = msgspec.json.decode(request.body, type=dict[str, msgspec.Raw])
    assert {name: bytes(raw) for name, raw in after.items()} == {name: bytes(raw) for name, raw in before.items()}
    assert request.dropped == ()


THINKING = "generationConfig.thinkingConfig"
FITTED = [
    (NEW, {"thinkingConfig": {"thinkingLevel": "low"}}, {"thinkingConfig": {"thinkingLevel": "low"}}, ()),
    (NEW, {"thinkingConfig": {"thinkingBudget": 2048}}, {"thinkingConfig": {"thinkingBudget": 2048}}, ()),
    (NEW, {"thinkingConfig": {"thinkingBudget": -1}}, {"thinkingConfig": {"thinkingBudget": -1}}, ()),
    (
        NEW,
        {"thinkingConfig": {"thinkingBudget": 0, "x": 1}},
        {"thinkingConfig": {"x": 1, "thinkingLevel": "LOW"}},
        (THINKING,),
    ),
    (
        OLD,
        {"thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True}, "topK": 4},
        {"thinkingConfig": {"thinkingBudget": 24576, "includeThoughts": True}, "topK": 4},
        (),
    ),
    (OLD, {"thinkingConfig": {"thinkingLevel": "ENORMOUS"}}, {"thinkingConfig": {"thinkingLevel": "ENORMOUS"}}, ()),
    (
        OLD,
        {"thinkingConfig": {"thinkingBudget": 99999}},
        {"thinkingConfig": {"thinkingBudget": 24576, "includeThoughts": False}},
        (THINKING,),
    ),
    ("gemini-2.0-flash", {"thinkingConfig": {"thinkingBudget": 0}, "topK": 4}, {"topK": 4}, ()),
    ("gemini-2.0-flash", {"thinkingConfig": {}}, {}, ()),
    ("gemini-2.0-flash", {"thinkingConfig": {"thinkingBudget": 512}}, {}, (THINKING,)),
    ("tuned", {"thinkingConfig": {"thinkingBudget": 0}}, {"thinkingConfig": {"thinkingBudget": 0}}, ()),
    (
        OLD,
        {"maxOutputTokens": 99999, "x": 1},
        {"maxOutputTokens": 65536, "x": 1},
        ("generationConfig.maxOutputTokens",),
    ),
]


@pytest.mark.parametrize(("model", "given", "expected", "dropped"), FITTED)
def test_settings_are_fitted_to_the_model(model: str, given: dict, expected: dict, dropped: tuple) -> None:
    body, said = sent({"contents": [HI], "generationConfig": given}, model)
    assert (body["generationConfig"], said) == (expected, dropped)


def test_settings_are_refused_where_that_is_the_policy() -> None:
    body = {"contents": [HI], "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}
    with pytest.raises(ApiError) as raised:
        GEMINI_RELAY.encode(call(body), target(NEW, "refuse"))
    assert (raised.value.status, raised.value.detail.param) == (400, THINKING)


def model(*parts: dict) -> dict:
    return {"role": "model", "parts": list(parts)}


def shown(media_type: str) -> dict:
    return {"inlineData": {"data": "AA==", "mimeType": media_type}}


def calling(**more: object) -> dict:
    return {"functionCall": {"name": "f", "args": {}}, **more}


GAVE = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}
SKIP = {"thoughtSignature": UNSIGNED_CALL}
OTHERS = sealed("anthropic", "s")
# What a history becomes for a model that wants signatures, and for one that does not.
HISTORIES: dict[str, tuple[list, list, list]] = {
    "its own": (
        [HI, model(calling(thoughtSignature="QUJD"), calling()), GAVE],
        [HI, model(calling(thoughtSignature="QUJD"), calling()), GAVE],
        [HI, model(calling(thoughtSignature="QUJD"), calling()), GAVE],
    ),
    "another's, without signatures": (
        [HI, model({"text": "a"}, calling(), calling()), GAVE, model(calling()), GAVE],
        [HI, model({"text": "a"}, calling(**SKIP), calling()), GAVE, model(calling(**SKIP)), GAVE],
        [HI, model({"text": "a"}, calling(), calling()), GAVE, model(calling()), GAVE],
    ),
    "another's, with marks": (
        [
            HI,
            model({"text": "t", "thought": True, "thoughtSignature": OTHERS}, calling(thought_signature=OTHERS)),
            GAVE,
        ],
        [HI, model(calling(**SKIP)), GAVE],
        [HI, model(calling()), GAVE],
    ),
    "the pieces of a stream": (
        [HI, model(calling(thoughtSignature="QUJD")), model(calling()), GAVE],
        [HI, model(calling(thoughtSignature="QUJD")), model(calling()), GAVE],
        [HI, model(calling(thoughtSignature="QUJD")), model(calling()), GAVE],
    ),
    "odd media types": (
        [{"role": "user", "parts": [shown("IMAGE/PNG"), shown("image/jpg; a=b"), shown("audio/L16;rate=16000")]}],
        [{"role": "user", "parts": [shown("image/png"), shown("image/jpeg"), shown("audio/L16;rate=16000")]}],
        [{"role": "user", "parts": [shown("image/png"), shown("image/jpeg"), shown("audio/L16;rate=16000")]}],
    ),
    "a thought of another's alone": (
        [HI, model({"text": "", "thought": True, "thoughtSignature": OTHERS}), HI],
        [HI, HI],
        [HI, HI],
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_histories(name: str) -> None:
    given, new, old = HISTORIES[name]
    assert sent({"contents": given}, NEW)[0]["contents"] == new
    assert sent({"contents": given}, OLD)[0]["contents"] == old


def test_a_mark_of_its_own_is_opened() -> None:
    contents = [HI, model({"text": "t", "thought": True, "thoughtSignature": sealed("vertex", "QUJD")})]
    [_, written] = sent({"contents": contents}, NEW, VERTEX_RELAY)[0]["contents"]
    assert written["parts"][0]["thoughtSignature"] == "QUJD"
    assert sent({"contents": contents}, NEW)[0]["contents"] == [HI]


def test_signatures_in_answers_bear_their_providers_mark() -> None:
    part = {"text": "t", "thought": True, "thoughtSignature": "QUJD"}
    body = json.dumps({"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}).encode()
    asked = call({"contents": [HI]}, stream=True)
    for provider, expected in (("", "QUJD"), ("gemini", "QUJD"), ("vertex", sealed("vertex", "QUJD"))):
        sent_there = UpstreamRequest(b"", b"", maker=provider)
        stream = GEMINI_RELAY.stream(asked, sent_there)
        out = stream.feed(b"data: " + body + b"\n\n")
        for answer in (GEMINI_RELAY.decode(asked, sent_there, body).body, out.removeprefix(b"data: ")):
            [found] = json.loads(answer)["candidates"][0]["content"]["parts"]
            assert found == {**part, "thoughtSignature": expected}
        back = call({"contents": [HI, model({**part, "thoughtSignature": expected})]})
        there = msgspec.structs.replace(target(NEW), provider=provider)
        [_, written] = json.loads(GEMINI_RELAY.encode(back, there).body)["contents"]
        assert written["parts"] == [part]


def run(data: bytes, size: int, *, array: bool = False) -> bytes:
    relay = GEMINI_RELAY.stream(call({"contents": [HI]}, stream=True, array=array), NOTHING_SENT)
    out = b"".join([relay.feed(data[at : at + size]) for at in range(0, len(data), size)]) + relay.finish()
    assert relay.usage.measured
    return out


ENDED = {**DONE, "usageMetadata": USED, "modelVersion": "served"}
BEGUN = {"candidates": [{"content": {"parts": [{"text": "Well,"}]}}]}
WRITTEN = json.dumps(ENDED)
STREAMS = {
    "over several lines": "data: " + "\ndata: ".join(json.dumps(ENDED, indent=1).split("\n")) + "\r\n\r\n",
    "a list": json.dumps([BEGUN, ENDED], indent=1),
    "one answer": WRITTEN,
    "with an end that is not google's": f"data: {WRITTEN}\n\ndata: [DONE]\n\n",
    "with a byte order mark": f"\ufeffdata: {WRITTEN}\n\n",
    "with a list in an event": f"data: {json.dumps([BEGUN, ENDED])}\n\n",
    "a reason by its number": "data: " + WRITTEN.replace('"STOP"', "1") + "\n\n",
    "counts as texts": "data: " + WRITTEN.replace(" 5", ' "5"').replace(" 2}", ' 2.0, "totalTokenCount": []}') + "\n\n",
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_streams_however_they_are_framed(name: str, size: int) -> None:
    data = STREAMS[name].encode()
    events = run(data, size).split(b"\r\n\r\n")
    assert events.pop() == b""
    for event in events:
        assert event.startswith(b"data: {")
        assert b"\n" not in event
    last = json.loads(events[-1][6:])
    assert (last["modelVersion"], last["candidates"][0]["content"]) == ("mine", ENDED["candidates"][0]["content"])  # type: ignore[index]
    assert last["candidates"][0]["finishReason"] == "STOP"
    items = json.loads(run(data, size, array=True))
    assert items == [json.loads(event[6:]) for event in events]


@pytest.mark.parametrize("wrap", [str, lambda text: f"[{text}]", lambda text: f"\ufeff[\n{text}\n]"])
def test_whole_answers_that_are_a_list(wrap: object) -> None:
    answer = GEMINI_RELAY.decode(call({"contents": [HI]}), NOTHING_SENT, wrap(WRITTEN).encode())  # type: ignore[operator]
    assert json.loads(answer.body) == {**ENDED, "modelVersion": "mine"}
    assert answer.usage == Usage(5, 0, 2, True)


def test_a_list_of_pieces_is_put_together() -> None:
    body = json.dumps([{**BEGUN, "responseId": "a", "newMember": 1}, ENDED]).encode()
    answer = json.loads(GEMINI_RELAY.decode(call({"contents": [HI]}), NOTHING_SENT, body).body)
    assert answer == {
        "candidates": [{"content": {"parts": [{"text": "Well,"}, {"text": "Hello"}]}, "finishReason": "STOP"}],
        "responseId": "a", "newMember": 1, "usageMetadata": USED, "modelVersion": "mine",
    }  # fmt: skip


@pytest.mark.parametrize(("number", "name"), [(1, "STOP"), (3, "SAFETY"), (5, "OTHER"), (17, "OTHER")])
def test_reasons_have_names(number: int, name: str) -> None:
    body = json.dumps({"candidates": [{"finishReason": number, "index": 0}], "usageMetadata": USED}).encode()
    answer = GEMINI_RELAY.decode(call({"contents": [HI]}), NOTHING_SENT, body)
    assert json.loads(answer.body)["candidates"][0]["finishReason"] == name


def test_a_report_of_nothing_is_none() -> None:
    body = json.dumps({**DONE, "usageMetadata": {"promptTokenCount": 0, "candidatesTokenCount": 0}}).encode()
    assert not GEMINI_RELAY.decode(call({"contents": [HI]}), NOTHING_SENT, body).usage.measured
    relay = GEMINI_RELAY.stream(call({"contents": [HI]}, stream=True), NOTHING_SENT)
    relay.feed(b"data: " + body + b"\n\n")
    assert not relay.usage.measured
