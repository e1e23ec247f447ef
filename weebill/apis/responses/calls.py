"""Calls of every kind, as a model makes them and as the client writes them: one name, and arguments as JSON.

What a model makes as arguments need not have the form of its kind. Text is taken from wherever it is; but nothing is
run that is not said to be a command, such as arguments that were cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, Raw

from weebill.apis.responses.tools import ClientTool, Kind, Offer
from weebill.wire.arguments import NO_ARGUMENTS, as_object
from weebill.wire.call import Json
from weebill.wire.errors import UNREADABLE
from weebill.wire.responses import FunctionCallItem
from weebill.wire.responses_calls import (
    CallItem,
    CustomCallItem,
    LocalShellAction,
    LocalShellCallItem,
    PatchCallItem,
    PatchOperation,
    ShellAction,
    ShellCallItem,
    ToolSearchCallItem,
)
from weebill.wire.responses_items import InputItem, decode_members, is_given, is_object, list_of, text_of
from weebill.wire.responses_request import NULL

ITEM_IDS: Final[dict[Kind, str]] = {
    "function": "fc_",
    "custom": "ctc_",
    "local_shell": "lsh_",
    "shell": "sh_",
    "apply_patch": "apc_",
    "tool_search": "tsc_",
}
"""What the ids of items begin with, by the kind of tool they call."""
_KINDS: Final[dict[str, Kind]] = {
    "function_call": "function",
    "custom_tool_call": "custom",
    "local_shell_call": "local_shell",
    "shell_call": "shell",
    "apply_patch_call": "apply_patch",
    "tool_search_call": "tool_search",
}
CALL_TYPES: Final = frozenset(_KINDS)
_SHELL: Final = ("bash", "-lc")
_encode: Final = msgspec.json.encode
_decode_string_map: Final = msgspec.json.Decoder(dict[str, str]).decode


class Called(NamedTuple):
    """A call in a request's input."""

    id: str
    name: str
    arguments: str


def called(item: InputItem, type_: str, offer: Offer) -> Called:
    """The call that an item of one of `CALL_TYPES` is."""
    kind = _KINDS[type_]
    name = text_of(item.name) if kind in ("function", "custom") else kind
    return Called(
        text_of(item.call_id) or text_of(item.id),
        offer.name_of(kind, name, text_of(item.namespace)),
        _ARGUMENTS[kind](item),
    )


def _text_or_json(raw: Raw) -> str:
    """Arguments in whichever form the client has them, as text."""
    if not is_given(raw):
        return NO_ARGUMENTS
    return text_of(raw) or (NO_ARGUMENTS if bytes(raw) == b'""' else bytes(raw).decode())


def _action(item: InputItem) -> str:
    """An action without its type, which says nothing."""
    if not is_object(item.action):
        return NO_ARGUMENTS
    fields = decode_members(item.action)
    return _encode({name: raw for name, raw in fields.items() if name != "type" and is_given(raw)}).decode()


_ARGUMENTS: Final[dict[Kind, Callable[[InputItem], str]]] = {
    "function": lambda item: _text_or_json(item.arguments),
    "custom": lambda item: _encode({"input": text_of(item.input)}).decode(),
    "local_shell": _action,
    "shell": _action,
    "apply_patch": lambda item: _text_or_json(item.operation),
    "tool_search": lambda item: _text_or_json(item.arguments),
}


def call_item(tool: ClientTool, call_id: str, arguments: str, item_id: str, status: str) -> CallItem:
    """The item for a model's call of `tool`; with arguments of "", for one that has but begun."""
    match tool.kind:
        case "function":
            return FunctionCallItem(call_id, tool.name, arguments, item_id, status, tool.namespace or None)
        case "custom":
            return CustomCallItem(call_id, tool.name, freeform(arguments), item_id, status, tool.namespace or None)
        case "local_shell":
            return LocalShellCallItem(call_id, _command(arguments), item_id, status)
        case "shell":
            return ShellCallItem(call_id, _commands(arguments), item_id, status)
        case "apply_patch":
            # It has no status for a call that was cut.
            status = "completed" if status == "incomplete" else status
            return PatchCallItem(call_id, _operation(arguments), item_id, status)
        case "tool_search":
            return ToolSearchCallItem(call_id, as_object(arguments), item_id, status)


def freeform(arguments: str) -> str:
    """The text in a call of a tool that takes text: its one argument, whatever the model calls it.

    >>> freeform('{"input":"a"}'), freeform('{"patch":"b"}'), freeform("c"), freeform('{"x":1}')
    ('a', 'b', 'c', '{"x":1}')
    """
    fields = _members(arguments)
    said = fields.get("input") or (next(iter(fields.values())) if len(fields) == 1 else NULL)
    if bytes(said).startswith(b'"'):
        return text_of(said)
    return "" if arguments == NO_ARGUMENTS else arguments


def _members(arguments: str) -> Json:
    try:
        return decode_members(arguments.encode(errors="replace"))
    except UNREADABLE:
        return {}


def _strings(raw: Raw) -> list[str]:
    """The strings of a list, of which other values are written as JSON."""
    return [text_of(each) or ("" if bytes(each) == b'""' else bytes(each).decode()) for each in list_of(raw)]


def _number(raw: Raw) -> int | None:
    try:
        return msgspec.json.decode(raw, type=int)
    except UNREADABLE:
        return None


def _command(arguments: str) -> LocalShellAction:
    fields = _members(arguments)
    given = fields.get("command", NULL)
    line = text_of(given)
    command = [*_SHELL, line] if line else _strings(given)
    try:
        environment = _decode_string_map(fields.get("env", Raw(b"{}")))
    except UNREADABLE:
        environment = {}
    directory = text_of(fields.get("working_directory", NULL)) or text_of(fields.get("workdir", NULL))
    return LocalShellAction(
        command,
        environment,
        directory or None,
        _number(fields.get("timeout_ms", NULL)),
        text_of(fields.get("user", NULL)) or None,
    )


def _commands(arguments: str) -> ShellAction:
    fields = _members(arguments)
    given = fields.get("commands", fields.get("command", NULL))
    line = text_of(given)
    commands = [line] if line else _strings(given)
    return ShellAction(
        commands, _number(fields.get("timeout_ms", NULL)), _number(fields.get("max_output_length", NULL))
    )


def _operation(arguments: str) -> PatchOperation:
    fields = _members(arguments)
    if not fields:
        return PatchOperation("update_file", "", arguments if arguments != NO_ARGUMENTS else "")
    kind = text_of(fields.get("type", NULL)) or "update_file"
    path = text_of(fields.get("path", NULL))
    if kind == "delete_file":
        return PatchOperation(kind, path, UNSET)
    return PatchOperation(kind, path, text_of(fields.get("diff", NULL)))
