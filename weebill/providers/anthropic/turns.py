"""Canonical turns as the messages and the system prompt of Anthropic's Messages API.

Where the two differ:
- System and developer turns make up `system`, in their order, wherever in the conversation they stood.
- Consecutive turns of one side become one message; tool results come first in theirs, as Anthropic demands, and each
  call has one (`weebill.providers.pairing`).
- Texts of nothing but white space are left out, and messages that then have nothing; so is white space at the end of an
  answer that has begun. A conversation that the model would begin begins with a full stop of the user's.
- A user's `name` goes before the text as "name: "; there is no field for it. An assistant's is left out.
- An image's `detail` is left out: Anthropic always looks at all of the image.
- Thinking goes back only to whom it came from and only with its signature; so do citations with their originals.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from weebill.providers.anthropic.thinking import called_without_thinking
from weebill.providers.base import Unsupported
from weebill.providers.media import image_type, plain_type
from weebill.providers.pairing import paired
from weebill.wire import anthropic as wire
from weebill.wire.anthropic import ORIGIN, cache_control
from weebill.wire.arguments import as_object
from weebill.wire.conversation import Document, Image, Part, Reasoning, Refusal, Text, ToolResult, ToolUse, Turn

_IMAGE_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
# Those that are text, besides what says so.
_TEXT_TYPES: Final = frozenset(
    {"application/json", "application/xml", "application/yaml", "application/x-yaml", "application/javascript",
     "application/x-sh", "application/sql", "application/toml"}
)  # fmt: skip
_OPENING: Final = "."
_GO_ON: Final = "Continue exactly where you stopped."


class Turns:
    """Turns on their way to messages and a system prompt."""

    def __init__(self) -> None:
        self.has_files = False
        self._system: list[wire.TextBlock] = []
        self._messages: list[tuple[Literal["user", "assistant"], list[wire.Block]]] = []
        self._results = 0

    @property
    def begun(self) -> bool:
        """Tells whether the conversation ends in an answer that has begun."""
        return bool(self._messages) and self._messages[-1][0] == "assistant"

    @property
    def called_without_thinking(self) -> bool:
        """Tells whether the tools whose results come last were called by a model that did not think."""
        kinds = [(role, [str(block.__struct_config__.tag) for block in blocks]) for role, blocks in self._messages]
        return called_without_thinking(kinds)

    def go_on(self) -> None:
        """Ask for the rest of an answer that has begun."""
        self._say("user", [wire.TextBlock(_GO_ON)])

    def write(self, turns: Sequence[Turn]) -> None:
        for turn in paired(turns):
            if turn.role in ("system", "developer"):
                self._instruct(turn)
            elif turn.role == "assistant":
                self._say("assistant", self._blocks(turn))
            else:
                self._say("user", self._blocks(turn))

    def messages(self) -> list[wire.Message]:
        """The messages written so far. A prompt of instructions alone is the user's: there has to be a message."""
        if not self._messages and self._system:
            blocks: list[wire.Block] = [*self._system]
            self._system = []
            self._messages = [("user", blocks)]
        if not self._messages:
            raise Unsupported("turns", "a conversation without any content")
        if self._messages[0][0] == "assistant":
            self._messages.insert(0, ("user", [wire.TextBlock(_OPENING)]))
        if self.begun:
            _strip_end(self._messages[-1][1])
        return [wire.Message(role, _content(blocks)) for role, blocks in self._messages]

    def system_prompt(self) -> str | list[wire.TextBlock]:
        """The instructions; in one piece unless some are marked for the cache. To be asked for after `messages`."""
        if any(block.cache_control for block in self._system):
            return self._system
        return "\n\n".join(block.text for block in self._system)

    def _instruct(self, turn: Turn) -> None:
        for part in turn.parts:
            if not isinstance(part, Text):
                raise Unsupported("turns", f"{_kind(part)} in a system message")
            if part.text.strip():
                self._system.append(wire.TextBlock(part.text, None, cache_control(part.cache)))

    def _say(self, role: Literal["user", "assistant"], blocks: list[wire.Block]) -> None:
        if not blocks:
            return
        if not self._messages or self._messages[-1][0] != role:
            self._messages.append((role, []))
            self._results = 0
        said = self._messages[-1][1]
        for block in blocks:
            if isinstance(block, wire.ToolResultBlock):
                said.insert(self._results, block)
                self._results += 1
            else:
                said.append(block)

    def _blocks(self, turn: Turn) -> list[wire.Block]:
        blocks = [block for part in turn.parts if (block := self._block(part)) is not None]
        if turn.name and turn.role == "user":
            first = blocks[0] if blocks else None
            if isinstance(first, wire.TextBlock):
                blocks[0] = msgspec.structs.replace(first, text=f"{turn.name}: {first.text}")
            else:
                blocks.insert(0, wire.TextBlock(f"{turn.name}:"))
        return blocks

    def _block(self, part: Part) -> wire.Block | None:
        match part:
            case Text():
                return _text(part)
            case Refusal(text):
                return wire.TextBlock(text) if text.strip() else None
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case ToolUse():
                cache = cache_control(part.cache)
                return wire.ToolUseBlock(part.id, part.name, as_object(part.arguments), None, cache)
            case ToolResult():
                return self._result(part)
            case Reasoning():
                return _reasoning(part)
            case _:
                raise Unsupported("turns", "sound")

    def _result(self, part: ToolResult) -> wire.ToolResultBlock:
        content: list[wire.TextBlock | wire.ImageBlock | wire.DocumentBlock] = []
        for inner in part.content:
            match inner:
                case Text():
                    text = _text(inner)
                    if text is not None:
                        content.append(text)
                case Image():
                    content.append(self._image(inner))
                case Document():
                    content.append(self._document(inner))
        plain = _plain(content[0]) if len(content) == 1 else None
        return wire.ToolResultBlock(
            part.call_id, plain or content or None, part.is_error or None, cache_control(part.cache)
        )

    def _image(self, part: Image) -> wire.ImageBlock:
        return wire.ImageBlock(self._image_source(part), cache_control(part.cache))

    def _image_source(self, part: Image) -> wire.Base64Source | wire.UrlSource | wire.FileSource:
        if part.url is not None:
            return wire.UrlSource(part.url)
        if part.file_id is not None:
            self.has_files = True
            return wire.FileSource(part.file_id)
        media_type = image_type(part.media_type, part.data or "")
        if media_type not in _IMAGE_TYPES:
            raise Unsupported("turns", f"images of type {part.media_type}")
        return wire.Base64Source(media_type, part.data or "")

    def _document(self, part: Document) -> wire.DocumentBlock:
        cite = wire.CitationsConfig(True) if part.cite else None
        return wire.DocumentBlock(self._document_source(part), part.name, None, cite, cache_control(part.cache))

    def _document_source(
        self, part: Document
    ) -> wire.Base64Source | wire.UrlSource | wire.FileSource | wire.TextSource:
        if part.url is not None:
            return wire.UrlSource(part.url)
        if part.file_id is not None:
            self.has_files = True
            return wire.FileSource(part.file_id)
        if part.text is not None:
            return wire.TextSource("text/plain", part.text)
        media_type = plain_type(part.media_type) or ""
        if media_type == "application/pdf":
            return wire.Base64Source("application/pdf", part.data or "")
        if media_type.startswith("text/") or media_type in _TEXT_TYPES:
            try:
                return wire.TextSource("text/plain", b64decode(part.data or "", validate=True).decode())
            except ValueError as error:
                raise Unsupported("turns", "text that is not UTF-8") from error
        raise Unsupported("turns", f"documents of type {part.media_type}")


