"""Names and ids that a target refuses, as it takes them: the same all through a conversation, and never one for two.

What fits stays as it is. Of the rest, each odd character becomes an underscore, and a part of a hash tells it from
others; it is the same in the next turn, whoever was asked in between. Names come back in the answer; ids need not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import structs

from weebill.wire.conversation import Conversation, Part, ToolResult, ToolUse, Turn
from weebill.wire.reply import Choice, Event, Reply, ToolStarted


class Rule(NamedTuple):
    """What a target takes: a pattern of all that it does, one of a character that it does not, and the longest."""

    fits: re.Pattern[str]
    odd: re.Pattern[str]
    longest: int
    start: str = ""


def _rule(characters: str, longest: int, first: str = "") -> Rule:
    """Of names of these `characters`, `longest` at most, that begin with one of `first` or else with an underscore."""
    fits = f"[{first}][{characters}]{{0,{longest - 1}}}" if first else f"[{characters}]{{1,{longest}}}"
    return Rule(re.compile(fits), re.compile(f"[^{characters}]"), longest, first)


_WORDS: Final = _rule(r"a-zA-Z0-9_-", 64)
_GOOGLE: Final = _rule(r"a-zA-Z0-9_.:\-", 64, "a-zA-Z_")
# Sources: https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools,
# https://docs.anthropic.com/en/api/messages#body-tools,
# https://ai.google.dev/api/caching#FunctionDeclaration,
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html,
# https://docs.cohere.com/docs/tools. Ollama's and llama.cpp's may be called anything.
NAMES: Final[dict[str, Rule]] = {
    "openai": _WORDS,
    "openai-responses": _WORDS,
    "azure": _WORDS,
    "mistral": _WORDS,
    "cloudflare": _WORDS,
    "huggingface": _WORDS,
    "bedrock": _WORDS,
    "anthropic": _rule(r"a-zA-Z0-9_-", 128),
    "gemini": _GOOGLE,
    "vertex": _GOOGLE,
    "cohere": _rule(r"a-zA-Z0-9_", 64, "a-zA-Z_"),
}
"""What the dialects take as the name of a tool; those that are not here take any."""
_ANY_OF_40: Final = Rule(re.compile(r"[\s\S]{0,40}"), re.compile(r"(?!)"), 40)
IDS: Final[dict[str, Rule]] = {
    "anthropic": _WORDS,
    "bedrock": _WORDS,
    "openai": _ANY_OF_40,
    "azure": _ANY_OF_40,
}
"""What the dialects take as the id of a call."""
_HASHES: Final = (8, 16, 32, 64)


def fitted(given: str, rule: Rule, digits: int = 8) -> str:
    """What stands for a name or an id at a target.

    >>> fitted("files.read", NAMES["openai"]), fitted("files.read", NAMES["gemini"])
    ('files_read_601e4eb6', 'files.read')
    """
    if rule.fits.fullmatch(given):
        return given
    clean = rule.odd.sub("_", given)
    if rule.start and not re.match(f"[{rule.start}]", clean):
        clean = f"_{clean}"
    digest = hashlib.sha256(given.encode(errors="surrogatepass")).hexdigest()[:digits]
    return f"{clean[: max(1, rule.longest - digits - 1)]}_{digest}"[: rule.longest]


def fit_names(conversation: Conversation, dialect: str) -> tuple[Conversation, dict[str, str]]:
    """The conversation with names and ids as `dialect` takes them, and the client's names by the target's."""
    names, ids = NAMES.get(dialect), IDS.get(dialect)
    renamed = {} if names is None else _renamed(conversation, names)
    if renamed:
        choice = conversation.tool_choice
        if choice is not None and choice.names:
            choice = structs.replace(choice, names=tuple([renamed.get(name, name) for name in choice.names]))
        conversation = structs.replace(
            conversation,
            tools=tuple([structs.replace(tool, name=renamed.get(tool.name, tool.name)) for tool in conversation.tools]),
            tool_choice=choice,
        )
    if renamed or (ids is not None and any(not ids.fits.fullmatch(each) for each in _ids(conversation))):
        turns = tuple([_turn(turn, renamed, ids) for turn in conversation.turns])
        conversation = structs.replace(conversation, turns=turns)
    return conversation, {theirs: own for own, theirs in renamed.items()}


def _renamed(conversation: Conversation, rule: Rule) -> dict[str, str]:
    """The names that a target refuses, and what is said instead."""
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


def _ids(conversation: Conversation) -> Iterator[str]:
    for turn in conversation.turns:
        for part in turn.parts:
            if isinstance(part, ToolUse):
                yield part.id
            elif isinstance(part, ToolResult):
                yield part.call_id


def _turn(turn: Turn, renamed: dict[str, str], ids: Rule | None) -> Turn:
    return structs.replace(turn, parts=tuple([_part(part, renamed, ids) for part in turn.parts]))


def _part(part: Part, renamed: dict[str, str], ids: Rule | None) -> Part:
    if isinstance(part, ToolUse):
        call_id = part.id if ids is None else fitted(part.id, ids)
        return structs.replace(part, id=call_id, name=renamed.get(part.name, part.name))
    if isinstance(part, ToolResult):
        call_id = part.call_id if ids is None else fitted(part.call_id, ids)
        name = None if part.name is None else renamed.get(part.name, part.name)
        return structs.replace(part, call_id=call_id, name=name)
    return part


def named_by_client(reply: Reply, tools: Mapping[str, str]) -> Reply:
    """An answer whose calls name their tools as the client does."""
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
    """Events of an answer whose calls name their tools as the client does."""
    if not tools:
        return events
    return [
        structs.replace(event, name=tools.get(event.name, event.name)) if isinstance(event, ToolStarted) else event
        for event in events
    ]
