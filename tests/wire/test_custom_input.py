"""The input of custom tools as a function's arguments, whole and in pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.wire.custom_input import InputReader, unwrapped, wrapped

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\\"/\n\t{}u\U0001f600'))

# A function's arguments -> the input.
ARGUMENTS: list[tuple[str, str]] = [
    ('{"input":"ls"}', "ls"),
    (' { "input" : "ls" , "x": 1 } ', "ls"),
    (r'{"input":"a\n\"\\\/\t\u00e9\ud83d\ude00"}', 'a\n"\\/\té\U0001f600'),
    (r'{"input":"\\u0041\\n"}', r"\u0041\n"),
    # Not quite JSON, as models write it.
    ('{"input":"a\nb\tc"}', "a\nb\tc"),
    (r'{"input":"\d+ \u12zz"}', r"d+ \u12zz"),
    (r'{"input":"a\ud83d b\ude00"}', "a\ufffd b\ufffd"),
    # Cut.
    ('{"input":"ls -', "ls -"),
    ('{"input":"ls\\', "ls"),
    (r'{"input":"ls\ud83d\ude', "ls"),
    ('{"inp', '{"inp'),
    # Of another form.
    ('{"patch":"a"}', "a"),
    ('{"x":1,"input":"a"}', "a"),
    ('{"input":{"a":1}}', '{"input":{"a":1}}'),
    ('{"a":"b","c":"d"}', '{"a":"b","c":"d"}'),
    ('{"x":1}', '{"x":1}'),
    ("{ return 1 }", "{ return 1 }"),
    ("*** Begin\n", "*** Begin\n"),
    ("  indented", "  indented"),
    (" " * 100 + "far", " " * 100 + "far"),
    ("{" + " " * 100 + '"input":"a"}', "a"),
    ("{}", ""),
    ("", ""),
]


def read(pieces: list[str]) -> str:
    reader = InputReader()
    return "".join([*map(reader.feed, pieces), reader.close()])


@pytest.mark.parametrize(("arguments", "said"), ARGUMENTS)
def test_what_models_write(arguments: str, said: str) -> None:
    assert unwrapped(arguments) == said
    assert read(list(arguments)) == said
    for cut in range(len(arguments) + 1):
        assert read([arguments[:cut], arguments[cut:]]) == said


@given(TEXTS, st.booleans(), st.integers(1, 9))
def test_any_text_there_and_back(text: str, ascii_only: bool, size: int) -> None:
    assert unwrapped(wrapped(text)) == text
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only)
    assert read([arguments[at : at + size] for at in range(0, len(arguments), size)]) == text


def test_it_comes_with_the_arguments() -> None:
    reader = InputReader()
    assert [reader.feed(piece) for piece in ('{"inp', 'ut": "l', "s", " \\", "n", '"', "}")] == [
        "", "l", "s", " ", "\n", "", ""
    ]  # fmt: skip
    bare = InputReader()
    assert [bare.feed(piece) for piece in (" ", "*** B", "egin")] == ["", " *** B", "egin"]
