"""The readable texts of a request that has no canonical form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import structs

from weebill.wire.conversation import Conversation, Text, Turn
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json

# The fields that hold the prompt, in any of the APIs.
_PROMPTS: Final = (
    "system", "instructions", "systemInstruction", "system_instruction", "prompt", "messages", "input", "contents",
)  # fmt: skip
_KINDS: Final = frozenset({"role", "type"})
# Long data without text: images, sound, files.
_DATA: Final = re.compile(r"(?:data:[^,\s]*,)?[A-Za-z0-9+/_-]{256,}={0,2}")
_decode: Final = msgspec.json.Decoder().decode


def readable(known: Conversation, fields: Json) -> Conversation:
    """Returns the known part of a request, preceded by all of its texts; they are the user's if no turn is known."""
    texts: list[str] = []
    for name in _PROMPTS:
        if name in fields:
            try:
                texts += _texts(_decode(fields[name]))
            except UNREADABLE:
                continue
    said = Turn("system" if known.turns else "user", (Text("\n".join(texts)),))
    return structs.replace(known, turns=(said, *known.turns))


def _texts(value: object) -> Iterator[str]:
    """Yields the texts in a JSON value, whose depth is bounded."""
    if isinstance(value, str):
        if _DATA.fullmatch(value) is None:
            yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in _KINDS:
                yield from _texts(each)
