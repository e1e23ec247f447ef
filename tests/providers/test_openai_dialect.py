"""Chat Completions as an outbound dialect: requests, whole answers, and streams however they are cut."""

from collections.abc import Iterable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tests import vectors
from weebill.catalog.load import providers
from weebill.catalog.traits import Traits
from weebill.gateway.failures import client_error
from weebill.providers.base import Quirks, Target, Unsupported
from weebill.providers.fit import Fit
from weebill.providers.openai.dialect import OPENAI_CHAT
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import (
    Audio,
    Citation,
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import (
    Choice,
    Event,
    Failed,
    Finished,
    FinishReason,
    Reply,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
)

VECTORS = vectors.load("openai")
ID, CREATED = "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", 1741569952
C1, C2 = "call_Jq3dmXb1Zl9kTEnP0yVwhU5a", "call_8sMzPc4RfNnYtW2oKd6vGxQe"
HELLO = Text("Hello there.")
LOOK = Text("Let me look.")
PARIS = ToolUse(C1, "get_weather", '{"city":"Paris"}')
SIGNED = msgspec.structs.replace(PARIS, signature="c2ln", origin="openai")
LONDON = ToolUse(C2, "get_weather", '{"city":"London"}')
THOUGHT = "The user greets me."
used = Usage.reported
CACHED = used(1000, 4, cached=800)
GREETED = used(11, 11, reasoning=7)
ENTRIES = (
    b'{"token": "Hello", "logprob": -0.5, "bytes": [72, 101, 108, 108, 111], '
    b'"top_logprobs": [{"token": "Hello", "logprob": -0.5, "bytes": [72]}]}',
    b'{"token": " there.", "logprob": -0.25, "bytes": null, "top_logprobs": []}',
)

# scenario -> parts, why it ended, usage
ANSWERS: dict[str, tuple[tuple[Part, ...], FinishReason, Usage]] = {
    "text": ((HELLO,), "stop", used(11, 4)),
    "tool-one": ((PARIS,), "tool_calls", used(60, 20)),
    "tool-parallel": ((LOOK, PARIS, LONDON), "tool_calls", used(60, 40)),
    "tool-google": ((LOOK, PARIS, LONDON), "tool_calls", used(60, 40)),
    "tool-no-index": ((LOOK, PARIS, LONDON), "tool_calls", used(60, 40)),
    "tool-no-id": ((ToolUse(f"call_{ID[9:]}_0_0", PARIS.name, PARIS.arguments),), "tool_calls", used(60, 20)),
    "tool-signature": ((SIGNED,), "tool_calls", used(60, 20)),
    "tool-empty": ((ToolUse(C1, "now", "{}"),), "tool_calls", used(60, 10)),
    "tool-no-arguments": ((ToolUse(C1, "now", "{}"),), "tool_calls", used(60, 10)),
    "function-call": ((ToolUse(f"call_{ID[9:]}_0_0", PARIS.name, PARIS.arguments),), "tool_calls", used(60, 20)),
    "vision": ((Text("A red bird."),), "stop", used(300, 5)),
    "json-schema": ((Text('{"name":"Ada","age":36}'),), "stop", used(40, 9)),
    "reasoning": (
        (Reasoning(THOUGHT, "c2lnbmF0dXJl", origin="anthropic-claude-v1"), HELLO), "stop", GREETED
    ),
    "reasoning-content": ((Reasoning(THOUGHT, origin="openai"), HELLO), "stop", GREETED),
    "reasoning-plain": ((Reasoning(THOUGHT, origin="openai"), HELLO), "stop", GREETED),
    "reasoning-pieces": ((Reasoning(THOUGHT, origin="openai"), HELLO), "stop", used(11, 11)),
    "cached": ((HELLO,), "stop", used(1000, 4, cached=800, cache_write=100)),
    "cached-deepseek": ((HELLO,), "stop", CACHED),
    "usage-apart": ((Reasoning("Hm.", origin="openai"), HELLO), "stop", GREETED),
    "usage-groq": ((HELLO,), "stop", used(11, 4)),
    "usage-every-chunk": ((HELLO,), "stop", used(11, 4)),
    "usage-choice": ((HELLO,), "stop", used(11, 4)),
    "no-done": ((HELLO,), "stop", used(11, 4)),
    "refusal": ((Refusal("I cannot help with that."),), "refusal", used(11, 6)),
    "content-filter": ((Text("Hello"),), "content_filter", used(11, 1)),
    "length": ((HELLO,), "length", used(11, 4)),
    "finish-eos": ((HELLO,), "stop", used(11, 4)),
    "finish-model-length": ((HELLO,), "length", used(11, 4)),
    "finish-insufficient-system-resource": ((HELLO,), "length", used(11, 4)),
    "finish-sensitive": ((HELLO,), "content_filter", used(11, 4)),
    "finish-safety": ((HELLO,), "content_filter", used(11, 4)),
    "finish-something-new": ((HELLO,), "stop", used(11, 4)),
    "citations": (
        (Text("Hello there.", citations=(Citation("https://example.com/hello", "Hello", None, 0, 5),)),),
        "stop",
        used(11, 4),
    ),
    "search-results": (
        (Text("Hello there.", citations=(Citation("https://example.com/hello", "Hello"),)),),
        "stop",
        used(11, 4),
    ),
    "image": ((Text("Here."), Image(data="iVBORw0KGgo=", media_type="image/png")), "stop", used(11, 4)),
}  # fmt: skip
EXPECTED = {
    name: Reply(ID, name, (Choice(parts, finish),), usage, CREATED) for name, (parts, finish, usage) in ANSWERS.items()
}
EXPECTED["stop-sequence"] = Reply(ID, "stop-sequence", (Choice((HELLO,), "stop", "END"),), used(11, 4), CREATED)
EXPECTED["two-choices"] = Reply(
    ID, "two-choices", (Choice((HELLO,), "stop"), Choice((Text("Hi."),), "length")), used(11, 8), CREATED
)
SPOKEN = Audio("UklGRiQAAABXQVZF", "wav", "Hello there.", "audio_abc")


def stream_bytes(name: str) -> bytes:
    return "".join(VECTORS.answers[name].stream).encode()


def streamed(pieces: Iterable[bytes]) -> Reply:
    """What the events of a stream come to; that they keep their order is checked on the way."""
    decoder, builder = OPENAI_CHAT.stream(), ReplyBuilder()
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    events += decoder.finish()
    assert isinstance(events[0], Started)
    blocks: dict[int, int] = {}
    for event in events:
        if not isinstance(event, Started | UsageReported | Failed):
            block = getattr(event, "block", None)
            assert block is None or blocks.get(event.choice, -1) <= block <= blocks.get(event.choice, -1) + 1
            blocks[event.choice] = blocks.get(event.choice, -1) if block is None else block
        builder.add(event)
    return builder.reply()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_whole_answer(name: str) -> None:
    assert OPENAI_CHAT.decode(bytes(VECTORS.answers[name].body)) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_stream_cut_at_every_byte(name: str) -> None:
    """At each of them at once; and in two pieces, at a hundred places."""
    data = stream_bytes(name)
    for cut in range(0, len(data) + 1, max(1, len(data) // 100)):
        assert streamed([data[:cut], data[cut:]]) == EXPECTED[name]
    assert streamed(data[at : at + 1] for at in range(len(data))) == EXPECTED[name]


@given(st.sampled_from(sorted(EXPECTED)), st.lists(st.integers(min_value=0), max_size=12), st.booleans())
def test_a_stream_cut_anywhere(name: str, cuts: list[int], crlf: bool) -> None:
    data = stream_bytes(name)
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    assert streamed(data[start:end] for start, end in pairwise(edges)) == EXPECTED[name]


def test_sound() -> None:
    vector = VECTORS.answers["audio"]
    assert OPENAI_CHAT.decode(bytes(vector.body)).choices == (Choice((SPOKEN,), "stop"),)
    # Streamed it comes as samples, in pieces that are each complete base64.
    whole = Audio("AAECAwQFBgc=", "pcm16", "Hello there.", "audio_abc")
    assert streamed([stream_bytes("audio")]).choices == (Choice((whole,), "stop"),)


def test_logprobs() -> None:
    whole = OPENAI_CHAT.decode(bytes(VECTORS.answers["logprobs"].body)).choices[0]
    in_pieces = streamed([stream_bytes("logprobs")]).choices[0]
    for choice in (whole, in_pieces):
        assert choice.parts == (HELLO,)
        assert [msgspec.json.decode(entry) for entry in choice.logprobs or ()] == list(
            map(msgspec.json.decode, ENTRIES)
        )


# scenario -> status, code, param
ERRORS = {
    "error-400": (400, "decimal_above_max_value", "temperature"),
    "error-context": (400, "context_length_exceeded", "messages"),
    "error-401": (502, "upstream_credential_refused", None),
    "error-404": (404, "model_not_found", None),
    "error-429": (429, "rate_limit_exceeded", None),
    "error-500": (500, "upstream_error", None),
    "error-overloaded": (503, "upstream_overloaded", None),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_keeps_the_providers_words(name: str) -> None:
    vector = VECTORS.answers[name]
    error = client_error(OPENAI_CHAT.error(vector.status, bytes(vector.body), "acme"))
    assert (error.status, error.detail.code, error.detail.param) == ERRORS[name]
    said = msgspec.json.decode(vector.body)["error"]["message"]
    assert said in error.detail.message


def test_an_error_in_a_200() -> None:
    with pytest.raises(UpstreamFailure, match="Provider returned error") as caught:
        OPENAI_CHAT.decode(bytes(VECTORS.answers["error-in-200"].body))
    assert client_error(caught.value).status == 502


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[{"message":3}]}'])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        OPENAI_CHAT.decode(body)
    assert (client_error(caught.value).status, client_error(caught.value).detail.code) == (
        502,
        "upstream_invalid_answer",
    )


@pytest.mark.parametrize(
    ("name", "before"), [("error-first-event", ""), ("error-mid-stream", "Hello"), ("error-finish", "Hello")]
)
def test_an_error_as_an_event_ends_the_stream(name: str, before: str) -> None:
    decoder = OPENAI_CHAT.stream()
    events = decoder.feed(stream_bytes(name))
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert client_error(failed.error).status == 502
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == before
    assert not any(isinstance(event, Finished) for event in events)


@pytest.mark.parametrize("data", [stream_bytes("cut"), b"", b"data: [DONE]\n\n", stream_bytes("text")[:300]])
def test_a_cut_never_ends_cleanly(data: bytes) -> None:
    decoder = OPENAI_CHAT.stream()
    assert not any(isinstance(event, Finished) for event in decoder.feed(data))
    with pytest.raises(UpstreamFailure) as caught:
        decoder.finish()
    assert client_error(caught.value).status == 502


def test_a_done_without_a_reason_is_an_end() -> None:
    data = b'data: {"id":"c","choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]'
    assert streamed([data]).choices == (Choice((Text("a"),), "stop"),)


def chunk(*calls: dict[str, object]) -> bytes:
    return b"data: " + msgspec.json.encode({"id": "c", "choices": [{"delta": {"tool_calls": list(calls)}}]}) + b"\n\n"


def test_an_id_that_is_repeated_is_the_same_call() -> None:
    piece = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}
    more = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "}"}}
    events = OPENAI_CHAT.stream().feed(chunk(piece) + chunk(more))
    assert events[1:] == [ToolStarted("a", "f"), ToolArguments("{"), ToolArguments("}")]


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_garbage_never_raises_anything_but_an_api_error(data: list[bytes]) -> None:
    decoder = OPENAI_CHAT.stream()
    try:
        for piece in data:
            decoder.feed(piece)
        decoder.finish()
    except UpstreamFailure:
        pass


