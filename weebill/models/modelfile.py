"""Modelfiles: how a model is made of another one, as Ollama writes it (https://docs.ollama.com/modelfile).

A command is a keyword in whichever case and a value to the end of the line. A value in quotes, or in three, may have
several lines; it ends with a quote at the end of a line. `#` begins a comment where a command could.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from weebill.models.errors import ModelError

_KEYWORDS: Final = (
    *("from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter", "message"),
    "requires",
)
_ROLES: Final = ("system", "user", "assistant")
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_COMMENT: Final = re.compile(r"#[^\r\n]*")
_WORD: Final = re.compile(r"([A-Za-z]+)[ \t]+")
_NAME: Final = re.compile(r"([A-Za-z0-9_]+)[ \t]+")
_END_OF_LINE: Final = re.compile(r"[\r\n]|\Z")
_QUOTES: Final = ('"""', '"')
_MARKS: Final[Mapping[bytes, str]] = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_MOST_BYTES: Final = 1 << 20


class ModelfileError(ModelError):
    """A Modelfile that cannot be read or carried out. `line` is the one that is wrong, 0 for none."""

    def __init__(self, fault: str, line: int = 0) -> None:
        super().__init__(f"Line {line} of the Modelfile: {fault}" if line else f"The Modelfile: {fault}")


class Command(NamedTuple):
    """A command: its keyword in lower case, the name of a parameter or the role of a message, and its value."""

    keyword: str
    value: str
    name: str = ""
    line: int = 0


def decoded(content: bytes) -> str:
    """Returns the text of a file, which is in UTF-8 unless it begins with another mark. Raises ModelfileError."""
    if len(content) > _MOST_BYTES:
        raise ModelfileError(f"it has more than {_MOST_BYTES:,} bytes.")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ModelfileError(f"it is no text in {encoding} ({error.reason}).") from None


def parse(text: str) -> tuple[Command, ...]:
    """Returns the commands in order. Raises ModelfileError."""
    found = []
    place = _after(_BLANK, text, 0)
    while place < len(text):
        if text[place] == "#":
            place = _after(_COMMENT, text, place)
        else:
            command, place = _command(text, place)
            found.append(command)
        place = _after(_BLANK, text, place)
    if all(command.keyword != "from" for command in found):
        raise ModelfileError("it has no FROM, which says what the model is made of.")
    return tuple(found)


def written(commands: Iterable[Command]) -> str:
    """Returns the text of commands, which `parse` reads."""
    lines = []
    for command in commands:
        name = f" {command.name}" if command.name else ""
        lines.append(f"{command.keyword.upper()}{name} {_quoted(command.value)}\n")
    return "".join(lines)


def _command(text: str, place: int) -> tuple[Command, int]:
    line = _line(text, place)
    word = _WORD.match(text, place)
    keyword = word[1].lower() if word else ""
    if word is None or keyword not in _KEYWORDS:
        shown = text[place : _end_of_line(text, place)].split(" ")[0][:40]
        known = ", ".join(each.upper() for each in _KEYWORDS)
        raise ModelfileError(f"{shown!r} is no command with a value. The commands are {known}.", line)
    place, name = word.end(), ""
    if keyword in ("parameter", "message"):
        found = _NAME.match(text, place)
        if found is None:
            what = "a parameter's name" if keyword == "parameter" else f"one of {', '.join(_ROLES)}"
            raise ModelfileError(f"{keyword.upper()} needs {what}, and then a value.", line)
        place, name = found.end(), found[1]
        if keyword == "message" and name not in _ROLES:
            raise ModelfileError(f"the role of a MESSAGE is one of {', '.join(_ROLES)}, and not {name!r}.", line)
    value, place = _value(text, place, line)
    return Command(keyword, value, name, line), place


def _value(text: str, place: int, line: int) -> tuple[str, int]:
    quote = next((quote for quote in _QUOTES if text.startswith(quote, place)), "")
    end = place
    while True:
        end = _end_of_line(text, end)
        value = text[place:end].strip()
        if not quote:
            return value, end
        if len(value) >= 2 * len(quote) and value.endswith(quote):
            return value[len(quote) : -len(quote)], end
        if end >= len(text):
            raise ModelfileError(f"the quotation that begins there has no end: {quote} at the end of a line.", line)
        end += 1


def _quoted(value: str) -> str:
    if value and value == value.strip() and "\n" not in value and not value.startswith('"'):
        return value
    return f'"""{value}"""' if '"' in value else f'"{value}"'


def _after(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    return place if found is None else found.end()


def _end_of_line(text: str, place: int) -> int:
    found = _END_OF_LINE.search(text, place)
    return len(text) if found is None else found.start()


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1
