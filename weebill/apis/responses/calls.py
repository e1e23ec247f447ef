"""Calls of every kind, as a model makes them and as the client writes them: one name, and arguments as JSON.

What a model makes as arguments need not have the form of its kind. Text is taken from wherever it is; but nothing is
run that is not said to be a command, such as arguments that were cut.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, Raw

from weebill.apis.responses.tools import ClientTool, Offer
from weebill.wire.arguments import NO_ARGUMENTS, as_object
from weebill.wire.conversation import ToolUse
from weebill.wire.custom_input import InputReader, unwrapped
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.responses import FunctionCallItem
from weebill.wire.responses_calls import CALLS, ONE_ACTION, Kind, made_call
from weebill.wire.responses_items import decode_members, is_object, list_of, text_of
from weebill.wire.responses_request import NULL
from weebill.wire.responses_shapes import (
    CallItem,
    ComputerCallItem,
    CustomCallItem,
    InputItem,
    LocalShellAction,
    LocalShellCallItem,
    PatchCallItem,
    PatchOperation,
    ShellAction,
    ShellCallItem,
    ToolSearchCallItem,
)

ITEM_IDS: Final[dict[Kind, str]] = {
    "function": "fc_",
    "custom": "ctc_",
    "local_shell": "lsh_",
    "shell": "sh_",
    "apply_patch": "apc_",
    "tool_search": "tsc_",
    "computer": "cu_",
}
"""The beginning of items' ids, by the kind of tool they call."""
_SHELL: Final = ("bash", "-lc")
_LOOK: Final = Raw(b'{"type":"screenshot"}')
_decode_strings: Final = msgspec.json.Decoder(dict[str, str]).decode


def called(item: InputItem, type_: str, offer: Offer) -> ToolUse:
    """The call that an item of one of the types in `CALLS` is, by the name that a model knows the tool by."""
    call = made_call(item, type_)
    name = offer.name_of(CALLS[type_], call.name, item.namespace or "")
    return ToolUse(call.id, name, call.arguments)


def call_item(tool: ClientTool, call_id: str, arguments: str, item_id: str, status: str) -> CallItem:
    """The item for a model's call of `tool`; with arguments of "", for one that has but begun."""
    match tool.kind:
        case "function":
            return FunctionCallItem(call_id, tool.name, arguments, item_id, status, tool.namespace or None)
        case "custom":
            return _custom(tool, call_id, unwrapped(arguments), item_id, status)
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
        case "computer":
            actions = _actions(arguments)
            if tool.name == ONE_ACTION:
                return ComputerCallItem(call_id, item_id, status, action=actions[0])
            return ComputerCallItem(call_id, item_id, status, actions=actions)


def _custom(tool: ClientTool, call_id: str, given: str, item_id: str, status: str) -> CustomCallItem:
    return CustomCallItem(call_id, tool.name, given, item_id, status, tool.namespace or None)


class CallOfOtherKind:
    """A call in a stream whose arguments have another form for the client than a model says them in.

    A text is told of as it is said. Of the rest, it is known at the end what they come to.
    """

    __slots__ = ("_call_id", "_input", "_item_id", "_said", "_tool")

    def __init__(self, tool: ClientTool, call_id: str, item_id: str) -> None:
        self._tool = tool
        self._call_id = call_id
        self._item_id = item_id
        self._input = InputReader() if tool.kind == "custom" else None
        self._said: list[str] = []

    def add(self, arguments: str) -> str:
        """The part of more arguments that is to be told."""
        said = arguments if self._input is None else self._input.feed(arguments)
        self._said.append(said)
        return "" if self._input is None else said

    def ended(self, status: str) -> tuple[str, CallItem]:
        """The rest of a text that is to be told, and the item that the call comes to."""
        rest = "" if self._input is None else self._input.close()
        said = "".join(self._said) + rest
        if self._input is None:
            return "", call_item(self._tool, self._call_id, said or NO_ARGUMENTS, self._item_id, status)
        return rest, _custom(self._tool, self._call_id, said, self._item_id, status)


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
        environment = _decode_strings(fields.get("env", Raw(b"{}")))
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


def _actions(arguments: str) -> list[Raw]:
    """The actions on a screen; where none is said, it is but looked at."""
    fields = _members(arguments)
    given = list_of(fields.get("actions", NULL)) or [Raw(arguments.encode(errors="replace"))] if fields else []
    known = [raw for raw in given if is_object(raw) and text_of(decode_members(raw).get("type", NULL))]
    return known or [_LOOK]


def _operation(arguments: str) -> PatchOperation:
    fields = _members(arguments)
    if not fields:
        return PatchOperation("update_file", "", arguments if arguments != NO_ARGUMENTS else "")
    kind = text_of(fields.get("type", NULL)) or "update_file"
    path = text_of(fields.get("path", NULL))
    if kind == "delete_file":
        return PatchOperation(kind, path, UNSET)
    return PatchOperation(kind, path, text_of(fields.get("diff", NULL)))
