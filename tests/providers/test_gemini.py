"""The Gemini dialect against the vectors: what is asked, what is read, and streams cut anywhere."""

import json
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from weebill.catalog.traits import traits_of
from weebill.providers.base import Target, Unsupported
from weebill.providers.fit import Fit
from weebill.providers.gemini.dialect import GEMINI_DIALECT
from weebill.wire.conversation import (
    Audio,
    AudioOutput,
    Citation,
    Conversation,
    Document,
    Image,
    OutputFormat,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
    ToolUse,
    Turn,
)
from weebill.wire.gemini import FAILED_REASONS, FINISH_REASONS
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Failed,
    Finished,
    Logprobs,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
    WholePart,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "gemini.json").read_text())
ANSWERS = VECTORS["answers"]
REQUESTS = VECTORS["requests"]

SIGNATURE = "CiIBjz1rX7gM0mXvQW9uY2UgdXBvbiBhIHRpbWUg+w/abA=="
HELLO = Text("Hello there.")
PARIS = ToolUse("fc_1", "get_weather", '{"city":"Paris"}')
LONDON = ToolUse("fc_2", "get_weather", '{"city":"London"}')
THOUGHT = Reasoning("The user greets me.", SIGNATURE, origin="gemini")
MARK = Reasoning("", SIGNATURE, origin="gemini")
TWICE = Text("Hello")


def used(prompt: int, completion: int, cached: int = 0, reasoning: int = 0) -> Usage:
    return Usage(prompt, cached, completion, True, 0, reasoning)


# What each answer is read as: its parts, why it ended, what it used.
READ = {
    "text": ((HELLO,), "stop", used(11, 4)),
    "tool-one": ((PARIS,), "tool_calls", used(60, 20)),
    "tool-parallel": ((Text("Let me look."), PARIS, LONDON), "tool_calls", used(60, 40)),
    "tool-empty": ((ToolUse("fc_1", "now", "{}"),), "tool_calls", used(60, 10)),
    "tool-no-args": ((ToolUse("fc_1", "now", "{}"),), "tool_calls", used(60, 10)),
    "tool-signed": (
        (ToolUse("fc_1", "get_weather", '{"city":"Paris"}', SIGNATURE, "gemini"), LONDON),
        "tool_calls",
        used(60, 70, reasoning=30),
    ),
    "vision": ((Text("A red bird."),), "stop", used(269, 4)),
    "json-schema": ((Text('{"name":"Ada","age":36}'),), "stop", used(30, 12)),
    "reasoning": ((THOUGHT, HELLO), "stop", used(11, 11, reasoning=7)),
    "signed-text": (
        (Reasoning("The user greets me.", origin="gemini"), HELLO, MARK),
        "stop",
        used(11, 11, reasoning=7),
    ),
    "cached": ((HELLO,), "stop", used(1000, 4, cached=800)),
    "tool-use-prompt": ((HELLO,), "stop", used(111, 4)),
    "prompt-blocked": ((), "content_filter", used(11, 0)),
    "length": ((TWICE,), "length", used(11, 2)),
    "finish-continuation": ((TWICE,), "pause", used(11, 2)),
    "finish-no-image": ((TWICE,), "stop", used(11, 2)),
    **{
        f"finish-{reason}": ((TWICE,), "content_filter", used(11, 2))
        for reason in (
            "recitation", "language", "blocklist", "prohibited-content", "spii", "image-safety",
            "image-prohibited-content", "image-recitation", "image-other", "model-armor", "escalation",
            "pup-limited-disabled", "other", "finish-reason-unspecified", "not-yet-known",
        )
    },
    "citations": (
        (
            Text(
                "Le café ouvre. Il est bon.",
                citations=(
                    Citation("https://example.com/a", "example.com", None, 0, 14, "gemini"),
                    Citation("https://example.com/a", "example.com", None, 15, 26, "gemini"),
                    Citation("https://example.org/b", "example.org", None, 15, 26, "gemini"),
                    Citation("https://example.net/c", "example.net", origin="gemini"),
                ),
            ),
        ),
        "stop",
        used(11, 9),
    ),
    "recited": (
        (Text("Hello there.", citations=(Citation("https://example.com/book", None, None, 6, 12, "gemini"),)),),
        "stop",
        used(11, 4),
    ),
    "logprobs": ((TWICE,), "stop", used(11, 2)),
    "image-output": (
        (Text("Here it is."), Image(data="iVBORw0KGgo=", media_type="image/png"), MARK),
        "stop",
        used(11, 1290),
    ),
    "audio-output": ((Audio("AAAA", "pcm16"),), "stop", used(11, 50)),
    "code-execution": (
        (Text("I count.\n```python\nprint(1 + 1)\n```\n\n```\n2\n```\nIt is 2."),), "stop", used(11, 20),
    ),
}  # fmt: skip
# Where a stream ends otherwise than the whole answer, or holds more.
STREAMED = READ | {"content-filter": ((Text("Well,"),), "content_filter", Usage(11))}
READ["content-filter"] = ((), "content_filter", used(11, 0))

