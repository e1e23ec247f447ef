"""JSON that is not quite as its type says, and halves of pairs that stand alone."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest
from msgspec import Raw, Struct

from weebill.wire.errors import UNREADABLE
from weebill.wire.lenient import leniently, reader
from weebill.wire.surrogates import mended


class Inner(Struct, frozen=True):
    name: str
    again: Inner | None = None


class Outer(Struct, frozen=True):
    count: int | None = None
    text: str | None = None
    either: str | list[Inner] | None = None
    inner: Inner | None = None
    many: list[Inner] = []
    flag: bool = False
    word: Literal["a", "b"] | None = None
    raw: Raw = Raw(b"null")


READ = [
    (b"{}", Outer()),
    (b'{"count": 3.0}', Outer(3)),
    (b'{"count": "3"}', Outer(3)),
    (b'{"count": "many"}', Outer()),
    (b'{"count": true}', Outer()),
    (b'{"count": 1e999}', Outer()),
    (b'{"text": 12}', Outer(text="12")),
    (b'{"text": {}}', Outer()),
    (b'{"either": 5}', Outer(either="5")),
    (b'{"either": [{"name": "x"}, 3, {"name": null}]}', Outer(either=[Inner("x")])),
    (b'{"inner": {"name": 1, "again": []}}', Outer(inner=Inner("1"))),
    (b'{"inner": {}}', Outer()),
    (b'{"many": null, "flag": "true", "word": "c"}', Outer(flag=True)),
    (b'{"many": [{"name": "x", "again": {"name": "y"}}], "word": "b"}', Outer(many=[Inner("x", Inner("y"))], word="b")),
    (b'{"raw": [1, {"a": 2}], "count": []}', Outer(raw=Raw(b'[1, {"a": 2}]'))),
    (b'\xef\xbb\xbf{"text": "\\ud83d"}', Outer(text="\ufffd")),
    (b'{"text": "\xff"}', Outer(text="\ufffd")),
]  # fmt: skip


@pytest.mark.parametrize(("data", "meant"), READ)
def test_what_can_be_read_is(data: bytes, meant: Outer) -> None:
    assert leniently(data, Outer) == meant


def test_members_that_must_be_there_may_be_taken_for_empty() -> None:
    read = reader(Inner)
    assert read(b'{"name": "x"}') == Inner("x")
    assert read(b'{"name": null, "again": {"again": 3}}') == Inner("", Inner(""))
    with pytest.raises(UNREADABLE):
        read(b"[]")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"3", b'{"a": tru}', b"[" * 100_000, b'{"raw":' + b"[" * 100_000])
def test_what_is_no_such_object_is_not(data: bytes) -> None:
    with pytest.raises(UNREADABLE):
        leniently(data, Outer)


HALVES = [
    (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
    (rb'"\uD83D\uDE00 \u00e9"', rb'"\uD83D\uDE00 \u00e9"'),
    (rb'"\ud83d"', rb'"\ufffd"'),
    (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
    (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
    (rb'"\\ud83d \\\ud83d"', rb'"\\ud83d \\\ufffd"'),
    (rb'"\ud83d\n"', rb'"\ufffd\n"'),
]


@pytest.mark.parametrize(("given", "meant"), HALVES)
def test_halves_that_stand_alone_are_replaced(given: bytes, meant: bytes) -> None:
    assert mended(given) == meant
    msgspec.json.decode(meant)
