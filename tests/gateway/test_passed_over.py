"""What an answer holds that no client's API has a place for is named, and the rest of it goes on."""

from collections.abc import Sequence

import pytest

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.bridge_stream import BridgeStream
from weebill.gateway.for_client import ForClient
from weebill.providers.base import NOTHING_SENT
from weebill.wire.accumulate import MAX_NAMED, ReplyBuilder
from weebill.wire.conversation import Audio, Citation, Image, Part, Text, ToolUse
from weebill.wire.replay import events_of
from weebill.wire.reply import Choice, Event, Finished, PassedOver, Reply, Started, TextDelta, Usage

EVENTS: list[Event] = [
    PassedOver("first"),
    Started("id", "m"),
    TextDelta("Hello"),
    PassedOver("web_search_tool_result"),
    PassedOver("web_search_tool_result"),
    PassedOver("mcp_tool_use"),
    TextDelta(" there."),
    Finished("stop"),
]
NAMED = ("first", "web_search_tool_result", "mcp_tool_use")


class Decoder:
    """Gives the events one by one, whatever it is fed."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = list(events)

    def feed(self, data: bytes) -> Sequence[Event]:
        return [self._events.pop(0)]

    def finish(self) -> Sequence[Event]:
        return self._events


def test_a_whole_answer_names_it() -> None:
    builder = ReplyBuilder()
    for event in EVENTS:
        builder.add(event)
    reply = builder.reply()
    assert reply.dropped == NAMED
    assert [part.text for part in reply.choices[0].parts] == ["Hello there."]  # type: ignore[union-attr]


@pytest.mark.parametrize("api", [CHAT, ANTHROPIC], ids=lambda api: api.name)
@pytest.mark.parametrize("fed", [0, 1, len(EVENTS)])
def test_a_stream_names_it_and_is_as_if_it_had_not_been(api: Api, fed: int) -> None:
    prompt = b'{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}'

    def told(events: Sequence[Event]) -> tuple[bytes, tuple[str, ...]]:
        call = api.decode(prompt, {}, "")
        stream = BridgeStream(call, Decoder(events), api.stream(call))
        sent = b"".join(stream.feed(b"x") for _ in range(min(fed, len(events)))) + stream.finish()
        return sent, tuple(stream.dropped)

    with_it, named = told(EVENTS)
    without, nothing = told([event for event in EVENTS if not isinstance(event, PassedOver)])
    assert (named, nothing) == (NAMED, ())
    assert b"web_search" not in with_it
    assert len(with_it) == len(without)


PICTURE = Image(media_type="image/png", data="aW1n")
SOUND = Audio("c25k", "mp3", transcript="Hi.")
CALLED = ToolUse("c", "f", "{}")
CITED = Text("It is.", citations=(Citation("https://a/", "A"),))


@pytest.mark.parametrize(
    ("api", "part", "named"),
    [
        (RESPONSES, SOUND, ("audio",)),
        (RESPONSES, PICTURE, ()),
        (COMPLETIONS, SOUND, ("audio",)),
        (COMPLETIONS, PICTURE, ("images",)),
        (COMPLETIONS, CALLED, ("tool_calls",)),
        (COMPLETIONS, CITED, ("citations",)),
        (CHAT, CITED, ()),
        (CHAT, CALLED, ()),
        (ANTHROPIC, CITED, ()),
        (ANTHROPIC, SOUND, ("audio",)),
        (ANTHROPIC, PICTURE, ()),
        (CHAT, SOUND, ()),
        (CHAT, PICTURE, ()),
    ],
    ids=lambda value: getattr(value, "name", None) or type(value).__name__,
)
def test_a_part_without_a_place_in_the_clients_api_is_named(api: Api, part: Part, named: tuple[str, ...]) -> None:
    """Whole and streamed; the rest of the answer is there."""
    asked = {"completions": b'"prompt":"x"', "responses": b'"input":"x"'}.get(
        api.name, b'"max_tokens":9,"messages":[{"role":"user","content":"x"}]'
    )
    call = api.decode(b'{"model":"m","stream":true,%b}' % asked, {}, "")
    for_client = ForClient("", NOTHING_SENT, api.unsaid)
    reply = for_client.reply(Reply("id", "m", (Choice((Text("Hello"), part), "stop"),), Usage(), dropped=("first",)))
    assert reply.dropped == ("first", *named)
    assert b"Hello" in api.answer(call, reply)
    events = events_of(Reply("id", "m", (Choice((Text("Hello"), part), "stop"),), Usage()))
    stream = BridgeStream(call, Decoder(events), api.stream(call), for_client)
    assert b"Hello" in b"".join(stream.feed(b"x") for _ in events) + stream.finish()
    assert tuple(stream.dropped) == named


def test_so_many_are_named_and_no_more() -> None:
    builder = ReplyBuilder()
    for number in range(MAX_NAMED * 3):
        builder.add(PassedOver(str(number)))
    assert len(builder.reply().dropped) == MAX_NAMED
