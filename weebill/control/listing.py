"""Lists by cursor, in the shape of OpenAI's administration API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query, Response

from weebill.control.answers import Json

DEFAULT_LIMIT = 20
MOST = 100

Limit = Annotated[int, Query(ge=1, le=MOST)]
After = Annotated[str | None, Query(max_length=100)]


def listed(found: Sequence[dict[str, object]], limit: int, cursor: str = "id") -> Response:
    """Answers with a page that was read with one more than `limit`; the next one begins after its last."""
    data = found[:limit]
    ends = (data[0][cursor], data[-1][cursor]) if data else (None, None)
    page = {"first_id": ends[0], "last_id": ends[1], "has_more": len(found) > limit}
    return Json({"object": "list", "data": data, **page})
