"""Requests and answers for the checks."""

from __future__ import annotations

import json

from msgspec import Raw

from weebill.wire.conversation import Conversation, OutputFormat, Part, Text, Tool, ToolUse, Turn
from weebill.wire.reply import Choice, FinishReason, Reply, Usage

PLAIN = Conversation(turns=(Turn("user", (Text("Hello"),)),))


def reply(*parts: Part | str, finish: FinishReason = "stop", probabilities: tuple[float, ...] | None = None) -> Reply:
    """One answer of these parts; `probabilities` are natural logarithms."""
    said = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    entries = None
    if probabilities is not None:
        entries = tuple(Raw(json.dumps({"token": "x", "logprob": each}).encode()) for each in probabilities)
    return Reply("r", "m", (Choice(said, finish, logprobs=entries),), Usage())


def call(name: str, arguments: object) -> ToolUse:
    return ToolUse("t1", name, arguments if isinstance(arguments, str) else json.dumps(arguments))


def wants(schema: object = None, kind: str = "json_schema") -> Conversation:
    """A request for JSON."""
    raw = None if schema is None else Raw(json.dumps(schema).encode())
    return Conversation(turns=PLAIN.turns, output=OutputFormat(kind, raw))  # type: ignore[arg-type]


def tool(name: str, parameters: object = None) -> Tool:
    return Tool(name, parameters=None if parameters is None else Raw(json.dumps(parameters).encode()))
