"""What the vectors of these three dialects say, for each of them: requests, whole answers, streams, errors."""

from __future__ import annotations

import copy
import json
import random
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from tests.vectors.eventstream import encode_entry
from weebill.gateway.failures import client_error
from weebill.providers.base import Target
from weebill.providers.bedrock.dialect import BEDROCK_DIALECT
from weebill.providers.cohere.dialect import COHERE_DIALECT
from weebill.providers.fit import Fit
from weebill.providers.ollama.dialect import OLLAMA_DIALECT
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import Conversation, Reasoning, Text, ToolUse
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Failed, Finished, Reply, Started, Usage

VECTORS = Path(__file__).parent.parent / "vectors"
DIALECTS = {"bedrock": BEDROCK_DIALECT, "cohere": COHERE_DIALECT, "ollama": OLLAMA_DIALECT}
HELLO = Text("Hello there.")


@cache
def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def scenarios(kind, wanted):
    return [
        pytest.param(name, scenario, id=f"{name}-{scenario}")
        for name in DIALECTS
        for scenario, vector in vectors(name)[kind].items()
        if wanted(vector)
    ]


def raw_in(fields, name):
    """Take the field `name` out of `fields`, as raw JSON."""
    return Raw(msgspec.json.encode(fields.pop(name))) if name in fields else None


def conversation_of(fields):
    """A vector's conversation. What is raw in it is put in afterwards: msgspec decodes no `Raw | None`."""
    fields = copy.deepcopy(fields)
    parameters = [raw_in(tool, "parameters") for tool in fields.get("tools", ())]
    schema = raw_in(fields.get("output", {}), "schema")
    parts = [part for turn in fields["turns"] for part in turn["parts"]]
    raws = iter([raw_in(cited, "raw") for part in parts for cited in part.get("citations", ())])
    asked = msgspec.json.decode(msgspec.json.encode(fields), type=Conversation)
    turns = []
    for turn in asked.turns:
        said = [
            replace(part, citations=tuple(replace(cited, raw=next(raws)) for cited in part.citations))
            if isinstance(part, Text)
            else part
            for part in turn.parts
        ]
        turns.append(replace(turn, parts=tuple(said)))
    return replace(
        asked,
        turns=tuple(turns),
        tools=tuple(replace(tool, parameters=raw) for tool, raw in zip(asked.tools, parameters, strict=True)),
        output=asked.output and replace(asked.output, schema=schema),
    )


def answered(name, scenario):
    return vectors(name)["answers"][scenario]


def stream_bytes(name, scenario):
    entries = answered(name, scenario)["stream"]
    if name == "bedrock":
        return b"".join(encode_entry(entry) for entry in entries)
    return "".join(entries).encode()


def events_of(name, pieces):
    decoder = DIALECTS[name].stream()
    events = []
    for piece in pieces:
        events += decoder.feed(piece)
    return [*events, *decoder.finish()]


def reply_of(events):
    builder = ReplyBuilder()
    for event in events:
        builder.add(event)
    return builder.reply()


def compact(reply):
    """A reply as JSON, in which raw JSON has no spaces."""
    return msgspec.json.format(msgspec.json.encode(reply), indent=-1)


def outcome(name, pieces):
    """The reply of a stream, or how it failed."""
    try:
        return reply_of(events_of(name, pieces))
    except UpstreamFailure as error:
        return error.failure, error.message, error.code


@pytest.mark.parametrize(("name", "scenario"), scenarios("requests", bool))
def test_a_request_is_written_as_documented(name, scenario):
    vector = vectors(name)["requests"][scenario]
    conversation = conversation_of(vector["conversation"])
    request = DIALECTS[name].encode(
        conversation, Target(model=vector.get("model", scenario)), Fit(), stream=vector["stream"]
    )
    assert json.loads(request.body) == vector["body"]
    assert request.path.decode() == vector["path"]
    assert request.headers == b"content-type: application/json\r\n"


def call(tool, arguments):
    return ToolUse("", tool, arguments)


PARIS, LONDON = call("get_weather", '{"city":"Paris"}'), call("get_weather", '{"city":"London"}')
# What all dialects make of the scenarios that they share: parts but for ids and origins, finish, prompt, completion.
COMMON = {
    "text": ([HELLO], "stop", 11, 4),
    "tool-one": ([PARIS], "tool_calls", 60, 20),
    "tool-parallel": ([Text("Let me look."), PARIS, LONDON], "tool_calls", 60, 40),
    "tool-empty": ([call("now", "{}")], "tool_calls", 60, 8),
    "vision": ([Text("A red bird.")], "stop", 270, 5),
    "json-schema": ([Text('{"name":"Ada","age":36}')], "stop", 40, 12),
    "reasoning": ([Reasoning("The user greets me."), HELLO], "stop", 11, 11),
    "cached": ([HELLO], "stop", 1000, 4),
    "length": ([Text("Hello")], "length", 11, 1),
}


def plain(part):
    if isinstance(part, ToolUse):
        return call(part.name, part.arguments)
    return Reasoning(part.text) if isinstance(part, Reasoning) else part


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("scenario", COMMON)
def test_an_answer_means_the_same_whoever_gives_it(name, scenario):
    parts, finish, prompt, completion = COMMON[scenario]
    reply = DIALECTS[name].decode(json.dumps(answered(name, scenario)["body"]).encode())
    [choice] = reply.choices
    assert [plain(part) for part in choice.parts] == parts
    assert choice.finish == finish
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (prompt, completion)
    assert reply.usage.measured
    assert reply.usage.cached_tokens == (800 if scenario == "cached" else 0)
    calls = [part for part in choice.parts if isinstance(part, ToolUse)]
    assert all(part.id for part in calls)
    assert len({part.id for part in calls}) == len(calls)
    assert all(part.origin == name for part in choice.parts if isinstance(part, Reasoning))


