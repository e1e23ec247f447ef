"""Items of a Response that are calls: of functions, and of tools of other kinds.

Source: https://platform.openai.com/docs/api-reference/responses/object#responses-object-output
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.arguments import NO_ARGUMENTS
from weebill.wire.custom_input import wrapped
from weebill.wire.responses import FunctionCallItem
from weebill.wire.responses_items import InputItem, decode_item, decode_members, is_given, is_object, text_of
from weebill.wire.responses_request import NULL

Kind = Literal["function", "custom", "local_shell", "shell", "apply_patch", "tool_search", "computer"]
CALLS: Final[dict[str, Kind]] = {
    "function_call": "function",
    "custom_tool_call": "custom",
    "local_shell_call": "local_shell",
    "shell_call": "shell",
    "apply_patch_call": "apply_patch",
    "tool_search_call": "tool_search",
    "computer_call": "computer",
}
"""The kind of tool that an item of each of these types calls."""
RESULTS: Final[dict[str, str]] = {
    "function_call_output": "function_call",
    "custom_tool_call_output": "custom_tool_call",
    "local_shell_call_output": "local_shell_call",
    "shell_call_output": "shell_call",
    "apply_patch_call_output": "apply_patch_call",
    "tool_search_output": "tool_search_call",
    "computer_call_output": "computer_call",
}
"""The type of the call that an item of each of these types is the result of."""
ONE_ACTION: Final = "computer_use_preview"
"""The older tool that works a computer, whose calls have one action each."""
_NAMED: Final = frozenset({"function", "custom"})
_CLIENTS: Final = frozenset({"local", ""})
_RESULT: Final = b'_output"'
_encode: Final = msgspec.json.encode


class CustomCallItem(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="custom_tool_call"):
    """A call of a tool whose `input` is text of any form."""

    call_id: str
    name: str
    input: str
    id: str
    status: str
    namespace: str | None = None


class LocalShellAction(Struct, frozen=True):
    """`action` of a local shell's call."""

    command: list[str]
    env: dict[str, str] = {}
    working_directory: str | None = None
    timeout_ms: int | None = None
    user: str | None = None
    type: str = "exec"


class LocalShellCallItem(Struct, frozen=True, tag_field="type", tag="local_shell_call"):
    """A command to run on the client's machine."""

    call_id: str
    action: LocalShellAction
    id: str
    status: str


class ShellAction(Struct, frozen=True):
    """`action` of a shell's call."""

    commands: list[str]
    timeout_ms: int | None = None
    max_output_length: int | None = None


class ShellCallItem(Struct, frozen=True, tag_field="type", tag="shell_call"):
    """Lines for the client's shell."""

    call_id: str
    action: ShellAction
    id: str
    status: str


class PatchOperation(Struct, frozen=True):
    """`operation` of a patch's call: "create_file", "update_file" or "delete_file", the last without `diff`."""

    type: str
    path: str
    diff: str | UnsetType = UNSET


class PatchCallItem(Struct, frozen=True, tag_field="type", tag="apply_patch_call"):
    """A change of a file, for the client to make."""

    call_id: str
    operation: PatchOperation
    id: str
    status: str


class ToolSearchCallItem(Struct, frozen=True, tag_field="type", tag="tool_search_call"):
    """A search for further tools, for the client to make."""

    call_id: str
    arguments: Raw
    id: str
    status: str
    execution: str = "client"


class ComputerCallItem(Struct, frozen=True, tag_field="type", tag="computer_call"):
    """What to do on the client's screen: one action for `computer_use_preview`, several for `computer`."""

    call_id: str
    id: str
    status: str
    action: Raw | UnsetType = UNSET
    actions: list[Raw] | UnsetType = UNSET
    pending_safety_checks: list[Raw] = []


CallItem = (
    FunctionCallItem | CustomCallItem | LocalShellCallItem | ShellCallItem | PatchCallItem | ToolSearchCallItem
    | ComputerCallItem
)  # fmt: skip


class MadeCall(NamedTuple):
    """A call as an item has it: `name` is the tool's own or, where it has none, that of its kind."""

    id: str
    name: str
    arguments: str


def made_call(item: InputItem, type_: str) -> MadeCall:
    """The call that an item of one of the types in `CALLS` is."""
    kind = CALLS[type_]
    if kind in _NAMED:
        name = item.name or ""
    else:
        name = ONE_ACTION if kind == "computer" and not is_given(item.actions) else kind
    return MadeCall(item.call_id or item.id or "", name, _ARGUMENTS[kind](item))


def is_providers(item: InputItem) -> bool:
    """Whether a call, or what one gave, says that the provider runs it, rather than the client."""
    if item.execution is not None:
        return item.execution == "server"
    if not is_object(item.environment):
        return False
    return text_of(decode_members(item.environment).get("type", NULL)) not in _CLIENTS


def with_results(output: list[Raw]) -> frozenset[str]:
    """The ids of calls in an answer that have their results there, too: so the provider has run them."""
    found = []
    for raw in output:
        if _RESULT in bytes(raw) and is_object(raw):
            item = decode_item(raw)
            if item.type in RESULTS and item.call_id:
                found.append(item.call_id)
    return frozenset(found)


def _text_or_json(raw: Raw) -> str:
    """Arguments in whichever form they are, as text."""
    if not is_given(raw):
        return NO_ARGUMENTS
    return text_of(raw) or (NO_ARGUMENTS if bytes(raw) == b'""' else bytes(raw).decode())


def _action(item: InputItem) -> str:
    """An action without its type, which says nothing."""
    if not is_object(item.action):
        return NO_ARGUMENTS
    fields = decode_members(item.action)
    return _encode({name: raw for name, raw in fields.items() if name != "type" and is_given(raw)}).decode()


def _actions(item: InputItem) -> str:
    if is_given(item.actions):
        return _encode({"actions": item.actions}).decode()
    return _text_or_json(item.action)


_ARGUMENTS: Final[dict[Kind, Callable[[InputItem], str]]] = {
    "function": lambda item: _text_or_json(item.arguments),
    "custom": lambda item: wrapped(text_of(item.input)),
    "local_shell": _action,
    "shell": _action,
    "apply_patch": lambda item: _text_or_json(item.operation),
    "tool_search": lambda item: _text_or_json(item.arguments),
    "computer": _actions,
}
