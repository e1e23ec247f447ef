"""The tools of a Chat Completions request, and which of them are to be called, in canonical form."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

from weebill.apis.chat.messages import CacheControl
from weebill.wire.conversation import Tool, ToolChoice
from weebill.wire.errors import ApiError


class FunctionEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A function; `parameters` is a JSON Schema object, which the request's decoding has made sure of."""

    name: str
    description: str | None = None
    parameters: Raw = Raw(b"null")
    strict: bool | None = None
    cache_control: CacheControl | None = None


class ToolEntry(Struct, frozen=True):
    """An entry of `tools`."""

    type: str
    function: FunctionEntry | None = None
    cache_control: CacheControl | None = None


class _Name(Struct, frozen=True):
    name: str


class FunctionChoice(Struct, frozen=True, tag_field="type", tag="function"):
    """`tool_choice` that names one function."""

    function: _Name


class _AllowedTool(Struct, frozen=True):
    type: str
    function: _Name | None = None


class _AllowedTools(Struct, frozen=True):
    mode: Literal["auto", "required"]
    tools: list[_AllowedTool]


class AllowedToolsChoice(Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    """`tool_choice` that allows some of the tools."""

    allowed_tools: _AllowedTools


class FunctionCallChoice(Struct, frozen=True):
    """The old `function_call` that names one function."""

    name: str


def tools(entries: list[ToolEntry] | None, functions: list[FunctionEntry] | None) -> tuple[Tool, ...]:
    """The tools offered. Raises ApiError 400 for those that are no functions."""
    if functions:
        if entries:
            raise _invalid("functions", "the old form of 'tools', which is given too")
        return tuple([_tool(function, None) for function in functions])
    offered = []
    for at, entry in enumerate(entries or ()):
        if entry.type != "function" or entry.function is None:
            reason = f"tools of type '{entry.type}' are not supported by this model"
            raise ApiError(400, f"Invalid value for 'tools[{at}].type': {reason}.",
                           code="unsupported_parameter", param=f"tools[{at}].type")  # fmt: skip
        offered.append(_tool(entry.function, entry.cache_control))
    return tuple(offered)


def _tool(function: FunctionEntry, cache: CacheControl | None) -> Tool:
    parameters = None if bytes(function.parameters) == b"null" else function.parameters
    cache = cache or function.cache_control
    return Tool(function.name, function.description, parameters, function.strict, cache.ttl if cache else None)


def tool_choice(
    choice: Literal["none", "auto", "required"] | FunctionChoice | AllowedToolsChoice | None,
    parallel: bool | None,
    offered: tuple[Tool, ...],
) -> ToolChoice | None:
    """Whether tools are called; None leaves it to the model. Raises ApiError 400 for one that is not offered."""
    if not offered:
        if choice in (None, "none", "auto"):
            return None
        raise _invalid("tool_choice", "there are no tools to choose from")
    if choice is None or isinstance(choice, str):
        return ToolChoice(choice or "auto", (), parallel) if choice or parallel is not None else None
    if isinstance(choice, FunctionChoice):
        return ToolChoice("required", _known((choice.function.name,), offered, "tool_choice"), parallel)
    allowed = choice.allowed_tools
    names = tuple(tool.function.name for tool in allowed.tools if tool.function is not None)
    if not names or len(names) < len(allowed.tools):
        raise _invalid("tool_choice.allowed_tools.tools", "not a list of functions")
    return ToolChoice(allowed.mode, _known(names, offered, "tool_choice.allowed_tools.tools"), parallel)


def legacy_tool_choice(
    choice: Literal["none", "auto"] | FunctionCallChoice | None, offered: tuple[Tool, ...]
) -> ToolChoice:
    """The same for `function_call`: of its answers, one call is all that the old form has room for."""
    if choice is None or isinstance(choice, str):
        return ToolChoice(choice or "auto", (), False)
    return ToolChoice("required", _known((choice.name,), offered, "function_call"), False)


def _known(names: tuple[str, ...], offered: tuple[Tool, ...], param: str) -> tuple[str, ...]:
    missing = set(names).difference(tool.name for tool in offered)
    if missing:
        raise _invalid(param, f"'{min(missing)}' is not among the tools")
    return names


def _invalid(param: str, reason: str) -> ApiError:
    return ApiError(400, f"Invalid value for '{param}': {reason}.", code="invalid_value", param=param)
