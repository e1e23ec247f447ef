"""Control tokens in what clients and tools say are text: only the prompt's template ends a turn or begins one.

llama.cpp reads a prompt whose control tokens are written out, its template's and all others alike. Here those others
are broken by a character that has no width.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json

BREAK: Final = "\u2060"
"""A word joiner: nothing to see, and no control token holds one."""

_FIELDS: Final = ("messages", "tools", "chat_template_kwargs", "reasoning_budget_message")
# Of code, FIM and chat, as the vocabularies of the common families have them.
_NAMES: Final = (
    *("s", "bos", "eos", "pad", "unk", "mask", "sep", "cls", "eot", "eom"),
    *("start_of_turn", "end_of_turn", "start_of_image"),
    *("start_header_id", "end_header_id", "end_of_utterance", "endoftext", "fim_prefix", "fim_middle", "fim_suffix"),
    *("fim_pad", "repo_name", "reponame", "file_sep", "filename", "gh_stars", "issue_start", "issue_comment"),
    *("issue_closed", "jupyter_start", "jupyter_text", "jupyter_code", "jupyter_output", "jupyter_script"),
    *("empty_output", "commit_before", "commit_msg", "commit_after"),
)
_BRACKETED: Final = ("INST", "SYSTEM_PROMPT", "AVAILABLE_TOOLS", "TOOL_RESULTS", "TOOL_CALLS", "TOOL_CONTENT", "IMG")
# What a text ends with may go on in the next: parts of a message are put together.
_OPENING: Final = re.compile(
    r"<(?=[|\uff5c](?:[^\s|\uff5c]|\Z)|/?(?:" + "|".join(_NAMES) + r")(?:>|\Z)|/?\Z)"
    r"|\[(?=/?(?:" + "|".join(_BRACKETED) + r")(?:\]|\Z)|/?\Z)",
    re.IGNORECASE,
)
# What may stand for one of those characters in JSON.
_MAY_OPEN: Final = re.compile(rb"<|\\u00|\[/?[A-Za-z]|\[/?\"")
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.encode


def as_text(fields: Json) -> None:
    """Break the control tokens in all that becomes part of a chat's prompt."""
    for name in _FIELDS:
        raw = fields.get(name)
        if raw is not None and _MAY_OPEN.search(bytes(raw)) is not None:
            value = _decode(raw)
            broken = _broken(value)
            if broken != value:
                fields[name] = Raw(_encode(broken))


def _broken(value: object) -> object:
    if isinstance(value, str):
        return _OPENING.sub(rf"\g<0>{BREAK}", value)
    if isinstance(value, list):
        return [_broken(each) for each in value]
    if isinstance(value, dict):
        return {
            _broken(name): _broken_arguments(each) if name == "arguments" and isinstance(each, str) else _broken(each)
            for name, each in value.items()
        }
    return value


def _broken_arguments(text: str) -> object:
    """Of a call, which are JSON within JSON: the engine reads them, escapes included."""
    try:
        value = _decode(text)
    except UNREADABLE:
        return _broken(text)
    broken = _broken(value)
    return text if broken == value else _encode(broken).decode()
