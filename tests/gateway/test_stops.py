"""Answers that are ended here at a stop sequence, for targets that take none."""

import json

import pytest
from msgspec import Raw

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.gemini.api import GEMINI
from weebill.catalog.traits import traits_of
from weebill.gateway.bridge_stream import BridgeStream
from weebill.gateway.stops import UntilStop, first_stop, held_back, until_stop
from weebill.gateway.translation import translator
from weebill.providers.base import Target, UpstreamRequest
from weebill.wire.call import Call
from weebill.wire.conversation import Citation, Text
from weebill.wire.errors import ApiError
from weebill.wire.reply import Choice, CitationAdded, Event, Logprobs, Reply, TextDelta, Usage

STOPS = ["END", "\n\nUser:", "D\n"]
CLIENTS: dict[str, tuple[Api, dict, str]] = {
    "chat": (CHAT, {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stop": STOPS}, ""),
    "anthropic": (
        ANTHROPIC,
        {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}], "stop_sequences": STOPS},
        "",
    ),
    "gemini": (
        GEMINI,
        {"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": {"stopSequences": STOPS}},
        "m:",
    ),
}
TARGETS = {
    "a dialect without": ("openai-responses", Target(model="gpt-4o")),
    "a model without": ("openai", Target(model="gpt-5", provider="openai", traits=traits_of("gpt-5"))),
}
# What is said, and what of it the client is told.
SAID = [
    ("Well. END of it", "Well. ", "END"),
    ("One\n\nUser: two END", "One", "\n\nUser:"),
    ("END", "", "END"),
    ("EN EN\n\nUse EN", "EN EN\n\nUse EN", None),
    ("an E", "an E", None),
    ("D\nEND", "", "D\n"),
]


def whole(dialect: str, text: str) -> bytes:
    if dialect == "openai":
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 5, "completion_tokens": 40}
        return json.dumps({"id": "c", "model": "x", "choices": [choice], "usage": usage}).encode()
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    usage = {"input_tokens": 5, "output_tokens": 40}
    return json.dumps({"id": "r", "model": "x", "status": "completed", "output": [item], "usage": usage}).encode()


def streamed(dialect: str, text: str, size: int) -> bytes:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    if dialect == "openai":
        chunks: list[dict] = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        chunks.append({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 40}})
        return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks) + b"data: [DONE]\n\n"
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    item = {"type": "message", "id": "i", "role": "assistant", "content": []}
    events: list[dict] = [{"type": "response.output_item.added", "output_index": 0, "item": item}]
    events += [{"type": "response.output_text.delta", **place, "delta": piece} for piece in pieces]
    events.append({"type": "response.completed", "response": json.loads(whole(dialect, text))})
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)


def asked(name: str, to: str, *, stream: bool) -> tuple[Call, UpstreamRequest]:
    api, body, path = CLIENTS[name]
    if path:
        path += "streamGenerateContent?alt=sse" if stream else "generateContent"
    call = api.decode(json.dumps(body if path else {**body, "stream": stream}).encode(), {}, path)
    dialect, target = TARGETS[to]
    return call, translator(api, dialect, frozenset({dialect})).encode(call, target)


