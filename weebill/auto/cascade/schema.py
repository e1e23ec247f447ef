"""Tells whether an answer is the JSON that was asked for, and its tool calls ones that can be made."""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.auto.cascade.jsonschema import CannotTell, Json, misfit
from weebill.auto.cascade.verdicts import Verdict, said
from weebill.wire.conversation import Conversation, OutputFormat, Tool, ToolUse
from weebill.wire.reply import Choice, Reply

_decode: Final = msgspec.json.Decoder(strict=False).decode


def applies(asked: Conversation) -> bool:
    """Tells whether there is anything to fit."""
    return asked.output is not None or bool(asked.tools)


def fits_schema(asked: Conversation, reply: Reply) -> Verdict | None:
    """Of text and tool calls; None if a schema is beyond us."""
    try:
        problem = next(filter(None, (_problem(asked, choice) for choice in reply.choices)), "")
    except CannotTell:
        return None
    return Verdict("schema", not problem, problem)


def _problem(asked: Conversation, choice: Choice) -> str:
    calls = [part for part in choice.parts if isinstance(part, ToolUse)]
    if asked.tools and (problem := _calls_problem(asked, calls)):
        return problem
    # A call of a tool stands in for the answer.
    return "" if asked.output is None or calls else _text_problem(said(choice), asked.output)


def _calls_problem(asked: Conversation, calls: list[ToolUse]) -> str:
    choice = asked.tool_choice
    if choice is not None and not calls and choice.mode == "required":
        return "no tool is called"
    tools = {tool.name: tool for tool in asked.tools}
    for call in calls:
        tool = tools.get(call.name)
        if tool is None or (choice is not None and choice.names and call.name not in choice.names):
            return f"the tool '{call.name}' was not offered"
        if problem := _arguments_problem(call, tool):
            return f"the call of '{call.name}': {problem}"
    return ""


def _arguments_problem(call: ToolUse, tool: Tool) -> str:
    try:
        arguments: Json = _decode(call.arguments)
    except (msgspec.DecodeError, RecursionError):
        return "its arguments are not JSON"
    if not isinstance(arguments, dict):
        return "its arguments are not an object"
    return "" if tool.parameters is None else misfit(arguments, _schema(tool.parameters)) or ""


def _text_problem(text: str, output: OutputFormat) -> str:
    try:
        value: Json = _decode(text)
    except (msgspec.DecodeError, RecursionError):
        return "the answer is not JSON"
    if output.type == "json_object" and not isinstance(value, dict):
        return "the answer is not a JSON object"
    return "" if output.schema is None else misfit(value, _schema(output.schema)) or ""


def _schema(raw: msgspec.Raw) -> Json:
    try:
        schema: Json = _decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CannotTell(f"the schema is not JSON: {error}") from error
    return schema
