"""The names by which a client knows the fields that were refused or passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weebill.wire.call import Call

# What a field is called by a client that has not said it by its first name.
_SECOND: Final = {
    "max_completion_tokens": "max_tokens",
    "output_config.format": "output_format",
    "reasoning_effort": "reasoning",
    "thinking": "output_config.effort",
}


def called(field: str, names: Mapping[str, str], call: Call) -> str:
    """The name of a field of Conversation in the client's API, of two that one which the client used."""
    name = names.get(field, field)
    second = _SECOND.get(name)
    if second is None or _outermost(name) in call.fields or _outermost(second) not in call.fields:
        return name
    return second


def _outermost(path: str) -> str:
    return path.partition(".")[0]
