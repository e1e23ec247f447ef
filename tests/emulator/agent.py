"""A model that does what the user's words say, so that a program in front of it acts for real.

`[[call TOOL {"argument": 1}]]` makes it call a tool, each mark once over a conversation and in their order, as far as
the program offers that tool, under this name or one that ends in it; `[[say WORDS]]` makes it say them, with `{result}`
for what the last tool gave. Without such a mark it says what the last tool gave. Where a tool is forced that no mark
names, it is given what is to be said.
"""

from __future__ import annotations

import json
import re
from typing import Final

from tests.emulator.seen import Seen
from tests.emulator.two_turn import Answer, Calling

THOUGHT: Final = "The user tells me what to do."
NOTHING: Final = "Nothing to do."
_TOLD: Final = "Calling tools:"  # smolagents tells of calls in words
_MARK: Final = re.compile(r"\[\[(?P<verb>call|say) (?P<rest>.*?)\]\](?!\])", re.DOTALL)


def call(tool: str, **given: object) -> str:
    """The mark that has a tool called."""
    return f"[[call {tool} {json.dumps(given)}]]"


def say(words: str) -> str:
    """The mark that has something said."""
    return f"[[say {words}]]"


def act(seen: Seen) -> Answer:
    """The next answer of a conversation."""
    answer = _acted(seen)
    if seen.in_text and answer.calls:
        called = answer.calls[0]
        return Answer(THOUGHT, json.dumps({"name": called.name, "arguments": called.given}))
    return answer


def _acted(seen: Seen) -> Answer:
    marks = [[(found["verb"], found["rest"]) for found in _MARK.finditer(text)] for text in seen.users]
    calls = [rest for each in marks for verb, rest in each if verb == "call"]
    done = len(seen.calls) or sum(_TOLD in text for text in seen.said)
    if done < len(calls) and seen.choice != "none":
        tool, _, given = calls[done].partition(" ")
        name = next((name for name in seen.tools if name == tool or name.endswith(f"_{tool}")), None)
        if name is not None:
            return Answer(THOUGHT, "", (Calling(f"a{done}", name, json.loads(given), name in seen.custom),))
    last = next((each for each in reversed(marks) if each), [])
    result = list(seen.results.values())[-1] if seen.results else NOTHING
    words = next((rest for verb, rest in last if verb == "say"), "{result}").replace("{result}", result)
    if seen.choice not in ("auto", "none") and seen.tools:
        [tool, *_] = seen.tools
        return Answer(THOUGHT, "", (Calling(f"a{done}", tool, json.loads(words)),))
    return Answer(THOUGHT, words)
