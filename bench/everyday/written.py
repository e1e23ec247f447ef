"""Follow-ups, calls of tools and JSON, from tables: what is asked has one right answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from bench.everyday.items import FOLLOW_UPS, JSON, JSON_MODE, TOOLS, Item, answer_of, said, talk
from bench.proc import BenchError
from weebill.factory.checkers import Answer, Calls, Check, IsJson, Number, Says
from weebill.factory.tasks import Message

_CAPITALS: Final = (
    ("Norway", "Oslo"), ("Kenya", "Nairobi"), ("Peru", "Lima"), ("Japan", "Tokyo"), ("Greece", "Athens"),
    ("Egypt", "Cairo"), ("Cuba", "Havana"), ("Austria", "Vienna"), ("Thailand", "Bangkok"), ("Ireland", "Dublin"),
    ("Poland", "Warsaw"), ("Chile", "Santiago"), ("Hungary", "Budapest"), ("Iceland", "Reykjavik"),
)  # fmt: skip
_SUMS: Final = (
    (14, 9), (35, 21), (48, 16), (63, 27), (72, 18), (26, 34), (55, 45), (17, 33),
)  # fmt: skip
_OPPOSITES: Final = (
    ("hot", ("cold",)), ("early", ("late",)), ("strong", ("weak",)), ("empty", ("full",)), ("young", ("old",)),
    ("wet", ("dry",)), ("rich", ("poor",)), ("loud", ("quiet", "silent", "soft")),
)  # fmt: skip
_PEOPLE: Final = (
    ("Ana Ruiz", 34, "Quito"), ("Tom Berg", 51, "Malmö"), ("Li Wen", 28, "Xi'an"), ("Sara Okafor", 45, "Lagos"),
    ("Jan Novak", 62, "Brno"), ("Mia Rossi", 19, "Turin"), ("Omar Haddad", 37, "Amman"), ("Eva Lind", 73, "Bergen"),
    ("Paul Meyer", 40, "Graz"), ("Nina Costa", 23, "Porto"), ("Ravi Patel", 58, "Pune"), ("Ida Holm", 31, "Aarhus"),
    ("Karl Weiss", 66, "Bonn"), ("Lena Kovac", 27, "Split"), ("Hugo Silva", 49, "Natal"), ("Aya Mori", 35, "Kobe"),
    ("Ben Adler", 22, "Leeds"), ("Rosa Vega", 54, "Cusco"),
)  # fmt: skip
_ORDERS: Final = (
    (2, "lamp", 40), (3, "mug", 9), (12, "pencil", 1), (5, "chair", 70), (4, "towel", 15), (1, "desk", 180),
    (6, "plate", 8), (10, "battery", 2), (7, "candle", 5), (8, "notebook", 3), (9, "glove", 11), (20, "stamp", 1),
    (15, "folder", 4), (2, "carpet", 130), (3, "kettle", 35), (11, "spoon", 6), (6, "pillow", 22), (4, "clock", 48),
)  # fmt: skip
_TOOLS: Final = {
    "get_weather": {"city": "string"},
    "set_alarm": {"time": "string"},
    "book_table": {"restaurant": "string", "people": "integer"},
    "play_song": {"title": "string"},
    "convert": {"amount": "number", "source": "string", "target": "string"},
    "find_flights": {"origin": "string", "destination": "string"},
}
_CALLS: Final = (
    ("What is the weather in {city} now?", "get_weather", ("city",),
     (("Madrid",), ("Helsinki",), ("Dakar",), ("Hanoi",), ("Bogota",), ("Zurich",), ("Perth",), ("Turin",))),
    ("Wake me at {time}, please.", "set_alarm", ("time",),
     (("06:30",), ("07:15",), ("05:45",), ("08:00",), ("09:20",), ("04:50",))),
    ("Book a table for {people} at {restaurant}.", "book_table", ("restaurant", "people"),
     (("Blue Door", 4), ("Casa Nova", 2), ("The Mill", 6), ("Sakura", 3), ("Old Harbour", 8), ("Verde", 5))),
    ("Play the song {title}.", "play_song", ("title",), (("Yesterday",), ("Imagine",), ("Hallelujah",), ("Waterloo",))),
    ("Convert {amount} {source} to {target}.", "convert", ("amount", "source", "target"),
     ((50, "EUR", "USD"), (1200, "JPY", "EUR"), (75, "GBP", "CHF"), (300, "SEK", "NOK"), (90, "CAD", "AUD"))),
    ("Find flights from {origin} to {destination}.", "find_flights", ("origin", "destination"),
     (("Oslo", "Rome"), ("Paris", "Cairo"), ("Delhi", "Tokyo"), ("Lima", "Miami"), ("Dublin", "Vienna"),
      ("Prague", "Lyon"))),
)  # fmt: skip
# Every second request offers all tools, the others the one that is needed.
_OFFERS_ALL: Final = 2


def written() -> list[Item]:
    """Returns all of them."""
    return [*_follow_ups(), *_calls(), *_people(), *_orders()]


def _follow_ups() -> Iterator[Item]:
    for at, (country, capital) in enumerate(_CAPITALS):
        (near, known), (far, other) = _CAPITALS[at - 1], _CAPITALS[at - 2]
        said_before = [f"What is the capital of {near}?", f"{known}."]
        if at % 2:
            said_before += [f"And of {far}?", f"{other}."]
        yield _follow_up(f"capital-{country}", talk(*said_before, f"And of {country}?"), Says((capital,)))
    for one, more in _SUMS:
        total = one + more
        turns = talk(f"What is {one} + {more}?", f"{one} + {more} = {total}.", "Now add 10 to that.")
        yield _follow_up(f"sum-{one}", turns, Number(total + 10))
        doubled = talk(f"What is {one} + {more}?", f"{total}.", "Add 4.", f"{total + 4}.", "And twice that?")
        yield _follow_up(f"double-{one}", doubled, Number(2 * (total + 4)))
    for at, (word, opposites) in enumerate(_OPPOSITES):
        before, after = _OPPOSITES[at - 1]
        turns = talk(f"What is the opposite of '{before}'?", f"'{after[0].capitalize()}'.", f"And of '{word}'?")
        yield _follow_up(f"opposite-{word}", turns, Says(opposites))


def _follow_up(name: str, messages: tuple[Message, ...], check: Check) -> Item:
    answer = answer_of((check,))
    if answer is None:
        raise BenchError(f"{name} has no answer")
    return Item(id=f"follow-{name}", kind=FOLLOW_UPS, messages=messages, checks=(check,), answer=answer, max_tokens=64)


def _calls() -> Iterator[Item]:
    for text, name, names, rows in _CALLS:
        for number, row in enumerate(rows):
            values = dict(zip(names, row, strict=True))
            check = Calls(name, msgspec.Raw(msgspec.json.encode(values)))
            offered = tuple(_TOOLS) if number % _OFFERS_ALL else (name,)
            yield Item(
                id=f"call-{name}-{number}",
                kind=TOOLS,
                messages=said(text.format(**values)),
                checks=(check,),
                answer=answer_of((check,)) or Answer(),
                max_tokens=128,
                tools=tuple(map(_tool, offered)),
            )


def _tool(name: str) -> msgspec.Raw:
    types = _TOOLS[name]
    parameters = {
        "type": "object",
        "properties": {each: {"type": of} for each, of in types.items()},
        "required": list(types),
    }
    function = {"name": name, "description": name.replace("_", " ").capitalize(), "parameters": parameters}
    return msgspec.Raw(msgspec.json.encode({"type": "function", "function": function}))


def _people() -> Iterator[Item]:
    """Yields requests whose form a schema says."""
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}},
        "required": ["name", "age", "city"],
        "additionalProperties": False,
    }
    named = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}}
    output = msgspec.Raw(msgspec.json.encode(named))
    for name, age, city in _PEOPLE:
        text = f"Extract name, age and city: '{name}, who is {age}, has lived in {city} since May.'"
        yield _json(f"person-{name}", text, {"name": name, "age": age, "city": city}, output)


def _orders() -> Iterator[Item]:
    """Yields requests whose form the text says."""
    for count, what, price in _ORDERS:
        text = (
            f"'I would like to order {count} of the {what}, at {price} dollars each.' "
            'Return JSON with the keys "item" (string), "count" (number) and "price" (number, of one).'
        )
        yield _json(f"order-{what}", text, {"item": what, "count": count, "price": price}, JSON_MODE)


def _json(name: str, text: str, value: dict[str, str | int], output: msgspec.Raw) -> Item:
    check = IsJson(msgspec.Raw(msgspec.json.encode(value)))
    return Item(
        id=f"json-{name}",
        kind=JSON,
        messages=said(text),
        checks=(check,),
        answer=answer_of((check,)) or Answer(),
        max_tokens=128,
        output=output,
    )
