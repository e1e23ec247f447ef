"""The tools of a Chat Completions request, and which of them are to be called, in canonical form."""

from __future__ import annotations

from typing import Literal

from weebill.apis.chat.request_shapes import CustomChoice, ToolChoiceEntry
from weebill.wire.anthropic import CacheControl, cache_mark
from weebill.wire.conversation import Tool, ToolChoice
from weebill.wire.custom_input import PARAMETERS
from weebill.wire.errors import invalid_value, missing_parameter
from weebill.wire.openai_chat_request import Function, FunctionChoice, Name, ToolEntry


def tools(entries: list[ToolEntry] | None, functions: list[Function] | None) -> tuple[Tool, ...]:
    """The tools offered. Raises ApiError 400 for one without a definition."""
    if functions:
        if entries:
            raise invalid_value("functions", "the old form of 'tools', which is given too")
        return tuple([_tool(function, None) for function in functions])
    offered = []
    for at, entry in enumerate(entries or ()):
        if entry.function is not None:
            offered.append(_tool(entry.function, entry.cache_control))
        elif entry.custom is not None:
            mark = cache_mark(entry.cache_control)
            offered.append(Tool(entry.custom.name, entry.custom.told(), PARAMETERS, None, mark))
        else:
            raise missing_parameter(f"tools[{at}].{entry.type}")
    return tuple(offered)


def _tool(function: Function, cache: CacheControl | None) -> Tool:
    parameters = None if bytes(function.parameters) == b"null" else function.parameters
    mark = cache_mark(cache or function.cache_control)
    return Tool(function.name, function.description, parameters, function.strict, mark)


def tool_choice(
    choice: ToolChoiceEntry | None,
    parallel: bool | None,
    offered: tuple[Tool, ...],
) -> ToolChoice | None:
    """Tells whether tools are called; None leaves it to the model. Raises ApiError 400 for one that is not offered."""
    if not offered:
        if choice in (None, "none", "auto"):
            return None
        raise invalid_value("tool_choice", "there are no tools to choose from")
    if choice is None or isinstance(choice, str):
        return ToolChoice(choice or "auto", (), parallel) if choice or parallel is not None else None
    if isinstance(choice, FunctionChoice | CustomChoice):
        named = choice.function if isinstance(choice, FunctionChoice) else choice.custom
        return ToolChoice("required", _known((named.name,), offered, "tool_choice"), parallel)
    allowed = choice.allowed_tools
    names = tuple(tool.name for tool in allowed.tools if tool.name is not None)
    if not names or len(names) < len(allowed.tools):
        raise invalid_value("tool_choice.allowed_tools.tools", "not a list of functions")
    return ToolChoice(allowed.mode, _known(names, offered, "tool_choice.allowed_tools.tools"), parallel)


def legacy_tool_choice(choice: Literal["none", "auto"] | Name | None, offered: tuple[Tool, ...]) -> ToolChoice:
    """The same for `function_call`: of its answers, one call is all that the old form has room for."""
    if choice is None or isinstance(choice, str):
        return ToolChoice(choice or "auto", (), False)
    return ToolChoice("required", _known((choice.name,), offered, "function_call"), False)


def _known(names: tuple[str, ...], offered: tuple[Tool, ...], param: str) -> tuple[str, ...]:
    missing = set(names).difference(tool.name for tool in offered)
    if missing:
        raise invalid_value(param, f"'{min(missing)}' is not among the tools")
    return names
