"""Lists by cursor, in the shape of OpenAI's administration API; and those with a cursor of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from fastapi import Query

from weebill.control.answers import Json

T = TypeVar("T")

DEFAULT_LIMIT = 20
MOST = 100

Limit = Annotated[int, Query(ge=1, le=MOST)]
After = Annotated[str | None, Query(max_length=100)]


class Listed(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A part of a list; the next one is asked for with `after`, `last_id`."""

    object: Literal["list"] = "list"
    data: Sequence[T]
    first_id: str | int | None
    last_id: str | int | None
    has_more: bool


class Paged(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A part of a list; the next one is asked for with `cursor`, None at the end."""

    object: Literal["list"] = "list"
    data: Sequence[T]
    next_cursor: str | int | None


class Whole(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A list that is short by nature."""

    object: Literal["list"] = "list"
    data: Sequence[T]


def listed(found: Sequence[T], limit: int, id_of: Callable[[T], str | int]) -> Json[Listed[T]]:
    """Answers with a page that was read with one more than `limit`; the next one begins after its last."""
    data = found[:limit]
    first, last = (id_of(data[0]), id_of(data[-1])) if data else (None, None)
    return Json(Listed(data=data, first_id=first, last_id=last, has_more=len(found) > limit))
