"""What the programs of this folder share: where Weebill is, what is asked, and a line of JSON for each step."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable

URL = os.environ["WEEBILL_URL"]
KEY = os.environ["WEEBILL_KEY"]
MODEL = os.environ["WEEBILL_MODEL"]
# A model that cannot be told what to say: all that can be asked of it is an answer.
FREE = os.environ.get("WEEBILL_FREE") == "1"

HELLO = "Say hello. [[say Hello there, wee bill.]]"
HELLO_SAID = "Hello there, wee bill."
ASK = 'How is the weather in Paris? [[call get_weather {"city": "Paris"}]]'
WEATHER = "sunny in Paris, 21 degrees"
AGAIN = "And what did it say? [[say It said: {result}]]"
AGAIN_SAID = ("It said:", WEATHER)
PERSON = 'Who was it? [[say {"name": "Ada", "age": 36}]]'
ABOUT = "The weather in a city."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def weather(city: str) -> str:
    """What every program's tool gives."""
    assert city == "Paris", city
    return WEATHER


def heard(text: str | None, *wanted: str) -> None:
    """Checks what a model said, word for word or around a tool's result."""
    assert text, "no text"
    if not FREE:
        assert all(each in text for each in wanted), text


def listed(names: list[str]) -> None:
    """Checks a list of models; they are listed by the names that their provider gives them."""
    assert MODEL in names or MODEL.partition("/")[2] in names, names[:8]


def only_told(step: Callable[[], object]) -> Callable[[], object] | None:
    """A step that takes a model which can be told what to do."""
    return None if FREE else step


def run(*steps: Callable[[], object] | None) -> None:
    """Each step; the exit status is 1 if one failed."""
    failed = False
    for step in steps:
        if step is None:
            continue
        problem = ""
        try:
            asyncio.run(step()) if inspect.iscoroutinefunction(step) else step()
        except Exception as failure:
            failed = True
            problem = f"{type(failure).__name__}: {failure}"[:600]
            traceback.print_exc()
        print(json.dumps({"name": step.__name__, "problem": problem}), flush=True)
    sys.exit(failed)