@pytest.mark.parametrize("name", VECTORS.requests)
def test_a_request(name: str) -> None:
    vector = VECTORS.requests[name]
    options = msgspec.json.decode(vector.target)
    target = Target(model=name, quirks=msgspec.convert(options.get("quirks", {}), Quirks))
    request = OPENAI_CHAT.encode(vectors.conversation(vector.conversation), target, Fit(), stream=vector.stream)
    assert request.path == vector.path.encode()
    assert msgspec.json.decode(request.body) == msgspec.json.decode(vector.body)


def asked(*parts: Part, role: str = "user", **fields: object) -> Conversation:
    return Conversation(turns=(Turn(role, parts),), **fields)  # type: ignore[arg-type]


REFUSED = [
    (asked(Image(file_id="file-1")), Quirks(), "turns"),
    (asked(Document(url="https://example.com/a.pdf")), Quirks(), "turns"),
    (asked(Document(text="Once.", cite=True)), Quirks(), "citations"),
    (asked(Image(data="QUJD"), role="assistant"), Quirks(), "turns"),
    (asked(HELLO, extra={"safetySettings": Raw(b"[{}]")}), Quirks(), "safetySettings"),
    (asked(HELLO, seed=7), Quirks(refuse=("seed",)), "seed"),
    (asked(HELLO, max_tokens=7), Quirks(refuse=("max_completion_tokens", "max_tokens")), "max_tokens"),
    (
        asked(HELLO, tools=(Tool("f"),), tool_choice=ToolChoice(parallel=False)),
        Quirks(refuse=("parallel_tool_calls",)),
        "parallel_tool_calls",
    ),
]


