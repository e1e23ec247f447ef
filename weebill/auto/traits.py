"""The judgement of a whole request by cheap signs: its task, its language, its size, and what is asked of the answer.

Pure, and of bounded work for any request: of texts, the beginning and the end are examined, of turns, the last ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from weebill.auto.advice import touches_advice
from weebill.auto.answer_lengths import answer_length
from weebill.auto.follow_ups import follows
from weebill.auto.kinds import Kind, Weighing, read, weigh, words_of
from weebill.auto.languages import language
from weebill.wire.conversation import (
    Audio,
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)

# Follow-ups are followed back through this many of the user's messages.
MAX_CHAIN: Final = 8
# Of more turns, these at the end are counted, and the rest is taken to be like them.
MAX_TURNS: Final = 1_000
MAX_TOOLS: Final = 256
# The characters of `subject`: of the system prompt, of the message that a follow-up follows, and of the message.
MAX_SYSTEM: Final = 600
MAX_FOLLOWED: Final = 7_000
MAX_MESSAGE: Final = 8_000
_SYSTEM_TURNS: Final = 4
_BYTES_PER_TOKEN: Final = 4
_SAMPLE: Final = 512
_PICTURE_TOKENS: Final = 1_000
_BASE64_PER_TOKEN: Final = 60
# White space becomes spaces, and all else full stops.
_WORDS: Final = bytes(ord(" ") if chr(byte).isspace() else ord(".") for byte in range(256))
# A system prompt that says nothing of the task.
_GENERIC: Final = re.compile(
    r"\s*you are (?:a |an |the )?(?:\w+[ ,]+){0,5}(?:assistant|chatbot|bot|ai)\b[^.\n]{0,40}\.?\s*"
)
_JSON: Final = re.compile(
    r"(?:\b(?:in|as|valid|returns?|outputs?|respond|reply|produce|format|only|with|use|the following)\b|用|以|で)"
    r"\W{0,3}(?:\w+\W{1,3}){0,3}json\b|json\s?(?:format|object|schema|array|格式|形式)"
)
# What a follow-up may ask to be made of what it follows: then that is its kind.
_MADE_OF: Final[frozenset[Kind]] = frozenset({"translation", "summary", "rewriting", "writing", "code", "extraction"})
_CLEAR: Final = 2.5
# Without a clear task in the message, a system prompt's counts.
_UNCLEAR: Final[frozenset[Kind]] = frozenset({"other", "fact", "explanation"})


class Traits(NamedTuple):
    """The signs of a request.

    `kind` is the form of the request ("media", "tools", "json"), or its `task` where it has no such form. `language` is
    an ISO 639-1 code, "" if not known. A `follow_up` has the task of the message that it follows. `words` are of the
    user's last message, `context` is about how many tokens the whole request has, with tools and documents. `tools` is
    the number offered, `tools_used` says that some were called before. `answer_length` is about how many tokens are
    asked for, 0 if nothing is said. `advice` says that it touches health, law, money lost, safety or self-harm.
    """

    kind: Kind
    task: Kind
    language: str
    follow_up: bool
    words: int
    context: int
    turns: int
    tools: int
    tools_used: bool
    wants_json: bool
    media: bool
    answer_length: int
    advice: bool


class _Size(NamedTuple):
    tokens: int
    media: bool
    tools_used: bool


def traits(asked: Conversation) -> Traits:
    """Returns the traits of a request."""
    chain = _chain(asked.turns)
    last = read(chain[0])
    first = read(chain[-1]) if len(chain) > 1 else last
    follow_up = len(chain) > 1
    system = _system(asked.turns)
    own = weigh(last)
    if follow_up and not (own.kind in _MADE_OF and own.weight >= _CLEAR):
        own = weigh(first)
    task = _with_system(own, system)
    size = _size(asked)
    offered = 0 if asked.tool_choice is not None and asked.tool_choice.mode == "none" else len(asked.tools)
    wants_json = asked.output is not None or _asks_for_json(last.lower) or _asks_for_json(system[:MAX_SYSTEM].lower())
    advice = touches_advice(last.lower, last.said, task)
    if follow_up and not advice:
        advice = touches_advice(first.lower, first.said, task)
    return Traits(
        kind=_form(offered, size, asked) or task,
        task=task,
        language=language(last.text, last.said) or (language(first.text, first.said) if follow_up else ""),
        follow_up=follow_up,
        words=_words(chain[0]),
        context=size.tokens,
        turns=len(asked.turns),
        tools=offered,
        tools_used=size.tools_used,
        wants_json=wants_json,
        media=size.media,
        answer_length=answer_length(asked.max_tokens, last),
        advice=advice,
    )


def subject(asked: Conversation) -> str:
    """Returns the text to estimate from: the user's last message, below what it follows and below a system prompt.

    A system prompt that only says that there is an assistant is left out. At most some 16,000 characters.
    """
    chain = _chain(asked.turns)
    system = _system(asked.turns)
    parts = [] if _GENERIC.fullmatch(system[:200].lower()) and len(system) <= 200 else [_ends(system, MAX_SYSTEM)]
    if len(chain) > 1:
        parts.append(_ends(chain[-1], MAX_FOLLOWED))
    parts.append(_ends(chain[0], MAX_MESSAGE))
    return "\n\n".join(part for part in parts if part)


def _ends(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size // 2]}\n{text[-(size // 2) + 1 :]}"


def _chain(turns: Sequence[Turn]) -> list[str]:
    """Returns the user's last message, and where it follows up, those before it up to the one that does not."""
    chain: list[str] = []
    for turn in reversed(turns[-MAX_TURNS:]):
        if turn.role != "user":
            continue
        if chain and not _follows(chain[-1]):
            break
        chain.append(_text(turn))
        if len(chain) == MAX_CHAIN:
            break
    return chain or [""]


