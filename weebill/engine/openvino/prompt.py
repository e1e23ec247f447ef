"""From a conversation to the text of its prompt, by the model's own template.

Templates come with models, from anybody: they are rendered in Jinja's sandbox, whose objects cannot be changed, and
what they write is bounded.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import Final, NoReturn

import msgspec
from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from weebill.engine.errors import EngineError
from weebill.engine.openvino.request import Wanted, refused
from weebill.engine.openvino.vocabulary import Vocabulary
from weebill.engine.serving.jobs import RefusedError

# Real text has ten at most.
_CHARACTERS_PER_TOKEN: Final = 64


class Prompts:
    """Writes prompts by a template, for a context of so many tokens."""

    def __init__(self, template: str, vocabulary: Vocabulary, context: int) -> None:
        """Raises EngineError if the template is none."""
        self._context = context
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _raise, "strftime_now": _strftime_now}
        try:
            self._template = environment.from_string(template)
        except TemplateError as error:
            raise EngineError(f"the chat template cannot be read: {error}") from error
        self._tokens = {"bos_token": vocabulary.beginning, "eos_token": vocabulary.end}
        self.tells_thoughts = "<think>" in template or "</think>" in template
        """True if the model thinks, within marks, before it answers."""
        self.knows_tools = "<tool_call>" in template
        """True if the model writes calls of tools in the way that the gateway reads out of its text."""

    def text(self, wanted: Wanted) -> str:
        """Returns the prompt of a conversation. Raises RefusedError."""
        given: dict[str, object] = {
            **self._tokens,
            **wanted.variables,
            "messages": [_message(at, message) for at, message in enumerate(wanted.messages)],
            "tools": list(wanted.tools) or None,
            "add_generation_prompt": True,
        }
        try:
            return self._joined(self._template.generate(given))
        except (TemplateError, _RaisedError, TypeError, ValueError, RecursionError) as error:
            raise refused("messages", f"cannot be written by the model's template: {error}") from error

    def _joined(self, pieces: Iterable[str]) -> str:
        found, size = [], 0
        for piece in pieces:
            found.append(piece)
            size += len(piece)
            if size > self._context * _CHARACTERS_PER_TOKEN:
                message = f"the prompt is far longer than the {self._context} tokens of the context"
                raise RefusedError.too_long(message, size // _CHARACTERS_PER_TOKEN, self._context)
        return "".join(found)


class _RaisedError(Exception):
    """A template says that a conversation is none for its model."""


def _message(at: int, message: Mapping[str, object]) -> dict[str, object]:
    """Returns a message as templates know them: its content is text, and the arguments of calls are objects."""
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(_text(at, part) for part in content)
    elif content is None:
        content = ""
    found = {**message, "content": content}
    if isinstance(calls := message.get("tool_calls"), list):
        found["tool_calls"] = [_call(call) for call in calls]
    return found


def _text(at: int, part: object) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    if not isinstance(text, str):
        raise refused("messages", f"has a part in message {at} that is no text, and this model reads nothing else")
    return text


def _call(call: object) -> object:
    if not isinstance(call, dict) or not isinstance(function := call.get("function"), dict):
        return call
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments or "{}", type=dict[str, object])
        except msgspec.DecodeError:
            return call
    return {**call, "function": {**function, "arguments": arguments}}


def _to_json(value: object, indent: int | None = None, ensure_ascii: bool = False, **_: object) -> str:
    """Writes JSON as Python does, with a space after commas and colons: templates are made for that."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise(message: str) -> NoReturn:
    raise _RaisedError(message)


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().astimezone().strftime(form)
