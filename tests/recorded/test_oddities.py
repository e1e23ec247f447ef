"""The same oddity in the streams and answers of every dialect, alone and in pairs: no client gets less for it.

Each is done to recorded answers: what comes to the client of any API is what comes of the answer as it was recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any, Final

import pytest
from msgspec.structs import replace

from tests.recorded import Answer, answers
from tests.recorded.known import AS_SENT, KNOWN
from tests.recorded.sdks import Said, read
from tests.recorded.test_answers import ASKED, call, passed, target
from tests.rows import every
from tests.translation.test_noise import APIS as ALL
from weebill.gateway.translation import translator
from weebill.providers.registry import relay

APIS: Final = ("chat", "responses", "anthropic", "gemini")
# Members whose objects are not the provider's but the model's or a tool's.
FREE: Final = frozenset({"arguments", "args", "input", "parameters", "input_schema", "schema", "_meta", "result"})
# No lists of what has no index: OpenAI's SDK cannot put them together, whoever sends them.
ANY: Final = (None, True, 1.5, "x", [], {}, {"index": "x", "type": [3, None]})
Change = Callable[[Any], Any]


def everywhere(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """`value` with every object of it changed that is of the provider's making."""
    if isinstance(value, list):
        return [everywhere(each, change) for each in value]
    if not isinstance(value, dict):
        return value
    return change({name: each if name in FREE else everywhere(each, change) for name, each in value.items()})


def objects(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Answer], Answer]:
    """An oddity that changes every object."""

    def done(event: Any) -> Any:
        if isinstance(event, str):
            return event
        return [event[0], everywhere(event[1], change)] if _named(event) else everywhere(event, change)

    def odd(answer: Answer) -> Answer:
        if "frames" in answer.style:
            # The outermost names an event, which is no member of the payload.
            events = [{name: done(payload) for name, payload in event.items()} for event in answer.events]
        else:
            events = [done(event) for event in answer.events]
        return replace(answer, body=everywhere(deepcopy(answer.body), change), events=events)

    return odd


def _more(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, **{f"weebill_test_{at}": odd for at, odd in enumerate(ANY)}}


def _half(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, "weebill_test": "a\ud83d"}