@pytest.mark.parametrize(
    ("name", "scenario"), scenarios("answers", lambda vector: "body" in vector and "stream" in vector)
)
def test_a_stream_says_what_the_whole_answer_says(name, scenario):
    try:
        whole = compact(DIALECTS[name].decode(json.dumps(answered(name, scenario)["body"]).encode()))
    except UpstreamFailure as error:
        whole = error.failure.kind
    streamed = outcome(name, [stream_bytes(name, scenario)])
    assert (compact(streamed) if isinstance(streamed, Reply) else streamed[0].kind) == whole


@pytest.mark.parametrize(("name", "scenario"), scenarios("answers", lambda vector: "stream" in vector))
def test_a_stream_split_into_bytes_says_the_same(name, scenario):
    data = stream_bytes(name, scenario)
    assert outcome(name, [data[at : at + 1] for at in range(len(data))]) == outcome(name, [data])


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("scenario", ["text", "tool-one", "error-mid-stream"])
def test_a_stream_split_once_anywhere_says_the_same(name, scenario):
    data = stream_bytes(name, scenario)
    expected = outcome(name, [data])
    for at in range(1, len(data)):
        assert outcome(name, [data[:at], data[at:]]) == expected


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), scenario=st.sampled_from(["tool-parallel", "reasoning", "cached", "length"]))
def test_a_stream_split_at_random_says_the_same(name, seed, scenario):
    data = stream_bytes(name, scenario)
    chance = random.Random(seed)
    cuts = sorted(chance.sample(range(1, len(data)), chance.randrange(1, 12)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert events_of(name, pieces) == events_of(name, [data])


@pytest.mark.parametrize("name", DIALECTS)
def test_a_stream_begins_once_and_its_blocks_never_go_back(name):
    events = events_of(name, [stream_bytes(name, "tool-parallel")])
    assert [type(event) for event in events].count(Started) == 1
    assert isinstance(events[0], Started)
    assert [type(event) for event in events].count(Finished) == 1
    blocks = [event.block for event in events if hasattr(event, "block")]
    assert blocks == sorted(blocks)
    assert set(blocks) == {0, 1, 2}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_stream_that_is_cut_is_no_end(name):
    data = stream_bytes(name, "cut")
    for end in (len(data), len(data) - 3):
        decoder = DIALECTS[name].stream()
        decoder.feed(data[:end])
        with pytest.raises(UpstreamFailure) as caught:
            decoder.finish()
        assert caught.value.code == "upstream_cut"


# For each error: the status for the client, the code, and a piece of the provider's own words.
ERRORS = {
    "error-400": (400, None, ""),
    "error-400-context": (400, "context_length_exceeded", ""),
    "error-401": (502, "upstream_credential_refused", "the upstream 'mine'"),
    "error-404": (404, "model_not_found", "model"),
    "error-429": (429, "rate_limit_exceeded", ""),
    "error-500": (500, "upstream_error", ""),
    "error-overloaded": (503, "upstream_overloaded", ""),
}


@pytest.mark.parametrize(
    ("name", "scenario"),
    scenarios("answers", lambda vector: vector["status"] != 200),
)
def test_an_error_keeps_its_words_and_blames_whom_it_should(name, scenario):
    vector = answered(name, scenario)
    body = vector["body"]
    message = body.get("message") or body.get("error")
    error = client_error(DIALECTS[name].error(vector["status"], json.dumps(body).encode(), "mine"))
    assert message in error.detail.message
    if scenario in ERRORS:
        status, code, words = ERRORS[scenario]
        assert (error.status, error.detail.code) == (status, code)
        assert words in error.detail.message.lower()


@pytest.mark.parametrize("name", DIALECTS)
def test_an_error_that_is_no_json_keeps_its_words(name):
    error = client_error(DIALECTS[name].error(500, b"<h1>Bad things</h1>", "mine"))
    assert (error.status, error.detail.message) == (500, "<h1>Bad things</h1>")
    assert "mine" in client_error(DIALECTS[name].error(500, b"{}", "mine")).detail.message


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("scenario", ["error-first-event", "error-mid-stream"])
def test_an_error_inside_a_stream_fails_it(name, scenario):
    decoder = DIALECTS[name].stream()
    *before, last = decoder.feed(stream_bytes(name, scenario) + stream_bytes(name, "text"))
    assert isinstance(last, Failed)
    assert client_error(last.error).status >= 429
    assert not any(isinstance(event, Failed | Finished) for event in before)
    assert bool(before) == (scenario == "error-mid-stream")


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'"hello"', b"\xff", b'{"message":[5]}'])
def test_what_is_no_answer_is_refused(name, body):
    with pytest.raises(UpstreamFailure) as caught:
        DIALECTS[name].decode(body)
    assert (client_error(caught.value).status, client_error(caught.value).detail.code) == (
        502,
        "upstream_invalid_answer",
    )


@pytest.mark.parametrize("name", DIALECTS)
def test_an_error_in_a_whole_answer_is_raised(name):
    with pytest.raises(UpstreamFailure) as caught:
        DIALECTS[name].decode(json.dumps(answered(name, "error-in-200")["body"]).encode())
    assert client_error(caught.value).status in (500, 502)
    assert client_error(caught.value).detail.code == "upstream_error"


def test_usage_holds_to_its_invariant():
    reply = BEDROCK_DIALECT.decode(json.dumps(answered("bedrock", "cached")["body"]).encode())
    assert reply.usage == Usage(1000, 800, 4, True, cache_write_tokens=100)
