"""Canonical turns as the messages and the system prompt of Bedrock's Converse API.

Where the two differ:
- User and assistant speak by turns, the user first: what one of them says in several turns is put in one message. What
  would begin with the model begins with a full stop of the user's, and a prompt of instructions alone is the user's.
- Each call has one result, in the message that follows (`weebill.providers.pairing`).
- Texts of nothing but white space are left out; so is white space at the end of an answer that has begun.
- A user's `name` goes before the text as "name: "; there is no field for it. An assistant's is left out.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from weebill.providers.anthropic.thinking import called_without_thinking
from weebill.providers.base import Unsupported
from weebill.providers.fit import Fit
from weebill.providers.media import image_type, plain_type
from weebill.providers.pairing import paired
from weebill.wire.arguments import as_object
from weebill.wire.conversation import (
    Audio,
    CacheMark,
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

Block = dict[str, object]

FAMILY: Final = "bedrock"
_IMAGES: Final = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_AUDIO: Final = frozenset({
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm",
})  # fmt: skip
_DOCUMENTS: Final = {
    "application/pdf": "pdf", "text/csv": "csv", "application/msword": "doc", "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html", "text/plain": "txt", "text/markdown": "md",
}  # fmt: skip
_DOCUMENT_FORMATS: Final = frozenset(_DOCUMENTS.values())
_NOT_IN_NAMES: Final = re.compile(r"[^0-9A-Za-z\-()\[\]]+")
_NAME_LIMIT: Final = 190
_OPENING: Final[Block] = {"text": "."}
_GO_ON: Final[Block] = {"text": "Continue exactly where you stopped."}


class Turns:
    """Turns on their way to messages and a system prompt. `caches` is whether the model takes marks for the cache."""

    def __init__(self, fit: Fit, *, caches: bool) -> None:
        self._fit = fit
        self._caches = caches
        self._messages: list[tuple[str, list[Block]]] = []
        self._names: set[str] = set()
        """Those of the documents so far, which must differ."""
        self.system: list[Block] = []

    @property
    def begun(self) -> bool:
        """Tells whether the conversation ends in an answer that has begun."""
        return bool(self._messages) and self._messages[-1][0] == "assistant"

    @property
    def called_without_thinking(self) -> bool:
        """Tells whether the tools whose results come last were called by a model that did not think."""
        return called_without_thinking([(role, [_kind(block) for block in blocks]) for role, blocks in self._messages])

    def go_on(self) -> None:
        """Ask for the rest of an answer that has begun."""
        self._say("user", [_GO_ON])

    def write(self, turns: Sequence[Turn]) -> None:
        for turn in paired(turns):
            if turn.role in ("system", "developer"):
                if not all(isinstance(part, Text) for part in turn.parts):
                    raise Unsupported("turns", "anything but text in a system message")
                self.system += self._blocks(turn)
            else:
                self._say("assistant" if turn.role == "assistant" else "user", self._blocks(turn))

    def messages(self) -> list[Block]:
        """The messages written so far. To be asked for before `system`."""
        if not self._messages and self.system:
            self._messages = [("user", self.system)]
            self.system = []
        if not self._messages:
            raise Unsupported("turns", "a conversation without any content")
        if self._messages[0][0] == "assistant":
            self._messages.insert(0, ("user", [_OPENING]))
        if self.begun:
            _strip_end(self._messages[-1][1])
        return [{"role": role, "content": content} for role, content in self._messages]

    def _say(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        if self._messages and self._messages[-1][0] == role:
            self._messages[-1][1].extend(blocks)
        else:
            self._messages.append((role, blocks))

    def _blocks(self, turn: Turn) -> list[Block]:
        blocks: list[Block] = []
        for part in turn.parts:
            block = self._block(part)
            if block is None:
                continue
            blocks.append(block)
            cache = _cache_of(part)
            if cache is not None and self._caches:
                blocks.append(cache_point(cache))
            elif cache is not None:
                self._fit.hint("cache_control", "marks for the cache for this model")
        if turn.name and turn.role == "user":
            if blocks and isinstance(blocks[0].get("text"), str):
                blocks[0] = {"text": f"{turn.name}: {blocks[0]['text']}"}
            else:
                blocks.insert(0, {"text": f"{turn.name}:"})
        return blocks

    def _block(self, part: Part) -> Block | None:
        """The block for `part`; None if there is none."""
        match part:
            case Text():
                return _text(part) if part.text.strip() else None  # Bedrock refuses blank texts.
            case Refusal(text):
                return {"text": text} if text.strip() else None
            case ToolUse():
                used = {"toolUseId": part.id, "name": part.name, "input": as_object(part.arguments)}
                return {"toolUse": used}
            case ToolResult():
                return self._tool_result(part)
            case Image():
                return _image(part)
            case Document():
                return self._document(part)
            case Reasoning():
                return _reasoning(part)
            case Audio():
                return _audio(part)

    def _tool_result(self, part: ToolResult) -> Block:
        content: list[Block] = []
        for piece in part.content:
            if isinstance(piece, Image):
                content.append(_image(piece))
            elif isinstance(piece, Document):
                content.append(self._document(piece))
            elif piece.text.strip():
                content.append({"text": piece.text})
        result: Block = {"toolUseId": part.call_id, "content": content}
        if part.is_error:
            result["status"] = "error"
        return {"toolResult": result}

    def _document(self, part: Document) -> Block:
        suffix = (part.name or "").rpartition(".")[2].lower()
        if part.text is not None:
            form, source = "txt", {"text": part.text}
        elif part.data is not None:
            form = _DOCUMENTS.get(plain_type(part.media_type) or "", suffix)
            source = {"bytes": part.data}
            if form not in _DOCUMENT_FORMATS:
                raise Unsupported("turns", f"documents of type '{part.media_type}'")
        else:
            raise Unsupported("turns", "documents by URL or file id; only those in the request")
        document: Block = {"format": form, "name": self._document_name(part.name), "source": source}
        if part.cite:
            document["citations"] = {"enabled": True}
        return {"document": document}

    def _document_name(self, given: str | None) -> str:
        """A name that Bedrock takes, and that no other document of the request has."""
        plain = _NOT_IN_NAMES.sub(" ", given or "").strip()[:_NAME_LIMIT] or "document"
        name, count = plain, 1
        while name in self._names:
            count += 1
            name = f"{plain} ({count})"
        self._names.add(name)
        return name


def cache_point(mark: CacheMark) -> Block:
    """The block that marks all before it for the cache."""
    return {"cachePoint": {"type": "default"} if mark == "5m" else {"type": "default", "ttl": mark}}


def _cache_of(part: Part) -> CacheMark | None:
    if isinstance(part, ToolResult):
        return part.cache or next((piece.cache for piece in reversed(part.content) if piece.cache), None)
    return part.cache if isinstance(part, Text | Image | Document | ToolUse) else None


def _kind(block: Block) -> str:
    """By Anthropic's name for it, as far as thinking has to do with it."""
    return "tool_result" if "toolResult" in block else "thinking" if "reasoningContent" in block else ""


