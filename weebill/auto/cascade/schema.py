"""A check that an answer is the requested JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from weebill.auto.cascade.jsonschema import CannotTell, fits
from weebill.auto.cascade.schema_cost import Allowance, Json
from weebill.auto.cascade.verdicts import Verdict, text_of
from weebill.config.auto import CheckName
from weebill.wire.conversation import OutputFormat, ToolUse
from weebill.wire.reply import Choice, Reply

# Decoding holds the interpreter, so longer text is not checked.
_MAX_LENGTH: Final = 1_000_000
_decode: Final = msgspec.json.Decoder(strict=False).decode


def check_schema(output: OutputFormat, reply: Reply) -> Verdict:
    """Checks the texts of a whole answer."""
    allowance = Allowance()
    return of_choices("schema", reply, lambda choice: _problem(output, choice, allowance))


def of_choices(check: CheckName, reply: Reply, problem_of: Callable[[Choice], str]) -> Verdict:
    """Returns the verdict on all choices. One that fails counts, even if another cannot be told (CannotTell)."""
    unknown = ""
    for choice in reply.choices:
        try:
            if problem := problem_of(choice):
                return Verdict(check, False, problem)
        except CannotTell as error:
            unknown = unknown or str(error)
    return Verdict(check, None, unknown) if unknown else Verdict(check, True)


def _problem(output: OutputFormat, choice: Choice, allowance: Allowance) -> str:
    # A tool call takes the place of an answer.
    called = any(isinstance(part, ToolUse) for part in choice.parts)
    return "" if called else _text_problem(text_of(choice), output, allowance)


def _text_problem(text: str, output: OutputFormat, allowance: Allowance) -> str:
    try:
        value = read(text)
    except msgspec.DecodeError:
        return "the answer is not JSON"
    if output.type == "json_object" and not isinstance(value, dict):
        return "the answer is not a JSON object"
    return misfit(value, output.schema, allowance)


def misfit(value: Json, raw: msgspec.Raw | None, allowance: Allowance) -> str:
    """Returns the problem of a value with its schema, "" if there is none. Raises CannotTell."""
    if raw is None:
        return ""
    try:
        schema = read(raw)
    except msgspec.DecodeError as error:
        raise CannotTell(f"the schema is not JSON: {error}") from error
    return "" if fits(value, schema, allowance) else "it does not fit its schema"


def read(text: str | msgspec.Raw) -> Json:
    """Returns the decoded JSON. Raises DecodeError for invalid JSON, CannotTell for more than can be checked."""
    if len(text if isinstance(text, str) else memoryview(text)) > _MAX_LENGTH:
        raise CannotTell("it is too long to be checked")
    try:
        value: Json = _decode(text)
    except (msgspec.ValidationError, RecursionError) as error:  # numbers out of range, or too deep
        raise CannotTell(str(error)) from error
    return value
