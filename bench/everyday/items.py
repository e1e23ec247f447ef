"""A request whose right answer is known, and the large tier's answer to it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.proc import BenchError
from weebill.factory.checkers import Answer, Call, Calls, Check, Exact, IsJson, Letter, Number, Says, right
from weebill.factory.tasks import TASKS, Message, Task, read_tasks

MMLU: Final = "MMLU"
GSM8K: Final = "GSM8K"
BANKING77: Final = "Banking77"
ENGLISH: Final = "everyday, English"
OTHERS: Final = "everyday, nine other languages"
FOLLOW_UPS: Final = "follow-ups"
TOOLS: Final = "tools"
JSON: Final = "JSON"
XQUAD: Final = "XQuAD"
MGSM: Final = "MGSM"

JSON_MODE: Final = msgspec.Raw(b'{"type":"json_object"}')
_ANSWERS: Final = Path(__file__).with_name("answers.toml")
# Answers of the default model to these tasks pass the checks, and are wrong to somebody who reads them.
_WRONG: Final = TASKS.with_name("smollm2-135m.wrong.txt")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A request, the checks of its answer, and an `answer` that passes them.

    `kind` is the row of the report that it counts for, `part` one below that: a kind of task, or a language. Of a
    `misjudged` one, the default model's answer is wrong whatever the checks say.
    """

    id: str
    kind: str
    part: str = ""
    messages: tuple[Message, ...]
    checks: tuple[Check, ...]
    answer: Answer
    max_tokens: int
    tools: tuple[msgspec.Raw, ...] = ()
    output: msgspec.Raw = msgspec.Raw()
    misjudged: bool = False

    @property
    def streams(self) -> bool:
        """True if the answer is asked for as a stream: text for people is, what programs read is not."""
        return not self.tools and not self.output


def said(text: str) -> tuple[Message, ...]:
    """Returns a conversation of one message."""
    return (Message("user", text),)


def talk(*texts: str) -> tuple[Message, ...]:
    """Returns a conversation; the user begins and ends it."""
    return tuple(Message("assistant" if at % 2 else "user", text) for at, text in enumerate(texts))


def answer_of(checks: Sequence[Check], language: str = "en") -> Answer | None:
    """Returns the answer that the first check names, in the form that was asked for; None if it names none."""
    match checks[0]:
        case Calls(name, arguments):
            return Answer(calls=(Call(name, bytes(arguments).decode()),))
        case IsJson(equals):
            return Answer(bytes(equals).decode())
        case Letter(value):
            return Answer(value)
        case Number(value):
            return Answer(f"The answer is {value:.10g}." if language == "en" else f"{value:.10g}")
        case Exact((first, *_)):
            return Answer(first)
        case Says((first, *_)):
            return Answer(f"It is {first}." if language == "en" else first)
    return None


def checked(items: Sequence[Item]) -> list[Item]:
    """Returns the items. Raises BenchError if the large tier would be wrong, or would not know which is asked."""
    for item in items:
        if not right(item.checks, item.answer):
            raise BenchError(f"{item.id}: the large tier's answer does not pass its checks: {item.answer}")
    if len({item.id for item in items}) < len(items):
        raise BenchError("two prompts have one id")
    return list(items)


def own_tasks() -> list[Item]:
    """Returns the tasks by which profiles are measured, with answers."""
    written = tomllib.loads(_ANSWERS.read_text())
    wrong = frozenset(_WRONG.read_text().split())
    return [_of_task(task, written, task.id in wrong) for task in read_tasks()]


def _of_task(task: Task, written: Mapping[str, str], misjudged: bool) -> Item:
    answer = Answer(written[task.id]) if task.id in written else answer_of(task.checks, task.language)
    if answer is None:
        raise BenchError(f"{_ANSWERS.name} has no answer to {task.id}")
    kind = _kind_of(task)
    parts = {ENGLISH: task.kind, OTHERS: task.language}
    return Item(
        id=task.id,
        kind=kind,
        part=parts.get(kind, ""),
        messages=task.messages,
        checks=task.checks,
        answer=answer,
        max_tokens=task.max_tokens,
        tools=task.tools,
        output=JSON_MODE if task.json else msgspec.Raw(),
        misjudged=misjudged,
    )


def _kind_of(task: Task) -> str:
    if task.tools:
        return TOOLS
    if task.json:
        return JSON
    if task.follow_up:
        return FOLLOW_UPS
    return ENGLISH if task.language == "en" else OTHERS