FAILED = {f"finish-{reason.lower().replace('_', '-')}": (502, reason.lower()) for reason in sorted(FAILED_REASONS)}
FAILED |= dict.fromkeys(("error-in-200", "error-first-event", "error-mid-stream"), (503, "upstream_overloaded"))


def body(name: str) -> bytes:
    return msgspec.json.encode(ANSWERS[name]["body"])


def stream(name: str) -> bytes:
    return "".join(ANSWERS[name]["stream"]).encode()


def conversation(data: dict) -> Conversation:
    """A conversation from its JSON; fields that are raw JSON are put in by hand."""
    data = dict(data)
    tools = [
        Tool(
            **{**tool, **({"parameters": Raw(msgspec.json.encode(tool["parameters"]))} if "parameters" in tool else {})}
        )
        for tool in data.pop("tools", [])
    ]
    output = data.pop("output", None)
    if output is not None and "schema" in output:
        output = {**output, "schema": Raw(msgspec.json.encode(output["schema"]))}
    read = msgspec.json.decode(msgspec.json.encode(data), type=Conversation)
    return msgspec.structs.replace(read, tools=tuple(tools), output=None if output is None else OutputFormat(**output))


def feed(pieces: list[bytes]) -> list[Event]:
    decoder = GEMINI_DIALECT.stream()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return [*events, *decoder.finish()]


def collected(events: list[Event], choice: int = 0) -> tuple:
    """A choice's parts, end and the usage, put together as any client of the events would."""
    parts: dict[int, list] = {}
    finish, usage = None, Usage()
    for event in events:
        if isinstance(event, UsageReported):
            usage = event.usage
        elif isinstance(event, Finished) and event.choice == choice:
            assert finish is None
            finish = event.reason
        elif hasattr(event, "block") and event.choice == choice:
            assert event.block >= max(parts, default=0)
            parts.setdefault(event.block, []).append(event)
    assert list(parts) == list(range(len(parts)))
    return tuple(whole_part(block) for block in parts.values()), finish, usage


def whole_part(block: list) -> object:
    first = block[0]
    if isinstance(first, WholePart):
        [only] = block
        return only.part
    if isinstance(first, ToolStarted):
        arguments = "".join(event.json for event in block[1:])
        return ToolUse(first.id, first.name, arguments, first.signature, first.origin)
    if isinstance(first, ReasoningDelta):
        signed = [event.signature for event in block if event.signature]
        return Reasoning("".join(event.text for event in block), *signed, origin=first.origin)
    citations = tuple(event.citation for event in block if isinstance(event, CitationAdded))
    return Text("".join(event.text for event in block if isinstance(event, TextDelta)), citations=citations)