def told(name: str, data: bytes) -> tuple[str, str | None]:
    """The text, and the stop sequence or why it ended."""
    lines = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: {")] or [data]
    text, end = "", None
    for each in map(json.loads, lines):
        if name == "chat":
            for choice in each["choices"]:
                text += (choice.get("message") or choice["delta"]).get("content") or ""
                end = choice["finish_reason"] or end
        elif name == "gemini":
            for candidate in each.get("candidates", ()):
                text += "".join(part.get("text", "") for part in candidate.get("content", {}).get("parts", ()))
                end = candidate.get("finishReason") or end
        else:
            text += "".join(block["text"] for block in each.get("content", ())) + each.get("delta", {}).get("text", "")
            end = each.get("stop_sequence") or each.get("delta", {}).get("stop_sequence") or end
    return text, end


@pytest.mark.parametrize(("said", "kept", "stop"), SAID)
@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("size", [0, 1, 3, 1000])
def test_an_answer_ends_at_the_first(name: str, to: str, said: str, kept: str, stop: str | None, size: int) -> None:
    call, sent = asked(name, to, stream=bool(size))
    dialect, _ = TARGETS[to]
    assert (sent.stops, sent.dropped, b'"stop"' in sent.body) == (tuple(STOPS), (), False)
    bridge = translator(CLIENTS[name][0], dialect, frozenset({dialect}))
    if size:
        stream = bridge.stream(call, sent)
        assert isinstance(stream, BridgeStream)
        data = b"".join(stream.feed(bytes([byte])) for byte in streamed(dialect, said, size)) + stream.finish()
        usage = stream.usage
    else:
        answer = bridge.decode(call, sent, whole(dialect, said))
        data, usage = answer.body, answer.usage
    text, end = told(name, data)
    assert (text, usage.completion_tokens) == (kept, 40)
    assert end == {"chat": "stop", "gemini": "STOP", "anthropic": stop}[name]


def test_what_is_thought_and_called_is_not_cut() -> None:
    call, sent = asked("chat", "a dialect without", stream=False)
    items = [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "END"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"at":"END"}'},
    ]
    body = json.dumps({"id": "r", "model": "x", "status": "completed", "output": items}).encode()
    answer = translator(CHAT, "openai-responses", frozenset()).decode(call, sent, body)
    [choice] = json.loads(answer.body)["choices"]
    assert (choice["finish_reason"], choice["message"]["reasoning_content"]) == ("tool_calls", "END")
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"at":"END"}'


def test_of_two_at_one_place_the_longer_one_ends_it() -> None:
    assert first_stop("a##b", ["#", "##"]) == (1, "##")
    assert first_stop("ab", ["b", "a"]) == (0, "a")
    assert held_back("x\n\nUs", STOPS) == 4
    assert held_back("x", STOPS) == 0


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("name", CLIENTS)
def test_a_stream_that_is_cut_after_the_stop_ends_well(name: str, to: str) -> None:
    call, sent = asked(name, to, stream=True)
    dialect, _ = TARGETS[to]
    stream = translator(CLIENTS[name][0], dialect, frozenset({dialect})).stream(call, sent)
    events = streamed(dialect, "Well. END" + " and on" * 20, 4)
    data = stream.feed(events[: len(events) - 300]) + stream.finish()
    assert told(name, data)[0] == "Well. "
    assert stream.error is None


@pytest.mark.parametrize("stops", [[""], ["", "END"]])
def test_stops_of_nothing_end_nothing(stops: list[str]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stop": stops}
    call = CHAT.decode(json.dumps(body).encode(), {}, "")
    bridge = translator(CHAT, "openai-responses", frozenset())
    sent = bridge.encode(call, TARGETS["a dialect without"][1])
    answer = bridge.decode(call, sent, whole("openai-responses", "Well."))
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "Well."


def test_too_many_stops_are_refused_by_name() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stop": [f"s{at}" for at in range(65)]}
    call = CHAT.decode(json.dumps(body).encode(), {}, "")
    with pytest.raises(ApiError) as refused:
        translator(CHAT, "openai-responses", frozenset()).encode(call, TARGETS["a dialect without"][1])
    assert (refused.value.status, refused.value.detail.param) == (400, "stop")


def test_what_is_about_a_text_is_kept_with_it() -> None:
    entries = [Raw(b'{"token":"Fact"}'), Raw(b'{"token":"."}'), Raw(b'{"token":"END"}')]
    cited = Citation(url="https://a", start=0, end=4)
    text = Text("Fact.END more", citations=(cited, Citation(url="https://b", start=9, end=13)))
    reply = Reply("r", "m", (Choice((text,), "stop", logprobs=tuple(entries)),), Usage())
    [choice] = until_stop(reply, ["END"]).choices
    assert (choice.parts, choice.logprobs) == ((Text("Fact.", citations=(cited,)),), tuple(entries[:2]))
    stream = UntilStop(
        Events([TextDelta("Fact E"), CitationAdded(cited), Logprobs((entries[0],)), TextDelta("x")]), STOPS
    )
    assert list(stream.feed(b"")) == [
        TextDelta("Fact "),
        TextDelta("Ex"),
        CitationAdded(cited),
        Logprobs((entries[0],)),
    ]


class Events:
    """A decoder that reads these."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def feed(self, data: bytes) -> list[Event]:
        return self._events

    def finish(self) -> list[Event]:
        return []
