"""The templates of conversations: a beginning that each one gets, and templates of Ollama.

The beginning is put into the template itself, so that every API, and the counting of tokens, has it in the same way,
and no request has to be changed on its way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from weebill.models.manifests import Said

# Go's text/template, in which Ollama's templates are written.
_GO: Final = re.compile(r"\{\{-?\s*(\.|\$|(if|range|end|else|with|define|block|template|break|continue|json)\b)")
_JINJA: Final = re.compile(r"\{%|\{\{")
# What tells the format of one family from another's: `<|im_start|>`, `<start_of_turn>`, `[INST]`, `<<SYS>>`.
_MARK: Final = re.compile(r"<\|[^|<>\s]+\|?>|<[a-z_]+_of_[a-z_]+>|\[/?INST\]|<</?SYS>>|<\uff5c[^\uff5c]+\uff5c>")
# As both Jinja and llama.cpp's reader of it know them.
_ESCAPES: Final[Mapping[str, str]] = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def with_beginning(template: str, system: str, messages: Iterable[Said]) -> str:
    """Returns a template that writes a system prompt, unless the conversation has one, and then some messages first."""
    first = f"[{_message(Said('system', system))}]" if system else "[]"
    given = f"[{', '.join(_message(each) for each in messages)}]"
    return (
        f"{{%- set beginning = namespace(first={first}, rest=messages) -%}}"
        '{%- if messages and messages[0].role == "system" -%}'
        "{%- set beginning.first = [messages[0]] -%}{%- set beginning.rest = messages[1:] -%}"
        "{%- endif -%}"
        f"{{%- set messages = beginning.first + {given} + beginning.rest -%}}"
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


def _message(said: Said) -> str:
    return f'{{"role": "{said.role}", "content": {_literal(said.content)}}}'


def _literal(text: str) -> str:
    escaped = "".join(_ESCAPES.get(character, character) for character in text)
    return f'"{escaped}"'