@pytest.mark.parametrize("name", REQUESTS)
def test_what_is_asked(name: str) -> None:
    vector = REQUESTS[name]
    target = msgspec.convert(vector["target"], Target)
    target = msgspec.structs.replace(target, traits=traits_of(target.model))
    request = GEMINI_DIALECT.encode(conversation(vector["conversation"]), target, Fit(), stream=vector["stream"])
    assert request.path.decode() == vector["path"]
    assert json.loads(request.body) == vector["body"]


@pytest.mark.parametrize("name", READ)
def test_what_a_whole_answer_is_read_as(name: str) -> None:
    reply = GEMINI_DIALECT.decode(body(name))
    [choice] = reply.choices
    assert (choice.parts, choice.finish, reply.usage) == READ[name]
    assert (reply.id, reply.model) == ("mAitaLm2KoKqz7IP0qTb8AM", "gemini-2.5-flash")


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_is_read_as_the_same(name: str) -> None:
    events = feed([stream(name)])
    assert events[0] == Started("mAitaLm2KoKqz7IP0qTb8AM", "gemini-2.5-flash")
    assert collected(events) == STREAMED[name]
    assert not any(isinstance(event, Failed) for event in events)


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_cut_at_every_byte(name: str) -> None:
    data = stream(name)
    whole = feed([data])
    for at in range(len(data) + 1):
        assert feed([data[:at], data[at:]]) == whole


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(STREAMED)), st.lists(st.integers(min_value=0), max_size=12), st.booleans())
def test_a_stream_cut_anywhere(name: str, cuts: list[int], bare_lines: bool) -> None:
    data = stream(name)
    expected = feed([data])
    if bare_lines:
        data = data.replace(b"\r\n", b"\n")
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    assert feed([data[start:end] for start, end in pairwise(edges)]) == expected


def test_every_reason_of_the_table_has_a_vector() -> None:
    told = {
        candidate.get("finishReason")
        for answer in ANSWERS.values()
        for candidate in answer["body"].get("candidates", ())
    }
    assert told == FINISH_REASONS.keys() | FAILED_REASONS | {"NOT_YET_KNOWN"}


def test_calls_without_ids_get_ids_that_differ() -> None:
    first, second = (GEMINI_DIALECT.decode(body("tool-no-id")).choices[0].parts[0] for _ in range(2))
    assert isinstance(first, ToolUse)
    assert isinstance(second, ToolUse)
    assert (first.name, first.arguments) == ("get_weather", '{"city":"Paris"}')
    assert first.id.startswith("call_")
    assert first.id != second.id
    [streamed], finish, _ = collected(feed([stream("tool-no-id")]))
    assert (streamed.name, streamed.arguments, finish) == ("get_weather", '{"city":"Paris"}', "tool_calls")
    assert streamed.id.startswith("call_")


def test_logprobs_are_openais_entries() -> None:
    entries = [
        {
            "token": "Hel", "logprob": -0.25, "bytes": [72, 101, 108],
            "top_logprobs": [
                {"token": "Hel", "logprob": -0.25, "bytes": [72, 101, 108]},
                {"token": "Hi", "logprob": -1.5, "bytes": [72, 105]},
            ],
        },
        {
            "token": "lo", "logprob": -0.5, "bytes": [108, 111],
            "top_logprobs": [{"token": "lo", "logprob": -0.5, "bytes": [108, 111]}],
        },
    ]  # fmt: skip
    [choice] = GEMINI_DIALECT.decode(body("logprobs")).choices
    assert [json.loads(bytes(entry)) for entry in choice.logprobs or ()] == entries
    events = feed([stream("logprobs")])
    [told] = [event for event in events if isinstance(event, Logprobs)]
    assert [json.loads(bytes(entry)) for entry in told.entries] == entries


def test_several_candidates() -> None:
    reply = GEMINI_DIALECT.decode(body("several"))
    assert [(choice.parts, choice.finish) for choice in reply.choices] == [
        ((HELLO,), "stop"),
        ((Text("Good day."),), "length"),
    ]
    events = feed([stream("several")])
    assert collected(events) == ((HELLO,), "stop", used(11, 8))
    assert collected(events, 1) == ((Text("Good day."),), "length", used(11, 8))


