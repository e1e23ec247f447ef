"""A conversation with tools in two turns, from each inbound API to each dialect, in one piece and streamed."""

from __future__ import annotations

from typing import Final

import pytest

from tests.emulator.running import Gateway, model
from tests.emulator.seen import Seen
from tests.emulator.server import ALIASES, DIALECTS, DISTINCT, TWO_TURN
from tests.emulator.two_turn import (
    CITIES,
    COMPLETION_TOKENS,
    OPAQUE,
    PROMPT_TOKENS,
    REASONING,
    TEXT,
    TOOL,
)
from tests.rows import every
from tests.translation.clients import CLIENTS, LIMIT, QUESTION, SCHEMA, SYSTEM, Client, Said

RESULTS: Final = ["sunny, 21 degrees", "rain, 12 degrees"]
ANSWER: Final = "Hello there."
# What cannot be told that a tool must be called.
NO_CHOICE: Final = frozenset({"ollama"})
# Who answers first, and who is asked next; an alias is asked by itself, and after and before the one whose alias it is.
PAIRS: Final = [
    *((before, after) for before in DISTINCT if before in OPAQUE for after in DISTINCT),
    *(pair for alias in ALIASES for pair in ((alias, alias), (alias, "openai"), ("openai", alias))),
]


def ask(
    gateway: Gateway, client: Client, dialect: str, history: list[dict[str, object]], stream: bool, choice: str | None
) -> Said:
    name = model(dialect, TWO_TURN)
    response = gateway.client.post(client.path(name, stream), json=client.request(name, history, stream, choice))
    assert response.status_code == 200, response.text
    return client.streamed(response.text) if stream else client.whole(response.json())


def check_first(client: Client, said: Said) -> None:
    """The same content for the client, whatever the dialect."""
    assert said.reasoning == REASONING
    assert said.text == TEXT
    assert [(call.name, call.arguments) for call in said.calls] == [(TOOL, {"city": city}) for city in CITIES]
    assert all(call.id for call in said.calls)
    assert len({call.id for call in said.calls}) == len(CITIES)
    assert said.finish == client.finishes[1]
    assert said.usage == (PROMPT_TOKENS, COMPLETION_TOKENS)


def check_second(seen: Seen, said: Said) -> None:
    """The same conversation for the upstream, whatever the inbound API."""
    assert seen.system == SYSTEM
    assert seen.users == [QUESTION]
    assert "".join(seen.said) == TEXT
    assert seen.tools == {TOOL: SCHEMA}
    assert seen.limit == LIMIT
    assert [(call.name, call.arguments) for call in seen.calls] == [(TOOL, {"city": city}) for city in CITIES]
    assert [seen.results[call.id] for call in seen.calls] == RESULTS


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@every("dialect", DIALECTS)
@pytest.mark.parametrize("api", CLIENTS)
def test_tools_called_and_answered(gateway: Gateway, api: str, dialect: str, stream: bool) -> None:
    client = CLIENTS[api]
    history = client.question()
    forced = None if dialect in NO_CHOICE else "required"
    said = ask(gateway, client, dialect, history, stream, forced)
    check_first(client, said)
    first = gateway.emulator.last(dialect)
    assert first.stream is stream
    assert first.seen.choice == (forced or "auto")
    assert (first.seen.system, first.seen.users, first.seen.tools) == (SYSTEM, [QUESTION], {TOOL: SCHEMA})

    answered = ask(gateway, client, dialect, [*history, *said.echo, *client.results(said, RESULTS)], stream, "auto")
    second = gateway.emulator.last(dialect).seen
    check_second(second, said)
    assert second.choice == "auto"
    assert second.opaque == ([OPAQUE[dialect]] if dialect in OPAQUE else [])
    assert (answered.text, answered.finish, answered.calls) == (ANSWER, client.finishes[0], [])
    assert answered.usage == (11, 4)


@pytest.mark.parametrize("thirds", [1, pytest.param(3, marks=pytest.mark.slow)])
@every(("before", "after"), PAIRS)
@pytest.mark.parametrize("api", CLIENTS)
def test_what_is_opaque_reaches_its_own_provider_alone(
    gateway: Gateway, api: str, before: str, after: str, thirds: int
) -> None:
    """The second turn goes to any provider, those that speak the same dialect among them.

    Of the pairs that differ, each API is tried with so many thirds, each of them in turn.
    """
    if before != after and (PAIRS.index((before, after)) + [*CLIENTS].index(api)) % 3 >= thirds:
        return
    client = CLIENTS[api]
    expected = [OPAQUE[before]] if before == after else []
    history = client.question()
    said = ask(gateway, client, before, history, True, None)
    answered = ask(gateway, client, after, [*history, *said.echo, *client.results(said, RESULTS)], True, None)
    second = gateway.emulator.last(after).seen
    check_second(second, said)
    assert second.opaque == expected
    assert answered.text == ANSWER
