"""llama.cpp for other APIs: the same grammars, tools and refusals as for chat."""

import msgspec
import pytest
from msgspec import Raw

from weebill.gateway.failures import client_error
from weebill.providers.base import Target, Unsupported
from weebill.providers.fit import Fit
from weebill.providers.llamacpp.dialect import LLAMACPP_DIALECT, LlamaCppDialect
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import (
    Audio,
    Conversation,
    Image,
    OutputFormat,
    Reasoning,
    Refusal,
    Role,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Choice, Failed, Reply, Usage

SCHEMA = Raw(b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}')
WEATHER = Tool("get_weather", parameters=SCHEMA)
HI = (Turn("user", (Text("hi"),)),)
PLAIN = Conversation(turns=HI)
FREE = Conversation(turns=HI, tools=(WEATHER,))
BOUND = Conversation(turns=HI, tools=(WEATHER,), tool_choice=ToolChoice("required"))
ARGUMENTS = '{"city": "Paris"}'


def sent(conversation: Conversation, stream: bool = False) -> dict[str, object]:
    request = LLAMACPP_DIALECT.encode(conversation, Target(model="m"), Fit(), stream=stream)
    assert request.path == b"/chat/completions"
    body: dict[str, object] = msgspec.json.decode(request.body)
    return body


def test_it_is_always_asked_for_a_stream() -> None:
    assert sent(PLAIN) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }


def test_its_own_name_for_a_penalty() -> None:
    assert sent(Conversation(turns=HI, repetition_penalty=1.1))["repeat_penalty"] == 1.1


def test_a_schema_and_a_forced_call_become_grammars() -> None:
    form = OutputFormat("json_schema", SCHEMA, "x")
    by_schema = sent(Conversation(turns=HI, output=form))
    assert "response_format" not in by_schema
    assert '"city"' in str(by_schema["grammar"])
    forced = sent(BOUND)
    assert forced["tool_choice"] == "none"
    assert '"get_weather"' in str(forced["grammar"])


@pytest.mark.parametrize(
    ("conversation", "field"),
    [
        (Conversation(turns=(Turn("user", (Image(url="https://example.com/a.png"),)),)), "turns"),
        (Conversation(turns=()), "turns"),
        (Conversation(turns=HI, output=OutputFormat("json_schema", Raw(b'{"not":{}}'), "x")), "output"),
    ],
)
def test_what_it_cannot_do_is_refused_by_its_canonical_name(conversation: Conversation, field: str) -> None:
    with pytest.raises(Unsupported) as caught:
        sent(conversation)
    assert caught.value.field == field


def test_fields_of_its_own_go_along_and_all_others_are_named() -> None:
    hints = {"user": Raw(b'"u"'), "metadata": Raw(b'{"user_id":"u"}'), "store": Raw(b"false")}
    extra = {"min_p": Raw(b"0.1"), "repeat_penalty": Raw(b"1.1"), "verbosity": Raw(b'"low"'), "x": Raw(b"1")}
    asked = Conversation(turns=HI, max_tokens=32_000, hints=hints, extra=extra)
    fit = Fit()
    request = LLAMACPP_DIALECT.encode(asked, Target(model="m", max_output_tokens=512), fit, stream=True)
    body = msgspec.json.decode(request.body)
    assert body.keys() == {
        *("model", "messages", "stream", "stream_options", "return_progress"),
        *("max_tokens", "min_p", "repeat_penalty"),
    }
    assert body["max_tokens"] < 512
    assert fit.dropped == ("verbosity", "x", "user", "metadata", "max_tokens")


def test_a_history_is_as_it_reads_one() -> None:
    """Calls with arguments that are an object's JSON, and no part that is no text."""
    said = (Refusal("No."), Reasoning("Hm.", signature="s", origin="anthropic"), ToolUse("a", "f", '{"city": "Ber'))
    turns = (*HI, Turn("assistant", said), Turn("tool", (ToolResult("a", (Text("ok"),)),)), *HI)
    messages = sent(Conversation(turns=turns))["messages"]
    assert isinstance(messages, list)
    assert messages[1]["content"] == "No."
    assert messages[1].keys() == {"role", "content", "tool_calls"}
    [call] = messages[1]["tool_calls"]
    assert msgspec.json.decode(call["function"]["arguments"]) == {"weebill_arguments": '{"city": "Ber'}


def test_the_word_that_ended_an_answer() -> None:
    asked = Conversation(turns=HI, stop=("END",))
    assert sent(asked)["response_fields"] == ["stopping_word"]
    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"__verbose":{"stopping_word":"END"}}'
    data = stream("Hi")
    cut = data.index(b'data: {"id":"chatcmpl-abc","model":"m","choices":[{"index":0,"delta":{}')
    told = data[:cut] + end + data[data.index(b"\n\n", cut) :]
    assert reply(asked, told, 7).choices == (Choice((Text("Hi"),), "stop", "END"),)