def test_citations_of_a_text_that_is_over_are_of_a_text_after_it() -> None:
    grounded = json.loads(ANSWERS["citations"]["stream"][-1].removeprefix("data: "))
    grounded["candidates"][0]["content"]["parts"] = [{"text": "", "thoughtSignature": "QUJD"}]
    late = {"candidates": [{"groundingMetadata": grounded["candidates"][0].pop("groundingMetadata"), "index": 0}]}
    pieces = [*ANSWERS["citations"]["stream"][:-1]]
    data = "".join([*pieces, *(f"data: {json.dumps(piece)}\r\n\r\n" for piece in (grounded, late))])
    parts, _, _ = collected(feed([data.encode()]))
    assert [type(part) for part in parts] == [Text, Reasoning, Text]
    assert parts[2].text == ""
    assert {citation.url for citation in parts[2].citations} == {
        "https://example.com/a", "https://example.org/b", "https://example.net/c",
    }  # fmt: skip
    assert {citation.start for citation in parts[2].citations} == {None}


def user(*parts: object) -> tuple[Turn, ...]:
    return (Turn("user", parts),)  # type: ignore[arg-type]


REFUSED = {
    "too many stop sequences": Conversation(turns=user(Text("x")), stop=tuple("abcdef")),
    "a call without tools": Conversation(turns=user(Text("x")), tool_choice=ToolChoice("required")),
    "an audio format": Conversation(turns=user(Text("x")), audio=AudioOutput("Kore", "mp3")),
    "a file of another API": Conversation(turns=user(Document(file_id="file-abc"))),
    "a file whose type is not stated": Conversation(turns=user(Document(data="AAAA"))),
    "a call that the user makes": Conversation(turns=(Turn("user", (ToolUse("a", "f", "{}"),)),)),
    "extra fields that are demands": Conversation(turns=user(Text("x")), extra={"guided_regex": Raw(b'"a"')}),
}
FIELDS = {
    "too many stop sequences": "stop",
    "a call without tools": "tool_choice",
    "an audio format": "audio",
    "extra fields that are demands": "guided_regex",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_google_cannot_do_is_refused(name: str) -> None:
    with pytest.raises(Unsupported) as raised:
        GEMINI_DIALECT.encode(REFUSED[name], Target(model="gemini-2.5-flash"), Fit(), stream=False)
    assert raised.value.field == FIELDS.get(name, "turns")
    assert raised.value.what


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("tunedModels/mine", b"/tunedModels/mine:generateContent"),
        ("models/gemini-2.5-flash", b"/models/gemini-2.5-flash:generateContent"),
        ("a b?c#d", b"/models/a%20b%3Fc%23d:generateContent"),
    ],
)
def test_paths(model: str, path: bytes) -> None:
    request = GEMINI_DIALECT.encode(Conversation(turns=user(Text("x"))), Target(model=model), Fit(), stream=False)
    assert request.path == path


def test_what_is_opaque_returns_to_its_part() -> None:
    for name in ("tool-signed", "reasoning", "signed-text", "image-output"):
        reply = GEMINI_DIALECT.decode(body(name))
        back = Conversation(turns=(*user(Text("x")), Turn("assistant", reply.choices[0].parts)))
        sent = json.loads(GEMINI_DIALECT.encode(back, Target(model="gemini-3-pro"), Fit(), stream=False).body)
        assert sent["contents"][1] == ANSWERS[name]["body"]["candidates"][0]["content"]


def test_arguments_keep_their_numbers() -> None:
    text = '{"n":12345678901234567890123,"f":1.10}'
    data = body("tool-one").replace(b'{"city":"Paris"}', text.encode())
    [call] = GEMINI_DIALECT.decode(data).choices[0].parts
    assert isinstance(call, ToolUse)
    assert call.arguments == text
    assert ToolArguments(text) in feed([b"data: " + data + b"\n\n"])
