"""A check that an answer is the requested JSON, and that its tool calls fit the tools."""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.auto.cascade.jsonschema import CannotTell, fits
from weebill.auto.cascade.schema_cost import Allowance, Json
from weebill.auto.cascade.verdicts import Verdict, text_of
from weebill.wire.conversation import Conversation, OutputFormat, Tool, ToolUse
from weebill.wire.reply import Choice, Reply

# Decoding holds the interpreter, so longer text is not checked.
_MAX_LENGTH: Final = 1_000_000
_decode: Final = msgspec.json.Decoder(strict=False).decode


def applies(asked: Conversation) -> bool:
    """True if there is anything to check."""
    return asked.output is not None or bool(asked.tools)


def check_schema(asked: Conversation, reply: Reply) -> Verdict:
    """Checks texts and tool calls. A choice that fails counts, even if another cannot be told."""
    allowance = Allowance()
    unknown = ""
    for choice in reply.choices:
        try:
            if problem := _problem(asked, choice, allowance):
                return Verdict("schema", False, problem)
        except CannotTell as error:
            unknown = unknown or str(error)
    return Verdict("schema", None, unknown) if unknown else Verdict("schema", True)


def _problem(asked: Conversation, choice: Choice, allowance: Allowance) -> str:
    calls = [part for part in choice.parts if isinstance(part, ToolUse)]
    if asked.tools and (problem := _calls_problem(asked, calls, allowance)):
        return problem
    # A tool call takes the place of an answer.
    return "" if asked.output is None or calls else _text_problem(text_of(choice), asked.output, allowance)


def _calls_problem(asked: Conversation, calls: list[ToolUse], allowance: Allowance) -> str:
    choice = asked.tool_choice
    if choice is not None and not calls and choice.mode == "required":
        return "no tool is called"
    tools = {tool.name: tool for tool in asked.tools}
    for call in calls:
        tool = tools.get(call.name)
        if tool is None or (choice is not None and choice.names and call.name not in choice.names):
            return f"the tool '{call.name}' was not offered"
        if problem := _arguments_problem(call, tool, allowance):
            return f"the call of '{call.name}': {problem}"
    return ""


def _arguments_problem(call: ToolUse, tool: Tool, allowance: Allowance) -> str:
    try:
        arguments = _read(call.arguments)
    except msgspec.DecodeError:
        return "its arguments are not JSON"
    if not isinstance(arguments, dict):
        return "its arguments are not an object"
    return _misfit(arguments, tool.parameters, allowance)


def _text_problem(text: str, output: OutputFormat, allowance: Allowance) -> str:
    try:
        value = _read(text)
    except msgspec.DecodeError:
        return "the answer is not JSON"
    if output.type == "json_object" and not isinstance(value, dict):
        return "the answer is not a JSON object"
    return _misfit(value, output.schema, allowance)


def _misfit(value: Json, raw: msgspec.Raw | None, allowance: Allowance) -> str:
    if raw is None:
        return ""
    try:
        schema = _read(raw)
    except msgspec.DecodeError as error:
        raise CannotTell(f"the schema is not JSON: {error}") from error
    return "" if fits(value, schema, allowance) else "it does not fit its schema"


def _read(text: str | msgspec.Raw) -> Json:
    """Returns the decoded JSON. Raises DecodeError for invalid JSON, CannotTell for more than can be checked."""
    if len(text if isinstance(text, str) else memoryview(text)) > _MAX_LENGTH:
        raise CannotTell("it is too long to be checked")
    try:
        value: Json = _decode(text)
    except (msgspec.ValidationError, RecursionError) as error:  # numbers out of range, or too deep
        raise CannotTell(str(error)) from error
    return value
