"""Answers and requests in each provider's own format, written after its public documentation; see each `source`.

An answer is had by the model's name: `body` whole, `stream` event by event as the provider frames them. A request is
what a dialect is to write for a conversation.
"""

from functools import cache
from pathlib import Path

import msgspec
from msgspec import Raw

from weebill.wire.conversation import Conversation

FOLDER = Path(__file__).parent


class AnswerVector(msgspec.Struct):
    """An upstream's answer; without `stream` it is the same whether one is asked for or not."""

    status: int = 200
    headers: dict[str, str] = {}
    body: Raw = Raw(b"null")
    stream: list[str] = []


class RequestVector(msgspec.Struct):
    """A conversation, and the request that says the same; `target` is a Target's fields but for the model."""

    conversation: Raw
    path: str
    body: Raw
    stream: bool = False
    target: Raw = Raw(b"{}")


class Vectors(msgspec.Struct):
    """One file."""

    source: list[str]
    answers: dict[str, AnswerVector] = {}
    requests: dict[str, RequestVector] = {}


@cache
def load(name: str) -> Vectors:
    """The vectors of a dialect."""
    return msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=Vectors)


def conversation(raw: Raw) -> Conversation:
    """A vector's conversation. Schemas are put in afterwards, as msgspec decodes no `Raw | None`."""
    fields = msgspec.json.decode(raw)
    parameters = [_take(tool, "parameters") for tool in fields.get("tools", ())]
    schema = _take(fields.get("output") or {}, "schema")
    asked = msgspec.json.decode(msgspec.json.encode(fields), type=Conversation)
    replace = msgspec.structs.replace
    tools = tuple(replace(tool, parameters=raw) for tool, raw in zip(asked.tools, parameters, strict=True))
    return replace(asked, tools=tools, output=asked.output and replace(asked.output, schema=schema))


def _take(fields: dict[str, object], name: str) -> Raw | None:
    return Raw(msgspec.json.encode(fields.pop(name))) if fields.get(name) is not None else None
