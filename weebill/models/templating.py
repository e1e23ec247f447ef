"""The templates of conversations: a beginning that each one gets, and templates of Ollama.

The beginnings of all models that share a host are in its template, and a request names the one of its model. So every
API has it in the same way, and no conversation is changed on its way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from weebill.models.manifests import Said

BEGINNING: Final = "weebill_beginning"
"""The variable of a template that names a beginning."""

# Go's text/template, in which Ollama's templates are written.
_GO: Final = re.compile(r"\{\{-?\s*(\.|\$|(if|range|end|else|with|define|block|template|break|continue|json)\b)")
_JINJA: Final = re.compile(r"\{%|\{\{")
# What tells the format of one family from another's: `<|im_start|>`, `<start_of_turn>`, `[INST]`, `<<SYS>>`.
_MARK: Final = re.compile(r"<\|[^|<>\s]+\|?>|<[a-z_]+_of_[a-z_]+>|\[/?INST\]|<</?SYS>>|<\uff5c[^\uff5c]+\uff5c>")
# As both Jinja and llama.cpp's reader of it know them.
_ESCAPES: Final[Mapping[str, str]] = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Beginning(msgspec.Struct, frozen=True):
    """The beginning of each conversation with a model: a system prompt, "" for none, and first messages."""

    system: str = ""
    messages: tuple[Said, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.system or self.messages)


def with_beginnings(template: str, beginnings: Mapping[str, Beginning]) -> str:
    """Returns a template that writes the beginning that a request names in `chat_template_kwargs`.

    A system prompt of the conversation takes the place of the beginning's. A name that is not known is an error.
    """
    if not beginnings:
        return template
    known = ", ".join(f"{_literal(name)}: {_beginning(each)}" for name, each in beginnings.items())
    return (
        f"{{%- if {BEGINNING} is defined -%}}"
        f"{{%- set beginnings = {{{known}}} -%}}"
        f"{{%- if {BEGINNING} not in beginnings -%}}"
        '{{- raise_exception("the model is not the one that this was written for any more") -}}'
        "{%- endif -%}"
        f"{{%- set given = beginnings[{BEGINNING}] -%}}"
        "{%- set beginning = namespace(first=given.first, rest=messages) -%}"
        '{%- if messages and messages[0].role == "system" -%}'
        "{%- set beginning.first = [messages[0]] -%}{%- set beginning.rest = messages[1:] -%}"
        "{%- endif -%}"
        "{%- set messages = beginning.first + given.said + beginning.rest -%}"
        "{%- endif -%}"
        f"{template}"
    )


def is_go(template: str) -> bool:
    """True if a template is one of Ollama's own kind."""
    return _GO.search(template) is not None and "{%" not in template


def is_jinja(template: str) -> bool:
    """True if a template is one that can be used as it is."""
    return _JINJA.search(template) is not None and not is_go(template)


def is_of_same_family(template: str, other: str) -> bool:
    """True if two templates, of whichever kinds, mark turns alike."""
    marks = set(_MARK.findall(template))
    return bool(marks) and marks <= set(_MARK.findall(other))


def _beginning(beginning: Beginning) -> str:
    first = _message(Said("system", beginning.system)) if beginning.system else ""
    return f'{{"first": [{first}], "said": [{", ".join(map(_message, beginning.messages))}]}}'


def _message(said: Said) -> str:
    return f'{{"role": "{said.role}", "content": {_literal(said.content)}}}'


def _literal(text: str) -> str:
    escaped = "".join(_ESCAPES.get(character, character) for character in text)
    return f'"{escaped}"'