def _counts(of: Callable[[int], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(value: dict[str, Any]) -> dict[str, Any]:
        return {
            name: of(each) if type(each) is int and "token" in name.lower() else each for name, each in value.items()
        }

    return change


def _nulls(value: dict[str, Any]) -> dict[str, Any]:
    """What is optional everywhere, said to be nothing."""
    return {"logprobs": None, "annotations": None, "refusal": None, "citations": None, "safetyRatings": None, **value}


def _reversed(value: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(value.items()))


def _ids(value: dict[str, Any]) -> dict[str, Any]:
    odd = {"created": "2026-01-02T03:04:05Z", "created_at": 1.5}
    return {name: odd.get(name, each) if type(each) in (int, float, str) else each for name, each in value.items()}


def _named(event: Any) -> bool:
    """Whether an event is one with its name."""
    return isinstance(event, list) and len(event) == 2 and isinstance(event[0], str | None)


def _sse(answer: Answer) -> bool:
    return answer.streamed and not {"frames", "lines"} & set(answer.style)


def _styled(style: str) -> Callable[[Answer], Answer]:
    def odd(answer: Answer) -> Answer:
        return answer if {"frames"} & set(answer.style) else replace(answer, style=[*answer.style, style])

    return odd


def _half_a_character(answer: Answer) -> Answer:
    """Half of a pair, escaped, in every object."""
    return answer if "frames" in answer.style else _styled("ascii")(objects(_half)(answer))


def _between(*lines: str) -> Callable[[Answer], Answer]:
    """Lines that say nothing, before, between and after all events."""

    def odd(answer: Answer) -> Answer:
        if not _sse(answer):
            return answer
        events = [each for event in answer.events for each in (*lines, event)]
        return replace(answer, events=[*events, *lines])

    return odd


def _numbered(answer: Answer) -> Answer:
    """Events with `id:` and `retry:`."""
    if not _sse(answer):
        return answer

    def numbered(event: Any) -> Any:
        if isinstance(event, str):
            return event
        name, data = event if _named(event) else (None, event)
        head = f"event: {name}\n" if name else ""
        return f"{head}id: 3\nretry: 10\ndata: {json.dumps(data)}"

    return replace(answer, events=[numbered(event) for event in answer.events])


def _lines(answer: Answer) -> Answer:
    """Pretty-printed JSON in `data:` lines."""
    if not _sse(answer):
        return replace(answer, style=[*answer.style, "pretty"])

    def pretty(event: Any) -> Any:
        if isinstance(event, str):
            return event
        name, data = event if _named(event) else (None, event)
        lines = json.dumps(data, indent=1).split("\n")
        return "\n".join([*([f"event: {name}"] if name else []), *(f"data: {line}" for line in lines)])

    return replace(answer, events=[pretty(event) for event in answer.events])


def _unnamed(answer: Answer) -> Answer:
    """Events without `event:`."""
    return replace(answer, events=[each[1] if _named(each) else each for each in answer.events])


def _mistyped(answer: Answer) -> Answer:
    """An event of a kind that is not known, amid the others."""
    if not _sse(answer):
        return answer
    new = ["something.new", {"type": "something.new", "data": [1]}]
    return replace(answer, events=[each for event in answer.events for each in (event, new)][:-1])


def _twice(answer: Answer) -> Answer:
    """A first event that comes twice."""
    first = answer.events[0] if answer.events else None
    told = json.dumps(first)
    if first is None or any(piece in told for piece in ('"text"', "tool", "unction", '"content": "', "thinking")):
        return answer
    return replace(answer, events=[first, *answer.events])


ODDITIES: Final[dict[str, Callable[[Answer], Answer]]] = {
    "members of any type": objects(_more),
    "half a character": _half_a_character,
    "counts as floats": objects(_counts(float)),
    "counts as text": objects(_counts(str)),
    "nulls": objects(_nulls),
    "members in another order": objects(_reversed),
    "times of other types": objects(_ids),
    "escaped": _styled("ascii"),
    "a byte-order mark": _styled("bom"),
    "CR LF": _styled("crlf"),
    "no space": _styled("tight"),
    "spaced JSON": _styled("spaced"),
    "JSON in lines": _lines,
    "comments": _between(": ping", ":"),
    "blank lines": _between(""),
    "events of null": _between("data: null"),
    "ids and retries": _numbered,
    "no names of events": _unnamed,
    "unknown events": _mistyped,
    "a first event twice": _twice,
}
PAIRS: Final = (
    ("members of any type", "JSON in lines", "CR LF"),
    ("counts as text", "half a character", "a byte-order mark"),
    ("no names of events", "members in another order", "comments"),
    ("unknown events", "nulls", "blank lines"),
    ("counts as floats", "times of other types", "CR LF", "no space", "ids and retries"),
)
# More bytes than any answer has.
WHOLE: Final = 1_000_000
ALIKE: Final = ("azure", "cloudflare", "huggingface", "llamacpp")
# Those of them that are the very record of OpenAI's dialect, by another name.
ALIASES: Final = ("cloudflare", "huggingface")


@cache
def bases() -> dict[str, Answer]:
    """Answers of each dialect that differ in what they hold."""
    found: dict[tuple[str, bool, bool, bool], Answer] = {}
    for answer in answers().values():
        want = answer.want
        if want.error or want.also or answer.dialect == "completions" or answer.provider == "reports":
            continue
        if any((answer.id, api) in KNOWN or (answer.id, api) in AS_SENT for api in APIS):
            continue
        kind = (answer.dialect, answer.streamed, bool(want.reasoning), bool(want.calls))
        found.setdefault(kind, answer)
    for (dialect, *kind), answer in list(found.items()):
        if dialect == "openai":
            for name in ALIKE:
                found.setdefault((name, answer.streamed, *kind[1:]), replace(answer, dialect=name))
    return {answer.id: answer for answer in found.values()}


@cache
def plain(name: str, api: str) -> tuple[Said, tuple[int, int]]:
    answer = bases()[name]
    got = passed(api, answer, WHOLE)
    return read(api, got.body, stream=answer.streamed), got.usage


TURNS: Final = (*((each,) for each in ODDITIES), *PAIRS)


def asked_for(name: str, oddities: tuple[str, ...], api: str) -> bool:
    """Tells whether an oddity is tried in an API: that of the dialect, and each of the others in turn."""
    turn = [*bases()].index(name) + TURNS.index(oddities)
    return APIS.index(api) == turn % 4 or relay(ALL[api].native, bases()[name].dialect) is not None


def names() -> list[object]:
    """Of all answers; an alias has every oddity in one stream, in the others they are `slow`."""
    shown: set[str] = set()
    params = []
    for name, answer in bases().items():
        again = answer.dialect in ALIASES and (answer.dialect in shown or not answer.streamed)
        params.append(pytest.param(name, marks=pytest.mark.slow if again else ()))
        if not again:
            shown.add(answer.dialect)
    return params


def _done(answer: Answer, oddities: tuple[str, ...]) -> Answer:
    for each in oddities:
        answer = ODDITIES[each](answer)
    return answer


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", names())
@every("oddities", TURNS)
def test_an_oddity(name: str, oddities: tuple[str, ...], api: str) -> None:
    """In one piece, or byte by byte: each of them in turn."""
    if asked_for(name, oddities, api):
        bytewise = ([*bases()].index(name) + TURNS.index(oddities)) // len(APIS) % 2
        check_oddity(name, oddities, api, (1,) if bytewise and bases()[name].streamed else (WHOLE,))


@pytest.mark.slow
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", [name for name, answer in bases().items() if answer.streamed])
@every("oddities", TURNS)
def test_an_oddity_in_one_piece_and_byte_by_byte(name: str, oddities: tuple[str, ...], api: str) -> None:
    check_oddity(name, oddities, api, (1, WHOLE))


def check_oddity(name: str, oddities: tuple[str, ...], api: str, sizes: tuple[int, ...]) -> None:
    answer = bases()[name]
    odd = _done(answer, oddities)
    if odd == answer:
        return
    said, usage = plain(name, api)
    for size in sizes:
        got = passed(api, odd, size)
        assert got.usage == usage
        again = read(api, got.body, stream=answer.streamed)
        assert (again.text, again.reasoning, again.calls, again.finish) == (
            said.text, said.reasoning, said.calls, said.finish,
        )  # fmt: skip


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", [name for name, answer in bases().items() if not answer.streamed])
def test_an_answer_in_one_piece_where_a_stream_was_asked_for(name: str, api: str) -> None:
    answer = bases()[name]
    said, usage = plain(name, api)
    translate = translator(ALL[api], answer.dialect, frozenset())
    asked = call(api, ASKED[api], stream=True)
    data = answer.data()
    for size in (1, len(data)):
        stream = translate.stream(asked, translate.encode(asked, target(answer)))
        out = b"".join([stream.feed(data[at : at + size]) for at in range(0, len(data), size)]) + stream.finish()
        again = read(api, out, stream=True)
        assert (again.text, again.reasoning, again.calls, again.finish) == (
            said.text, said.reasoning, said.calls, said.finish,
        )  # fmt: skip
        if stream.usage.measured:
            assert (stream.usage.prompt_tokens, stream.usage.completion_tokens) == usage