@pytest.mark.parametrize(("conversation", "quirks", "field"), REFUSED)
def test_what_cannot_be_said_is_refused_by_name(conversation: Conversation, quirks: Quirks, field: str) -> None:
    with pytest.raises(Unsupported) as caught:
        OPENAI_CHAT.encode(conversation, Target(model="m", quirks=quirks), Fit("refuse"), stream=False)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("image", "url"),
    [
        (Image(data="QUJD", media_type="image/jpg"), "data:image/jpeg;base64,QUJD"),
        (Image(data="QUJD", media_type="IMAGE/PNG"), "data:image/png;base64,QUJD"),
        (Image(data="/9j/4AAQ", media_type="image/png"), "data:image/jpeg;base64,/9j/4AAQ"),
    ],
)
def test_images_are_of_registered_types(image: Image, url: str) -> None:
    body = msgspec.json.decode(OPENAI_CHAT.encode(asked(image), Target(model="m"), Fit(), stream=False).body)
    assert body["messages"][0]["content"][0]["image_url"]["url"] == url


def test_a_default_that_is_refused_is_left_out() -> None:
    conversation = asked(HELLO, tools=(Tool("f"),), tool_choice=ToolChoice(parallel=True))
    target = Target(model="m", quirks=Quirks(refuse=("parallel_tool_calls",)))
    body = msgspec.json.decode(OPENAI_CHAT.encode(conversation, target, Fit(), stream=False).body)
    assert body["tool_choice"] == "auto"
    assert "parallel_tool_calls" not in body


