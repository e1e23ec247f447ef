"""A check that tools are called as they were offered, in the API's form, and where the request demands it."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final

import msgspec

from weebill.auto.cascade.schema import misfit, of_choices, read
from weebill.auto.cascade.schema_cost import Allowance
from weebill.auto.cascade.verdicts import Verdict, text_of
from weebill.wire.conversation import Conversation, Tool, ToolChoice, ToolUse
from weebill.wire.reply import Choice, Reply

# Of a longer text, its beginning and its end are searched: a call comes after little text, or ends the answer.
_SEARCHED: Final = 4_000
# Arguments are not far from the name.
_NEAR: Final = 400
_NAME: Final = r"([\w.:-]{1,128})"
# The ways in which models write a call if they are not held to the API's, by the name's place:
# as a member of JSON or of a Python dictionary, next to one with the arguments,
_MEMBER: Final = re.compile(
    r"""["'](?:name|func|tool|tool_name|function|function_name|recipient_name|action)["']\s{0,9}:\s{0,9}["']"""
    rf"""(?:functions\.)?{_NAME}["']"""
)
_ARGUMENTS: Final = re.compile(
    r"""["'](?:arguments|parameters|args|kwargs|inputs?|tool_input|action_input|tool_arguments)["']\s{0,9}:"""
)
# after a sign that its model was trained to begin a call with,
_MARKED: Final = re.compile(
    r"(?:<function=|<(?:invoke|function|tool|tool_call) name=|<tool_call>|\[TOOL_CALLS\]|<\|python_tag\|>|✿FUNCTION✿:|"
    r"<｜tool▁(?:sep|call▁begin)｜>|<\|tool_call(?:_begin)?\|>|<\|action_start\|>|\bto=functions\.|>>>|"
    r"^Action:|^Tool:|^Function:)"
    rf"""\s{{0,9}}["'`]?(?:functions\.)?{_NAME}""",
    re.MULTILINE,
)
# or as a function's, alone on its line.
_FUNCTION: Final = re.compile(
    r"^[ \t`*\[(-]{0,12}(?:print\()?(?:default_api\.|functions\.|tools\.)?"
    r"""['"]?([A-Za-z_][\w.:-]{0,127})['"]?\((?:[^\n]{0,4000}\)[\[\]),;`* \t\d]{0,12})?$""",
    re.MULTILINE,
)
# What a program has besides.
_DEFINES: Final = re.compile(r"^\s{0,40}(?:def|function|class|import|from|const|let|var|async)\b", re.MULTILINE)


def applies(asked: Conversation) -> bool:
    """True if there is anything to check."""
    return bool(asked.tools)


def check_calls(asked: Conversation, reply: Reply) -> Verdict:
    """Checks the calls of a whole answer."""
    allowance = Allowance()
    tools = {tool.name: tool for tool in asked.tools}
    choice = asked.tool_choice or ToolChoice()
    structured = asked.output is not None
    return of_choices("calls", reply, lambda each: _problem(each, choice, tools, allowance, structured=structured))


def _problem(
    said: Choice, choice: ToolChoice, tools: dict[str, Tool], allowance: Allowance, *, structured: bool
) -> str:
    calls = [part for part in said.parts if isinstance(part, ToolUse)]
    for call in calls:
        tool = tools.get(call.name)
        if tool is None or (choice.names and call.name not in choice.names):
            return f"the tool '{call.name}' was not offered"
        if problem := _arguments_problem(call, tool, allowance):
            return f"the call of '{call.name}': {problem}"
    if calls or choice.mode == "none":
        return ""
    if name := written_call(text_of(said), tools, structured=structured):
        return f"the call of '{name}' is written as text"
    return "no tool is called" if choice.mode == "required" else ""


def _arguments_problem(call: ToolUse, tool: Tool, allowance: Allowance) -> str:
    try:
        arguments = read(call.arguments)
    except msgspec.DecodeError:
        return "its arguments are not JSON"
    if not isinstance(arguments, dict):
        return "its arguments are not an object"
    return misfit(arguments, tool.parameters, allowance)


def written_call(text: str, names: Container[str], *, structured: bool = False) -> str:
    """Returns the name of the tool that a text calls, "" if it calls none; in `structured` text, JSON is no call."""
    if len(text) > 2 * _SEARCHED:
        text = f"{text[:_SEARCHED]}\n{text[-_SEARCHED:]}"
    for found in _MARKED.finditer(text):
        if found[1] in names:
            return found[1]
    if not structured:
        for found in _MEMBER.finditer(text):
            near = max(0, found.start() - _NEAR), found.end() + _NEAR
            if found[1] in names and _ARGUMENTS.search(text, *near):
                return found[1]
    called = next((found[1] for found in _FUNCTION.finditer(text) if found[1] in names), "")
    # A search for each call would take as long as the text has lines.
    return "" if called and _DEFINES.search(text) else called
