"""Texts of requests have only characters that every store takes: PostgreSQL takes no NUL, and UTF-8 has no halves of
surrogate pairs, which JSON can name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

from weebill.wire.errors import ApiError

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


class StorableTexts(APIRoute):
    """FastAPI's route, which refuses such a text wherever a request has one: path, query, and a body that is JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        serve = super().get_route_handler()

        async def handle(request: Request) -> Response:
            refuse_unstorable(request.path_params.items())
            refuse_unstorable(request.query_params.multi_items())
            if self.body_field is not None:
                refuse_unstorable([("", await _decoded(request))])
            return await serve(request)

        return handle


def refuse_unstorable(values: Iterable[tuple[str, object]]) -> None:
    """Looks into values of JSON, which come with their names. Raises ApiError 400, which names the one it is in."""
    left = [*values]
    left += [("", name) for name, _ in left]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left += [("", key) for key in value]
            left += [(f"{name}.{key}" if name else key, each) for key, each in value.items()]
        elif isinstance(value, list):
            left += [(f"{name}.{at}" if name else str(at), each) for at, each in enumerate(value)]
        elif isinstance(value, str) and _UNSTORABLE.search(value):
            raise _refused(name)


async def _decoded(request: Request) -> object:
    """Returns a body that is JSON; None for one that is not, which FastAPI refuses in its own words."""
    try:
        return await request.json()
    except (ValueError, RecursionError):
        return None


def _refused(name: str) -> ApiError:
    message = (
        f"{name or 'The name of a field'}: a text cannot have a NUL character or half a surrogate pair; leave it out."
    )
    return ApiError(400, message, code="invalid_value", param=name or None)
