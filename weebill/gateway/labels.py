"""The labels of a request, for its client's own accounts: the end user it is made for, and tags."""

from __future__ import annotations

from typing import Final, cast

import msgspec

from weebill.usage.records import Labels
from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import Json

MOST_TAGS: Final = 16
MOST_NAME: Final = 64
MOST_VALUE: Final = 512
"""As OpenAI's API bounds metadata, in characters; an end user is a value, too."""
_MOST_BYTES: Final = 65_536
_OWN: Final = "weebill_"  # begins the names of fields that Weebill itself reads

_decode: Final = msgspec.json.Decoder().decode


def labels_of(fields: Json) -> Labels | None:
    """Returns the labels of a request by its fields; None if it has none.

    The end user is `safety_identifier` or `user`, in Anthropic's API `metadata.user_id`; the rest of `metadata` are
    tags. What is no text is passed over, and what is beyond the bounds is cut off.
    """
    user = _text(fields, "safety_identifier") or _text(fields, "user")
    metadata = _read(fields, "metadata")
    if not isinstance(metadata, dict):
        return Labels(user) if user else None
    given = cast("dict[str, object]", metadata)
    if not user:
        found = given.pop("user_id", "")
        user = found[:MOST_VALUE] if isinstance(found, str) else ""
    tags = sorted(
        (name[:MOST_NAME], value[:MOST_VALUE])
        for name, value in given.items()
        if name and isinstance(value, str) and not name.startswith(_OWN)
    )
    return Labels(user, tuple(dict(tags[:MOST_TAGS]).items())) if user or tags else None


def _text(fields: Json, name: str) -> str:
    value = _read(fields, name)
    return value[:MOST_VALUE] if isinstance(value, str) else ""


def _read(fields: Json, name: str) -> object:
    raw = fields.get(name)
    if raw is None or len(memoryview(raw)) > _MOST_BYTES:
        return None
    try:
        return cast("object", _decode(raw))
    except UNREADABLE:
        return None
