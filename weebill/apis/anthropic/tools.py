"""Tools of Anthropic's Messages API, and which of them is to be called.

There are three kinds. The client's own have a schema. Those that Anthropic defines and the client runs (`bash`,
`memory`) have theirs at Anthropic, and go to other models with it; their calls come back under the same names. Those
that Anthropic runs itself are set aside.

Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.apis.anthropic.client_tools import client_tool
from weebill.apis.anthropic.tolerant import SetAside, read, type_of
from weebill.wire import anthropic as wire
from weebill.wire.body import invalid_at
from weebill.wire.conversation import Tool, ToolChoice
from weebill.wire.errors import UNREADABLE, invalid_value, missing_parameter
from weebill.wire.json_values import decode_list, decode_text

_CALLED_BY_MODEL: Final = ["direct"]


_encode: Final = msgspec.json.encode


def tools(raw: Raw, aside: SetAside) -> tuple[Tool, ...]:
    """The tools that the client runs. Raises ApiError 400 for what is no tool."""
    try:
        given = decode_list(raw)
    except UNREADABLE as error:
        raise invalid_at(error, "tools") from error
    found = [_tool(each, f"tools[{index}]", aside) for index, each in enumerate(given)]
    return tuple([tool for tool in found if tool is not None])


def _tool(raw: Raw, path: str, aside: SetAside) -> Tool | None:
    kind = type_of(raw)
    if kind not in ("", "custom"):
        defined = client_tool(kind, raw)
        if defined is None:
            aside.add(path, raw)
        return defined
    tool = read(wire.ToolEntry, raw, path, aside)
    if not bytes(tool.input_schema).startswith(b"{"):
        raise invalid_value(f"{path}.input_schema", "expected an object")
    if bytes(tool.input_examples):
        aside.add(f"{path}.input_examples", tool.input_examples)
    if tool.allowed_callers is not None and tool.allowed_callers != _CALLED_BY_MODEL:
        aside.add(f"{path}.allowed_callers", Raw(_encode(tool.allowed_callers)))
    if tool.defer_loading:
        aside.add(f"{path}.defer_loading", Raw(b"true"))
    return Tool(tool.name, tool.description, tool.input_schema, tool.strict, wire.cache_mark(tool.cache_control))


def tool_choice(raw: Raw, offered: tuple[Tool, ...], aside: SetAside) -> ToolChoice | None:
    """Reads which tools are to be called. A choice that these tools cannot meet is set aside as a demand."""
    said = bytes(raw).startswith(b'"')
    choice = wire.ToolChoice(decode_text(raw)) if said else read(wire.ToolChoice, raw, "tool_choice", aside)
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    match choice.type:
        case "auto":
            return ToolChoice("auto", (), parallel)
        case "none":
            return ToolChoice("none", (), parallel)
        case "any" | "required" if offered:
            return ToolChoice("required", (), parallel)
        case "tool":
            if not choice.name:
                raise missing_parameter("tool_choice.name")
            if any(tool.name == choice.name for tool in offered):
                return ToolChoice("required", (choice.name,), parallel)
    aside.add("tool_choice", raw)
    return None
