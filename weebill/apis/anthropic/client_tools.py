"""Tools that Anthropic defines and the client runs, with the inputs that Anthropic documents for them, as functions.

A model of Anthropic's was taught their schemas; any other is told. Rows are by the beginning of a tool's type, which
goes on with the date of a version; the first that fits holds.

Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/bash-tool, .../text-editor-tool,
.../computer-use-tool and .../memory-tool
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from weebill.wire.conversation import Tool
from weebill.wire.errors import UNREADABLE


class _Row(NamedTuple):
    type: re.Pattern[str]
    name: str
    description: str
    input: Raw


_STRING: Final = {"type": "string"}
_INTEGER: Final = {"type": "integer"}
_PAIR: Final = {"type": "array", "items": _INTEGER, "minItems": 2, "maxItems": 2}


def _one_of(words: str) -> dict[str, object]:
    return {"type": "string", "enum": words.split()}


def _object(required: str = "", **properties: object) -> Raw:
    return Raw(msgspec.json.encode({"type": "object", "properties": properties, "required": required.split()}))


_EDITED: Final[dict[str, object]] = {
    "path": _STRING, "file_text": _STRING, "old_str": _STRING, "new_str": _STRING, "insert_line": _INTEGER,
    "insert_text": _STRING, "view_range": _PAIR,
}  # fmt: skip
_ACTIONS: Final = (
    "key type mouse_move left_click left_click_drag right_click middle_click double_click triple_click screenshot "
    "cursor_position left_mouse_down left_mouse_up scroll hold_key wait"
)
_COMPUTED: Final[dict[str, object]] = {
    "coordinate": _PAIR, "start_coordinate": _PAIR, "text": _STRING, "scroll_amount": _INTEGER,
    "scroll_direction": _one_of("up down left right"), "duration": {"type": "number"},
}  # fmt: skip
_REGION: Final = {"type": "array", "items": _INTEGER, "minItems": 4, "maxItems": 4}

_BASH: Final = "Runs a command in a bash session that lasts; `restart` begins it anew."
_EDITOR: Final = (
    "Views and edits files: `view` (a file, with `view_range` some lines of it, or a folder), `create` (`file_text`), "
    "`str_replace` (the one occurrence of `old_str` by `new_str`), `insert` (`insert_text` after line `insert_line`)."
)
_UNDO: Final = (
    "Views and edits files: `view` (a file, with `view_range` some lines of it, or a folder), `create` (`file_text`), "
    "`str_replace` (the one occurrence of `old_str` by `new_str`), `insert` (`new_str` after line `insert_line`), "
    "`undo_edit` (the last edit of a file)."
)
_MEMORY: Final = (
    "Keeps notes between conversations as files below /memories: `view` (a file or folder), `create` (`file_text`), "
    "`str_replace` (`old_str` by `new_str`), `insert` (`insert_text` after line `insert_line`), `delete`, `rename` "
    "(`old_path` to `new_path`)."
)
_COMPUTER: Final = "Works a computer by its screen, mouse and keyboard; coordinates are pixels from the top left."
_ZOOM: Final = f"{_COMPUTER} `zoom` shows the `region` x1, y1, x2, y2 at full resolution."

_ROWS: Final = (
    _Row(re.compile(r"bash_\d+"), "bash", _BASH, _object(command=_STRING, restart={"type": "boolean"})),
    _Row(
        re.compile(r"text_editor_(?:2024|202501)\d+"), "str_replace_editor", _UNDO,
        _object("command path", command=_one_of("view create str_replace insert undo_edit"), **_EDITED),
    ),
    _Row(
        re.compile(r"text_editor_\d+"), "str_replace_based_edit_tool", _EDITOR,
        _object("command path", command=_one_of("view create str_replace insert"), **_EDITED),
    ),
    _Row(
        re.compile(r"computer_(?:2024|20250)\d+"), "computer", _COMPUTER,
        _object("action", action=_one_of(_ACTIONS), **_COMPUTED),
    ),
    _Row(
        re.compile(r"computer_\d+"), "computer", _ZOOM,
        _object("action", action=_one_of(f"{_ACTIONS} zoom"), region=_REGION, **_COMPUTED),
    ),
    _Row(
        re.compile(r"memory_\d+"), "memory", _MEMORY,
        _object(
            "command", command=_one_of("view create str_replace insert delete rename"), old_path=_STRING,
            new_path=_STRING, **_EDITED,
        ),
    ),
)  # fmt: skip


class _Given(Struct, frozen=True):
    """The settings that a client gives such a tool. A computer has a screen."""

    name: str | None = None
    display_width_px: int | None = None
    display_height_px: int | None = None


_decode: Final = msgspec.json.Decoder(_Given).decode


def client_tool(kind: str, raw: Raw) -> Tool | None:
    """The function for a tool of type `kind`; None if it is none of these."""
    row = next((row for row in _ROWS if row.type.fullmatch(kind)), None)
    if row is None:
        return None
    try:
        given = _decode(raw)
    except UNREADABLE:
        given = _Given()
    described = row.description
    if given.display_width_px is not None and given.display_height_px is not None:
        described += f" The screen is {given.display_width_px} x {given.display_height_px} pixels."
    return Tool(given.name or row.name, described, row.input)
