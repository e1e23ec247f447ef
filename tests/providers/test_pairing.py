"""Histories whose calls and results do not stand as strict APIs demand, in every dialect that is written anew."""

from __future__ import annotations

import json
import re
from typing import Final

import pytest

from weebill.providers.base import Target
from weebill.providers.fit import Fit
from weebill.providers.pairing import paired
from weebill.providers.registry import dialect as dialect_of
from weebill.wire.conversation import Conversation, Part, Text, Tool, ToolResult, ToolUse, Turn


def calls(*named: tuple[str, str]) -> Turn:
    return Turn("assistant", tuple(ToolUse(identity, name, "{}") for identity, name in named))


def gave(*given: tuple[str, str, str | None]) -> Turn:
    return Turn("tool", tuple(ToolResult(identity, (Text(said),), name) for identity, said, name in given))


def said(*parts: Part) -> Turn:
    return Turn("user", parts)


F, G = "f", "g"
WAIT: Final = Text("Wait.")
HISTORIES: Final = {
    # Ids that are empty: on both sides, on one alone; by the tool's name where it is told, else in their order.
    "both empty": (calls(("", F), ("", G)), gave(("", "of f", None), ("", "of g", None))),
    "both empty, told by name": (calls(("", F), ("", G)), gave(("", "of g", G), ("", "of f", F))),
    "calls empty": (calls(("", F), ("", G)), gave(("x", "of f", None), ("y", "of g", None))),
    "results empty": (calls(("a", F), ("b", G)), gave(("", "of f", None), ("", "of g", None))),
    "one empty": (calls(("a", F), ("", G)), gave(("", "of g", None), ("a", "of f", None))),
    # A result of a call's very id, wherever it stands, before one that has none, or another's.
    "id after one without": (calls(("a", F), ("b", G)), gave(("", "of g", None), ("a", "of f", None))),
    "id after one without, in turns": (
        calls(("a", F), ("b", G)),
        gave(("", "of g", None)),
        gave(("a", "of f", None)),
    ),
    "id after another's": (calls(("a", F), ("", G)), gave(("x", "of g", None), ("a", "of f", None))),
    "the tool rather than the order": (calls(("a", F), ("", G)), gave(("", "of f", F), ("", "of g", G))),
    "twice, beside one without": (
        calls(("a", F), ("", G)),
        gave(("a", "of f", None), ("a", "of f", None), ("", "of g", None)),
    ),
    # What was said between a call and its result.
    "user between": (calls(("a", F), ("b", G)), said(WAIT), gave(("a", "of f", None), ("b", "of g", None))),
    "user between results": (
        calls(("a", F), ("b", G)),
        gave(("a", "of f", None)),
        said(WAIT),
        gave(("b", "of g", None)),
    ),
    "text before, in one turn": (
        calls(("a", F), ("b", G)),
        said(WAIT, ToolResult("a", (Text("of f"),)), ToolResult("b", (Text("of g"),))),
    ),
    "system between": (
        calls(("a", F), ("b", G)),
        Turn("system", (WAIT,)),
        gave(("a", "of f", None), ("b", "of g", None)),
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_each_call_has_its_result_first_of_what_follows(name: str) -> None:
    turns = paired((Turn("user", (Text("Hi."),)), *HISTORIES[name]))
    at = next(at for at, turn in enumerate(turns) if turn.role == "assistant")
    used = {part.id: part.name for part in turns[at].parts if isinstance(part, ToolUse)}
    assert len(used) == 2
    told = [part for turn in turns[at + 1 :] for part in turn.parts]
    results = told[:2]
    assert all(isinstance(part, ToolResult) and not part.is_error for part in results)
    assert {used[part.call_id]: part.content for part in results if isinstance(part, ToolResult)} == {
        F: (Text("of f"),), G: (Text("of g"),),
    }  # fmt: skip
    assert told[2:] == ([WAIT] if "between" in name or "before" in name else [])


@pytest.mark.parametrize(
    "dialect", ["openai", "anthropic", "gemini", "bedrock", "cohere", "ollama", "openai-responses"]
)
@pytest.mark.parametrize("name", HISTORIES)
def test_no_dialect_says_anything_between(name: str, dialect: str) -> None:
    asked = Conversation(turns=(Turn("user", (Text("Hi."),)), *HISTORIES[name]), tools=(Tool(F), Tool(G)))
    body = dialect_of(dialect).encode(asked, Target(model="m"), Fit(), stream=False).body.decode()
    written = json.dumps(json.loads(body))
    assert written.count("of f") == written.count("of g") == 1
    if WAIT.text in written and not re.search(r'"system[^}]*Wait\.', written):
        assert written.index("Wait.") > max(written.index("of f"), written.index("of g"))
