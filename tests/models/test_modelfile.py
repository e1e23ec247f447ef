"""Modelfiles: the shapes that Ollama's own parser is tried with (its parser/parser_test.go), and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from weebill.models.errors import ModelError
from weebill.models.modelfile import Command, ModelfileError, decoded, parse, written
from weebill.models.recipe import Recipe, recipe_of


def read(text: str) -> list[tuple[str, str, str]]:
    return [(command.keyword, command.name, command.value) for command in parse(text)]


BASE = ("from", "", "base")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM base", [BASE]),
        ("from base\n", [BASE]),
        ("\n\n  FrOm   base   \n", [BASE]),
        ('FROM "  a  base "', [("from", "", "  a  base ")]),
        ("FROM /a path/to the/model ", [("from", "", "/a path/to the/model")]),
        (
            "FROM llama3:8b-instruct-q4_K_M\r\n# no PARAMETER\r\nLICENSE MIT\r\n",
            [("from", "", "llama3:8b-instruct-q4_K_M"), ("license", "", "MIT")],
        ),
        ("PARAMETER top_k   40 \nFROM base", [("parameter", "top_k", "40"), BASE]),
        ("FROM base\nPARAMETER stop ### User: ", [BASE, ("parameter", "stop", "### User:")]),
        ('FROM base\nPARAMETER stop "### User: "', [BASE, ("parameter", "stop", "### User: ")]),
        ('FROM base\nPARAMETER stop """a\n"""\n', [BASE, ("parameter", "stop", "a\n")]),
        ("FROM base\nPARAMETER stop <|eot_id|>", [BASE, ("parameter", "stop", "<|eot_id|>")]),
        ('FROM base\nSYSTEM """\nTwo\nlines.\n"""\n\t\t', [BASE, ("system", "", "\nTwo\nlines.\n")]),
        ('FROM base\nSYSTEM """Two\n"quoted" lines."""', [BASE, ("system", "", 'Two\n"quoted" lines.')]),
        ('FROM base\nSYSTEM """"""\n', [BASE, ("system", "", "")]),
        ('FROM base\nSYSTEM ""\n', [BASE, ("system", "", "")]),
        ('FROM base\nSYSTEM "\'"\n', [BASE, ("system", "", "'")]),
        ('FROM base\nSYSTEM """\'\'"\'""\'"""\n', [BASE, ("system", "", "''\"'\"\"'")]),
        ('FROM base\nTEMPLATE """   a\n\nb   """    \n', [BASE, ("template", "", "   a\n\nb   ")]),
        ("FROM base\nMESSAGE user Hey there!", [BASE, ("message", "user", "Hey there!")]),
        ('FROM base\nMESSAGE assistant """\nYes.\n"""\n', [BASE, ("message", "assistant", "\nYes.\n")]),
        (
            "FROM base\nADAPTER ./a.gguf\nRENDERER r\nREQUIRES 0.14.0",
            [BASE, ("adapter", "", "./a.gguf"), ("renderer", "", "r"), ("requires", "", "0.14.0")],
        ),
    ],
)
def test_it_is_read_as_ollama_reads_it(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no FROM"),
        ("PARAMETER top_k 1", "no FROM"),
        ("FROM base\nBADCOMMAND a b", "Line 2 .*'BADCOMMAND' is no command"),
        ("FROM", "Line 1 .*'FROM' is no command with a value"),
        ("FROM base\n\nPARAMETER top_k\n", "Line 3 .*PARAMETER needs"),
        ("FROM base\nMESSAGE badguy I'm bad", "Line 2 .*not 'badguy'"),
        ("FROM base\nMESSAGE system", "Line 2 .*is no command|Line 2 .*MESSAGE needs"),
        ('FROM base\nSYSTEM "', "Line 2 .*has no end"),
        ('FROM base\nSYSTEM """one line.""', "Line 2 .*has no end"),
    ],
)
def test_what_ollama_does_not_read(text: str, said: str) -> None:
    with pytest.raises(ModelfileError, match=said):
        parse(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_texts_of_several_encodings(encoding: str) -> None:
    assert read(decoded("FROM base\nSYSTEM Größe 日本".encode(encoding))) == [BASE, ("system", "", "Größe 日本")]


def test_what_is_no_text() -> None:
    with pytest.raises(ModelfileError, match="no text in utf-8"):
        decoded(b"FROM \xff\xfa")
    with pytest.raises(ModelfileError, match="more than"):
        decoded(b" " * (1 << 21))


def test_what_is_written_is_read_again() -> None:
    values = ("plain", " spaces ", "two\nlines", 'some "quoted"\nlines', '"quoted"', "", "#")
    commands = (
        Command("from", "base"),
        *(Command("system", value) for value in values),
        Command("message", "a b", "user"),
    )
    assert read(written(commands)) == [(each.keyword, each.name, each.value) for each in commands]


def test_a_path_is_beside_the_modelfile(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").touch()
    recipe = recipe_of(parse("FROM ./model.gguf\nADAPTER a.gguf\nPARAMETER stop a\nPARAMETER stop b"), tmp_path)
    assert recipe == Recipe(
        str(tmp_path / "model.gguf"), adapters=(tmp_path / "a.gguf",), parameters={"stop": ("a", "b")}
    )
    assert recipe_of(parse("FROM qwen3:1.7b"), tmp_path).base == "qwen3:1.7b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM ./none.gguf", "Line 1 .*there is no"),
        ("FROM a\nFROM b", "Line 2 .*second FROM"),
        ("FROM a\nDRAFT b", "Line 2 .*DRAFT"),
        ("FROM a\nRENDERER b", "Line 2 .*RENDERER"),
        ("FROM a\nPARSER b", "Line 2 .*PARSER"),
        ("FROM a\nREQUIRES 0.1", "Line 2 .*REQUIRES"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        recipe_of(parse(text), tmp_path)
