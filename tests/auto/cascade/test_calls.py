"""Calls of tools: those that were offered, their arguments, and those that are written as text."""

from __future__ import annotations

import pytest

from tests.auto.cascade.answers import PLAIN, call, reply, tool, wants
from weebill.auto.cascade import calls
from weebill.auto.cascade.calls import check_calls, written_call
from weebill.wire.conversation import Conversation, ToolChoice
from weebill.wire.reply import Reply

WEATHER = tool("weather", {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}})
WITH_TOOLS = Conversation(turns=PLAIN.turns, tools=(WEATHER, tool("stop")))
MUST_CALL = Conversation(turns=PLAIN.turns, tools=(WEATHER,), tool_choice=ToolChoice("required"))
NAMED = Conversation(turns=PLAIN.turns, tools=WITH_TOOLS.tools, tool_choice=ToolChoice("auto", names=("stop",)))
NONE = Conversation(turns=PLAIN.turns, tools=WITH_TOOLS.tools, tool_choice=ToolChoice("none"))
STRANGE = Conversation(turns=PLAIN.turns, tools=(tool("odd", {"type": "OBJECT"}),))
BOTH = Conversation(turns=PLAIN.turns, tools=(WEATHER,), output=wants().output)
WRITTEN = '{"name": "weather", "arguments": {"city": "Perth"}}'
NAMES = frozenset({"weather", "stop", "maps.find-route"})


@pytest.mark.parametrize(
    ("asked", "answer", "problem"),
    [
        (WITH_TOOLS, reply("It is sunny."), ""),
        (WITH_TOOLS, reply(call("weather", {"city": "Perth"})), ""),
        (WITH_TOOLS, reply(call("stop", {"anything": 1})), ""),
        (WITH_TOOLS, reply(call("weather", {})), "the call of 'weather': it does not fit its schema"),
        (WITH_TOOLS, reply(call("weather", "[1]")), "the call of 'weather': its arguments are not an object"),
        (WITH_TOOLS, reply(call("weather", '{"city":')), "the call of 'weather': its arguments are not JSON"),
        (WITH_TOOLS, reply(call("rain", {})), "the tool 'rain' was not offered"),
        (NAMED, reply(call("weather", {"city": "Perth"})), "the tool 'weather' was not offered"),
        (MUST_CALL, reply("It is sunny."), "no tool is called"),
        (MUST_CALL, reply(call("weather", {"city": "Perth"})), ""),
        (WITH_TOOLS, reply(WRITTEN), "the call of 'weather' is written as text"),
        (MUST_CALL, reply(WRITTEN), "the call of 'weather' is written as text"),
        (WITH_TOOLS, reply(WRITTEN, call("stop", {})), ""),
        (NONE, reply(WRITTEN), ""),
        (BOTH, reply(WRITTEN), ""),
    ],
)
def test_calls(asked: Conversation, answer: Reply, problem: str) -> None:
    verdict = check_calls(asked, answer)
    assert (verdict.passed, verdict.detail) == (not problem, problem)


def test_what_cannot_be_told() -> None:
    assert check_calls(STRANGE, reply(call("odd", {}))).passed is None


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{WRITTEN}\n```",
        f"Let me look.\n<tool_call>\n{WRITTEN}\n</tool_call>",
        f"[TOOL_CALLS] [{WRITTEN}]",
        '[TOOL_CALLS]weather[ARGS]{"city": "Perth"}',
        '<function=weather>{"city": "Perth"}</function>',
        "<tool_call>weather\n<arg_key>city</arg_key><arg_value>Perth</arg_value></tool_call>",
        '<invoke name="weather"><parameter name="city">Perth</parameter></invoke>',
        '<|python_tag|>weather(city="Perth")',
        'I would say: {"type": "function", "function": {"name": "weather", "parameters": {"city": "Perth"}}}',
        '{"tool_calls": [{"arguments": {"city": "Perth"}, "name": "weather"}]}',
        "[{'name': 'maps.find-route', 'arguments': {'to': 'Perth'}}]",
        'Action: weather\nAction Input: {"city": "Perth"}',
        "[weather(city='Perth'),\nstop()]",
        "Of course.\n\nweather(city='Perth')",
        "```tool_code\nprint(default_api.weather(city='Perth'))\n```",
        "stop(\n  now=True,\n)",
        "A long story. " * 2_000 + f"\n{WRITTEN}",
    ],
)
def test_calls_that_are_written_as_text(text: str) -> None:
    assert written_call(text, NAMES)
    assert not written_call(text.replace("weather", "rain").replace("stop", "go").replace("maps", "map"), NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "The weather is fine, and the bus will stop (here).",
        "I can use `weather(city)` to look that up, if you tell me the city.",
        "- `weather(city)`: the weather of a city\n- `stop()`: an end",
        '{"name": "weather", "price": 3}',
        'def weather(city):\n    return 1\n\nweather("Perth")',
        "Actions: stop talking, and listen.",
        "",
    ],
)
def test_texts_that_call_nothing(text: str) -> None:
    assert written_call(text, NAMES) == ""


def test_json_that_was_asked_for_is_no_call() -> None:
    assert written_call(WRITTEN, NAMES, structured=True) == ""
    assert written_call(f"<tool_call>{WRITTEN}\nweather(1)", NAMES, structured=True) == "weather"


def test_a_program_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of lines that look like calls, before the one that says that they are a program."""
    searches = []

    class Defines:
        def search(self, text: str) -> bool:
            searches.append(text)
            return True

    monkeypatch.setattr(calls, "_DEFINES", Defines())
    assert written_call("stop(\n" * 1_000, NAMES) == ""
    assert len(searches) == 1
