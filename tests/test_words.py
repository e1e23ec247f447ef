"""Docstrings say what a thing is or does, subject first; none begins with a question word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sources import Source, source, source_of

PACKAGE = Path(__file__).parent.parent / "weebill"
QUESTIONS = frozenset({"What", "Whether", "Where", "How", "Which", "Who"})


def questions(module: Source) -> list[int]:
    """The lines of docstrings that begin with a question word."""
    return [line for line, text in module.texts if text.split(maxsplit=1)[:1] and first_word(text) in QUESTIONS]


def first_word(text: str) -> str:
    return text.split(maxsplit=1)[0].rstrip(",.:;").removesuffix("'s")


@pytest.mark.parametrize("room", sorted(each.name for each in PACKAGE.iterdir() if (each / "__init__.py").exists()))
def test_no_docstring_begins_with_a_question_word(room: str) -> None:
    found = {
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for line in questions(source_of(path))
    }
    assert not found, sorted(found)


@pytest.mark.parametrize("text", ["What is known.", "Whether it is.", "Which, of two.", "Who's called"])
def test_a_question_word_is_found(text: str) -> None:
    assert questions(source(f'def f():\n    """{text}"""\n')) == [2]


@pytest.mark.parametrize("text", ["Returns what is known.", "Whoever asks.", ""])
def test_another_beginning_is_not(text: str) -> None:
    assert questions(source(f'def f():\n    """{text}"""\n')) == []
