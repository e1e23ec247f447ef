"""The client's names of fields that were refused or dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weebill.wire.call import Call

# The older name of a field, for clients that used it.
_SECOND: Final = {
    "max_completion_tokens": "max_tokens",
    "output_config.format": "output_format",
    "reasoning_effort": "reasoning",
    "thinking": "output_config.effort",
}


def called(field: str, names: Mapping[str, str], call: Call) -> str:
    """Returns the client's name of a field of Conversation; if there are two, the one that the client used."""
    name = names.get(field, field)
    second = _SECOND.get(name)
    if second is None or _outermost(name) in call.fields or _outermost(second) not in call.fields:
        return name
    return second


def _outermost(path: str) -> str:
    return path.partition(".")[0]
