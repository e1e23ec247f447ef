"""Custom tools, which take text of any form: as functions of one text, for models that know functions alone.

Source: https://platform.openai.com/docs/guides/function-calling#custom-tools
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE

_MARK: Final = b'"custom"'


class _Name(Struct, frozen=True):
    name: str = ""


class _Entry(Struct, frozen=True):
    type: str = ""
    custom: _Name | None = None


_decode_entries: Final = msgspec.json.Decoder(list[_Entry]).decode


def custom_names(call: Call) -> frozenset[str]:
    """The names of a request's custom tools."""
    tools = call.fields.get("tools")
    if tools is None or bytes(tools).find(_MARK) < 0:
        return frozenset()
    try:
        entries = _decode_entries(tools)
    except UNREADABLE:
        return frozenset()
    return frozenset([entry.custom.name for entry in entries if entry.type == "custom" and entry.custom is not None])