def _strip_end(content: list[Block]) -> None:
    """Take white space off the end of an answer that has begun."""
    last = content[-1].get("text")
    if isinstance(last, str):
        content[-1] = {"text": last.rstrip()}


def _text(part: Text) -> Block:
    ours = [citation.raw for citation in part.citations if citation.origin == FAMILY and citation.raw is not None]
    if ours:
        return {"citationsContent": {"content": [{"text": part.text}], "citations": ours}}
    return {"text": part.text}


def _reasoning(part: Reasoning) -> Block | None:
    """Thinking of Bedrock's own. Without its signature the text is for people: models that sign take none back."""
    if part.origin != FAMILY:
        return None
    if part.encrypted is not None:
        return {"reasoningContent": {"redactedContent": part.encrypted}}
    if part.signature is None:
        return None
    return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}


def _image(part: Image) -> Block:
    if part.data is None:
        raise Unsupported("turns", "images by URL or file id; only those in the request")
    form = _IMAGES.get(image_type(part.media_type, part.data) or "")
    if form is None:
        raise Unsupported("turns", f"images of type '{part.media_type}'")
    return {"image": {"format": form, "source": {"bytes": part.data}}}


def _audio(part: Audio) -> Block:
    if part.format not in _AUDIO:
        raise Unsupported("turns", f"audio in the format '{part.format}'")
    return {"audio": {"format": part.format, "source": {"bytes": part.data}}}
