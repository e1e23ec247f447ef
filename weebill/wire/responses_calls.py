"""Items of a Response that are calls: of functions, and of tools of other kinds.

Source: https://platform.openai.com/docs/api-reference/responses/object#responses-object-output
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Raw

from weebill.wire.arguments import NO_ARGUMENTS, made_arguments
from weebill.wire.custom_input import wrapped
from weebill.wire.responses_items import decode_item, is_given, is_object, members_of, text_of
from weebill.wire.responses_request import NULL
from weebill.wire.responses_shapes import InputItem

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
    """Tells whether a call, or what one gave, says that the provider runs it, rather than the client."""
    if item.execution is not None:
        return item.execution == "server"
    if not is_object(item.environment):
        return False
    return text_of(members_of(item.environment).get("type", NULL)) not in _CLIENTS


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
    return made_arguments(text_of(raw) or bytes(raw).decode())


def _action(item: InputItem) -> str:
    """An action without its type, which says nothing."""
    if not is_object(item.action):
        return NO_ARGUMENTS
    fields = members_of(item.action)
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
