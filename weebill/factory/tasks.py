"""Tasks that measure what a model can do: requests whose answers can be checked, by kind and language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from weebill.auto.kinds import Kind
from weebill.auto.traits import traits
from weebill.factory.checkers import Check, Says
from weebill.wire.conversation import Conversation, OutputFormat, Text, Tool, Turn

TASKS: Final = Path(__file__).parent / "data" / "tasks.jsonl"
NEEDLE: Final = "needle"
"""The kind of the tasks that find how long a request may be."""
NEEDLE_SIZES: Final = (256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768)
_DEPTHS: Final = (0.1, 0.5, 0.9, 0.3, 0.7)
_WORDS_PER_TOKEN: Final = 0.75

# Sentences about nothing in particular, in which a code is hidden.
_WHO: Final = ("A gardener", "The old clerk", "My neighbour", "A sailor", "The tailor", "Her cousin", "A student")
_DOES: Final = ("painted", "sold", "carried", "repaired", "counted", "borrowed", "cleaned", "described")
_WHAT: Final = ("a wooden chair", "the long ladder", "three baskets", "an old map", "the green gate", "a box of nails")
_WHEN: Final = ("before lunch.", "on a windy day.", "after the market.", "in late autumn.", "without any hurry.")
_DOORS: Final = ("blue", "iron", "narrow", "kitchen", "garden")


class Message(msgspec.Struct, frozen=True):
    """A turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A request and the checks of its answer.

    `everyday` names the questions that are asked in all languages alike. `guess` is the share of right answers that
    guessing has. `tools` are in the form of Chat Completions, `json` asks for its JSON mode.
    """

    id: str
    kind: str
    messages: tuple[Message, ...]
    checks: tuple[Check, ...]
    max_tokens: int
    language: str = "en"
    everyday: str = ""
    follow_up: bool = False
    guess: float = 0.0
    tools: tuple[msgspec.Raw, ...] = ()
    json: bool = False
    size: int = 0


class TasksError(Exception):
    """A file that has no tasks."""


def read_tasks(path: Path = TASKS) -> tuple[Task, ...]:
    """Returns the tasks in a file of JSON lines. Raises TasksError, or OSError."""
    decode = msgspec.json.Decoder(Task).decode
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            found.append(decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TasksError(f"{path}, line {number}: {error}") from error
    if not found:
        raise TasksError(f"{path} has no tasks")
    if len({task.id for task in found}) < len(found):
        raise TasksError(f"{path} has two tasks with one id")
    return tuple(found)


def seen_as(task: Task) -> Kind:
    """Returns the kind of task that the gateway takes a task for."""
    turns = tuple(Turn(message.role, (Text(message.content),)) for message in task.messages)
    tools = tuple(Tool(str(number)) for number in range(len(task.tools)))
    output = OutputFormat("json_object") if task.json else None
    return traits(Conversation(turns=turns, tools=tools, output=output)).kind


def needles(size: int) -> list[Task]:
    """Returns the tasks of finding a code in texts of `size` tokens."""
    return [_needle(size, number, depth) for number, depth in enumerate(_DEPTHS)]


def _needle(size: int, number: int, depth: float) -> Task:
    code = f"{(size * 7 + number * 2411) % 9000 + 1000}"
    door = _DOORS[number]
    sentences = _filler(int(size * _WORDS_PER_TOKEN))
    sentences.insert(int(depth * len(sentences)), f"The code of the {door} door is {code}.")
    ask = f"{' '.join(sentences)}\n\nWhat is the code of the {door} door?"
    return Task(
        id=f"{NEEDLE}-{size}-{number + 1}",
        kind=NEEDLE,
        messages=(Message("user", ask),),
        checks=(Says((code,)),),
        max_tokens=32,
        size=size,
    )


def _sentences() -> Iterator[str]:
    # Each part moves on at its own pace, so that sentences repeat late.
    for at in range(len(_WHO) * len(_DOES) * len(_WHAT) * len(_WHEN)):
        yield f"{_WHO[at % 7]} {_DOES[(at // 2) % 8]} {_WHAT[(at // 3) % 6]} {_WHEN[(at // 5) % 5]}"


def _filler(words: int) -> list[str]:
    sentences: list[str] = []
    count = 0
    every = tuple(_sentences())
    while count < words:
        sentence = every[len(sentences) % len(every)]
        sentences.append(sentence)
        count += len(sentence.split())
    return sentences