def test_each_call_has_one_result() -> None:
    """Real histories have results twice, or none where a client was interrupted; OpenAI refuses both."""
    turns = (
        Turn("assistant", (ToolUse("a", "f", "{}"), ToolUse("b", "f", "{}"))),
        Turn("tool", (ToolResult("a", (Text("1"),)), ToolResult("a", (Text("1"),)))),
        Turn("user", (HELLO,)),
    )
    body = msgspec.json.decode(
        OPENAI_CHAT.encode(Conversation(turns=turns), Target(model="m"), Fit(), stream=False).body
    )
    first, *results, last = [message.get("tool_call_id") for message in body["messages"]]
    assert (first, sorted(results), last) == (None, ["a", "b"], None)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Target(model="m", provider="openai"), "max_tokens"),
        (Target(model="m", quirks=providers()["openai"].quirks), "max_completion_tokens"),
        (Target(model="m", quirks=providers()["azure"].quirks), "max_completion_tokens"),
        (Target(model="m", provider="mine", traits=Traits(completion_tokens=True)), "max_completion_tokens"),
        (Target(model="m", quirks=Quirks(rename={"max_completion_tokens": "max_new"})), "max_new"),
        (Target(model="m", quirks=Quirks(accept=("max_completion_tokens",))), "max_completion_tokens"),
    ],
)
def test_the_limit_goes_by_the_name_that_the_target_knows(target: Target, name: str) -> None:
    body = msgspec.json.decode(OPENAI_CHAT.encode(asked(HELLO, max_tokens=7), target, Fit(), stream=False).body)
    assert {key: value for key, value in body.items() if key.startswith("max_")} == {name: 7}