def _content(blocks: list[wire.Block]) -> str | list[wire.Block]:
    return (_plain(blocks[0]) if len(blocks) == 1 else None) or blocks


def _strip_end(blocks: list[wire.Block]) -> None:
    """Take white space off the end, which Anthropic refuses where an answer has begun."""
    last = blocks[-1]
    if isinstance(last, wire.TextBlock) and last.text[-1:].isspace():
        blocks[-1] = msgspec.structs.replace(last, text=last.text.rstrip())


def _plain(block: wire.Block) -> str | None:
    """The text of a block that is nothing but text."""
    if isinstance(block, wire.TextBlock) and block.cache_control is None and not block.citations:
        return block.text
    return None


def _text(part: Text) -> wire.TextBlock | None:
    if not part.text or part.text.isspace():
        return None
    cited = [citation.raw for citation in part.citations if citation.origin == ORIGIN and citation.raw is not None]
    return wire.TextBlock(part.text, cited or None, cache_control(part.cache))


def _reasoning(part: Reasoning) -> wire.Block | None:
    if part.origin != ORIGIN:
        return None
    if part.encrypted is not None:
        return wire.RedactedThinkingBlock(part.encrypted)
    return None if part.signature is None else wire.ThinkingBlock(part.text, part.signature)


def _kind(part: Part) -> str:
    return type(part).__name__.lower()