def stream(text: str, *choices: int) -> bytes:
    def chunk(delta: object, reason: str | None, index: int) -> bytes:
        choice = {"index": index, "delta": delta, "finish_reason": reason}
        return b"data: " + msgspec.json.encode({"id": "chatcmpl-abc", "model": "m", "choices": [choice]}) + b"\n\n"

    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    reported = b"data: " + msgspec.json.encode({"id": "chatcmpl-abc", "choices": [], "usage": usage}) + b"\n\n"
    spoken = [
        chunk({"role": "assistant", "content": None}, None, index)
        + b"".join([chunk({"content": letter}, None, index) for letter in text])
        + chunk({}, "stop", index)
        + reported
        for index in choices or (0,)
    ]
    return b"".join(spoken) + b"data: [DONE]\n\n"


def reply(conversation: Conversation, data: bytes, size: int) -> Reply:
    dialect = LLAMACPP_DIALECT
    assert isinstance(dialect, LlamaCppDialect)
    decoder, builder = dialect.stream_for(conversation), ReplyBuilder()
    for at in range(0, len(data), size):
        for event in decoder.feed(data[at : at + size]):
            builder.add(event)
    for event in decoder.finish():
        builder.add(event)
    return builder.reply()


FORCED = f'{{"name": "get_weather", "arguments":{ARGUMENTS}}}'
CALL = ToolUse("call_abc_0", "get_weather", ARGUMENTS)


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("conversation", "text", "choice"),
    [
        (PLAIN, "Hello there.", Choice((Text("Hello there."),), "stop")),
        (PLAIN, FORCED, Choice((Text(FORCED),), "stop")),
        (FREE, "Hello there.", Choice((Text("Hello there."),), "stop")),
        (FREE, f"<tool_call>{FORCED}</tool_call>", Choice((CALL,), "tool_calls")),
        (BOUND, FORCED, Choice((CALL,), "tool_calls")),
    ],
)
def test_text_becomes_calls_where_tools_are_offered(
    conversation: Conversation, text: str, choice: Choice, size: int
) -> None:
    assert reply(conversation, stream(text), size) == Reply("chatcmpl-abc", "m", (choice,), Usage.reported(9, 3))


def test_the_usage_of_all_choices_is_summed() -> None:
    assert reply(PLAIN, stream("a", 0, 1), 50).usage == Usage.reported(9, 6)


def test_a_cut_and_an_error_are_told() -> None:
    decoder = LLAMACPP_DIALECT.stream()
    decoder.feed(stream("Hello")[:300])
    with pytest.raises(UpstreamFailure):
        decoder.finish()
    events = LLAMACPP_DIALECT.stream().feed(b'data: {"error":{"message":"boom"}}\n\n')
    assert isinstance(events[-1], Failed)


def test_a_prompt_beyond_the_window() -> None:
    body = b'{"error":{"message":"too long","type":"exceed_context_size_error","code":400}}'
    error = client_error(LLAMACPP_DIALECT.error(400, body, "local"))
    assert (error.status, error.detail.code) == (400, "context_length_exceeded")


def test_what_was_dropped_does_not_stand_in_the_way_of_the_answer() -> None:
    """The answer is read by what was written, of which a second writing must not fail."""
    asked = Conversation(
        turns=(Turn("user", (Text("Hi"), Audio("QUJD", "wav"))),), tools=FREE.tools, extra={"x": Raw(b"1")}
    )
    fit = Fit("drop")
    dialect = LLAMACPP_DIALECT
    assert isinstance(dialect, LlamaCppDialect)
    request = dialect.encode(asked, Target(model="m"), fit, stream=True)
    assert b"input_audio" not in request.body
    assert fit.dropped == ("x", "messages[0].content[1].type")
    assert reply(asked, stream("Hello there."), 7).choices == (Choice((Text("Hello there."),), "stop"),)


def test_images_are_written_and_no_addresses_of_any() -> None:
    """llama.cpp would fetch them, from wherever they lead."""
    shown = Image(data="QUJD", media_type="image/png")
    request = LLAMACPP_DIALECT.encode(
        Conversation(turns=(Turn("user", (shown,)),)), Target(model="m"), Fit(), stream=True
    )
    assert b'"url":"data:image/png;base64,QUJD"' in request.body
    given = ToolResult("c", (Image(url="http://10.0.0.1/a.png"),))
    for part in (Image(url="https://example.com/a.png"), Image(file_id="file-1"), given):
        role: Role = "tool" if part is given else "user"
        asked = Conversation(turns=(Turn(role, (part,)),))
        for policy in ("drop-hints", "drop"):
            with pytest.raises(Unsupported, match="images by address or file id"):
                LLAMACPP_DIALECT.encode(asked, Target(model="m"), Fit(policy), stream=True)
