"""Renames tools whose names a target refuses: the same throughout a conversation, and never two alike.

Answers get the client's names back. Ids of calls need no such way back, so dialects change them by themselves
(`weebill.providers.identifiers`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import structs

from weebill.providers.identifiers import WORDS, Rule, fitted, only
from weebill.wire.conversation import Conversation, Part, Tool, ToolResult, ToolUse, Turn
from weebill.wire.reply import Choice, Event, Reply, ToolStarted

_GOOGLE: Final = only(r"a-zA-Z0-9_.:\-", 64, "a-zA-Z_")
# Sources: https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools,
# https://docs.anthropic.com/en/api/messages#body-tools,
# https://ai.google.dev/api/caching#FunctionDeclaration,
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html,
# https://docs.cohere.com/docs/tools. Ollama's and llama.cpp's may be called anything.
NAMES: Final[dict[str, Rule]] = {
    "openai": WORDS,
    "openai-responses": WORDS,
    "azure": WORDS,
    "mistral": WORDS,
    "cloudflare": WORDS,
    "huggingface": WORDS,
    "bedrock": WORDS,
    "anthropic": only(r"a-zA-Z0-9_-", 128),
    "gemini": _GOOGLE,
    "vertex": _GOOGLE,
    "cohere": only(r"a-zA-Z0-9_", 64, "a-zA-Z_"),
}
"""The rule for tool names of each dialect; dialects that are not listed take any name."""
_HASHES: Final = (8, 16, 32, 64)

NO_TOOLS: Final[Mapping[str, str]] = {}
"""No tool has been renamed."""


def fit_names(
    conversation: Conversation, dialect: str, *, replays: bool = True
) -> tuple[Conversation, Mapping[str, str]]:
    """Returns the conversation with names that `dialect` takes, and the client's names by the target's.

    `replays` is False if the history is known to hold no calls or results.
    """
    names = NAMES.get(dialect)
    if names is None or (not replays and _fit_all(conversation.tools, names)):
        return conversation, NO_TOOLS
    renamed = _renamed(conversation, names)
    if not renamed:
        return conversation, NO_TOOLS
    choice = conversation.tool_choice
    if choice is not None and choice.names:
        choice = structs.replace(choice, names=tuple([renamed.get(name, name) for name in choice.names]))
    conversation = structs.replace(
        conversation,
        turns=tuple([_turn(turn, renamed) for turn in conversation.turns]),
        tools=tuple([structs.replace(tool, name=renamed.get(tool.name, tool.name)) for tool in conversation.tools]),
        tool_choice=choice,
    )
    return conversation, {theirs: own for own, theirs in renamed.items()}


def _fit_all(tools: Sequence[Tool], rule: Rule) -> bool:
    fits = rule.fits.fullmatch
    for tool in tools:  # noqa: SIM110 - a third of the time of a generator
        if fits(tool.name) is None:
            return False
    return True


def _renamed(conversation: Conversation, rule: Rule) -> dict[str, str]:
    """Returns the replacement of each name that the target refuses."""
    given = dict.fromkeys(_names(conversation))
    renamed: dict[str, str] = {}
    taken = set(given)
    for name in given:
        if rule.fits.fullmatch(name):
            continue
        said = next((said for digits in _HASHES if (said := fitted(name, rule, digits)) not in taken), name)
        taken.add(said)
        renamed[name] = said
    return renamed


def _names(conversation: Conversation) -> Iterator[str]:
    for tool in conversation.tools:
        yield tool.name
    for turn in conversation.turns:
        for part in turn.parts:
            name = part.name if isinstance(part, ToolUse | ToolResult) else None
            if name:
                yield name


def _turn(turn: Turn, renamed: dict[str, str]) -> Turn:
    return structs.replace(turn, parts=tuple([_part(part, renamed) for part in turn.parts]))


def _part(part: Part, renamed: dict[str, str]) -> Part:
    if isinstance(part, ToolUse | ToolResult) and part.name in renamed:
        return structs.replace(part, name=renamed[part.name])
    return part


def named_by_client(reply: Reply, tools: Mapping[str, str]) -> Reply:
    """Returns an answer with the client's names of tools."""
    if not tools:
        return reply
    return structs.replace(reply, choices=tuple([_choice(choice, tools) for choice in reply.choices]))


def _choice(choice: Choice, tools: Mapping[str, str]) -> Choice:
    parts = [
        structs.replace(part, name=tools.get(part.name, part.name)) if isinstance(part, ToolUse) else part
        for part in choice.parts
    ]
    return structs.replace(choice, parts=tuple(parts))


def events_by_client(events: Sequence[Event], tools: Mapping[str, str]) -> Sequence[Event]:
    """Returns events with the client's names of tools."""
    if not tools:
        return events
    return [
        structs.replace(event, name=tools.get(event.name, event.name)) if isinstance(event, ToolStarted) else event
        for event in events
    ]