def _follows(text: str) -> bool:
    lower = text[: MAX_SYSTEM + 1].lower()
    return len(lower) <= MAX_SYSTEM and follows(lower, words_of(lower))


def _text(turn: Turn) -> str:
    if len(turn.parts) == 1:
        only = turn.parts[0]
        return only.text if isinstance(only, Text) else ""
    texts = [part.text for part in turn.parts[:MAX_TOOLS] if isinstance(part, Text)]
    return "\n".join(_ends(text, MAX_MESSAGE) for text in texts)


def _system(turns: Sequence[Turn]) -> str:
    return "\n".join(
        _ends(_text(turn), MAX_MESSAGE) for turn in turns[:_SYSTEM_TURNS] if turn.role in ("system", "developer")
    )


def _with_system(own: Weighing, system: str) -> Kind:
    """Returns the task of the message, or that of the system prompt where the message alone does not tell."""
    if not system or own.kind not in _UNCLEAR or own.weight >= _CLEAR:
        return own.kind
    told = weigh(read(_ends(system, MAX_SYSTEM)))
    return told.kind if told.weight >= 1.0 and told.kind not in (*_UNCLEAR, "chat") else own.kind


def _form(offered: int, size: _Size, asked: Conversation) -> Kind | None:
    if size.media:
        return "media"
    if offered or size.tools_used:
        return "tools"
    return "json" if asked.output is not None else None


def _asks_for_json(lower: str) -> bool:
    return "json" in lower and _JSON.search(lower) is not None


def _words(text: str) -> int:
    """Returns the number of words, of a long text by its ends."""
    if len(text) <= MAX_MESSAGE:
        return _count(text)
    return _count(_ends(text, MAX_MESSAGE)) * len(text) // MAX_MESSAGE


def _count(text: str) -> int:
    """Returns the number of words; of ASCII, that of their beginnings."""
    return b"".join((b" ", text.encode())).translate(_WORDS).count(b" .") if text.isascii() else len(text.split())


def _size(asked: Conversation) -> _Size:
    """Returns the size of the whole request."""
    counted = asked.turns[-MAX_TURNS:]
    tokens, media, used = 0, False, False
    for turn in counted:
        tokens += 4
        for part in turn.parts:
            tokens += _tokens(part)
            if isinstance(part, Image | Audio) or (isinstance(part, Document) and part.text is None):
                media = True
            elif isinstance(part, ToolUse | ToolResult):
                used = True
    if len(asked.turns) > len(counted):
        tokens = tokens * len(asked.turns) // len(counted)
    size = 0
    for tool in asked.tools[:MAX_TOOLS]:
        size += len(tool.name) + len(tool.description or "")
        if tool.parameters is not None:
            size += memoryview(tool.parameters).nbytes
    if len(asked.tools) > MAX_TOOLS:
        size = size * len(asked.tools) // MAX_TOOLS
    return _Size(tokens + size // _BYTES_PER_TOKEN, media, used)


def _tokens(part: Part) -> int:
    match part:
        case Text(text) | Refusal(text) | Reasoning(text) | Document(text=str(text)):
            return _tokens_of_text(text)
        case ToolUse():
            return (len(part.name) + len(part.arguments)) // _BYTES_PER_TOKEN
        case ToolResult():
            return sum(map(_tokens, part.content[:MAX_TOOLS]))
        case Image():
            return _PICTURE_TOKENS
        case Audio() | Document():
            return _PICTURE_TOKENS + len(part.data or "") // _BASE64_PER_TOKEN


def _tokens_of_text(text: str) -> int:
    """Returns about a token for each four bytes of UTF-8; beyond ASCII, the bytes of a sample are counted."""
    length = len(text)
    if text.isascii():
        return -(-length // _BYTES_PER_TOKEN)
    sample = text[:: length // _SAMPLE + 1]
    return -(-length * len(sample.encode("utf-8", "replace")) // (len(sample) * _BYTES_PER_TOKEN))
