"""The requirements of a request on its deployment, worked out only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Final, Generic, TypeVar

import msgspec

from weebill.catalog.schema import Modality
from weebill.routing.capabilities import Task
from weebill.routing.readable_text import readable
from weebill.routing.sticky import CACHED_BYTES
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Conversation, Document, Image, Part, Text, ToolResult
from weebill.wire.errors import ApiError
from weebill.wire.operation_call import OperationCall
from weebill.wire.requests import ChatRequest, GenerationRequest

# About four bytes of English make a token. Three quarters of the estimate is a lower bound in any language.
_BYTES_PER_TOKEN: Final = 4
_SURELY: Final = 0.75
_LONG: Final = 65_536
# Bytes of an undecodable prompt that are likely to stay the same from turn to turn.
_HEAD: Final = 256
_encode: Final = msgspec.json.encode
_TASKS: Final[dict[str, Task]] = {"embeddings": "embed", "rerank": "rerank"}
_TEXT: Final = frozenset[Modality]({"text"})
_MODALITY: Final[dict[type[Part], Modality]] = {Image: "image", Audio: "audio", Document: "pdf"}
_UNSAID: Final = Conversation(turns=())
# Fields that ask for no support of the target.
_NOT_PARAMETERS: Final = frozenset({"turns", "hints", "extra"})


T = TypeVar("T")


class NotWorkedOutError(Exception):
    """A requirement takes too long to work out here: `Requirements.work_out` must be called first."""


class lazy(Generic[T]):  # noqa: N801 - used as a decorator
    """`functools.cached_property` without the lock that it has in Python 3.11, which costs more than most values.

    Raises NotWorkedOutError if the requirements of a big request have not been worked out.
    """

    def __init__(self, compute: Callable[[Requirements], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    def __get__(self, instance: Requirements, owner: type) -> T:
        instance.require()
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


class Requirements:
    """The requirements of one request; `conversation` gives its canonical form, which is made only if needed.

    A chat request, the most common kind, is examined as it is. The requirements of a big request are worked out all at
    once, by `work_out`, and only if any is asked for.
    """

    def __init__(self, call: Call, conversation: Callable[[Call], Conversation] | None = None) -> None:
        """Without `conversation`, there are no requirements but the model."""
        self._call = call
        self._canonical = conversation
        self._chat = call.request if isinstance(call.request, ChatRequest) else None
        self._ready = conversation is None or not call.big

    def require(self) -> None:
        """Raises NotWorkedOutError for a big request until `work_out` has been called."""
        if not self._ready:
            raise NotWorkedOutError

    def work_out(self) -> None:
        """Works out all requirements."""
        self._ready = True
        for name, value in vars(Requirements).items():
            if isinstance(value, lazy):
                getattr(self, name)

    @property
    def task(self) -> Task:
        """The task of the model that is asked for."""
        return _TASKS.get(self._call.endpoint, "other") if isinstance(self._call, OperationCall) else "chat"

    @property
    def conversation(self) -> Conversation:
        """The canonical form. Raises ApiError 400 if there is none; deployments of the same API may still serve the
        request.
        """
        asked = self.asked
        if isinstance(asked, ApiError):
            raise asked
        return asked

    @lazy
    def asked(self) -> Conversation | ApiError:
        """The canonical form, or the error that says why there is none."""
        if self._canonical is None:
            return _UNSAID
        try:
            return self._canonical(self._call)
        except ApiError as error:
            return error

    @lazy
    def known(self) -> Conversation:
        """The canonical form without what it cannot hold; empty if even that fails."""
        asked = self.asked
        if isinstance(asked, Conversation) or self._canonical is None:
            return asked if isinstance(asked, Conversation) else _UNSAID
        try:
            return self._canonical(self._call.replaced(own=msgspec.structs.replace(self._call.own, drop_params=True)))
        except ApiError:
            return _UNSAID

    @lazy
    def read(self) -> Conversation:
        """The canonical form; without one, the readable texts of the request."""
        asked = self.asked
        return asked if isinstance(asked, Conversation) else readable(self.known, self._call.fields)

    @lazy
    def tokens(self) -> int:
        """A lower bound of the prompt's tokens."""
        plain = self.inputs == _TEXT and (self._is_plain_chat or isinstance(self.asked, Conversation))
        size = self._call.prompt_bytes() if plain else sum(map(_text_bytes, _parts(self.known)))
        return int(size / _BYTES_PER_TOKEN * _SURELY)

    @lazy
    def max_tokens(self) -> int:
        """The most tokens of the answer; 0 if the request does not say."""
        chat = self._chat
        if chat is not None:
            return chat.max_completion_tokens or chat.max_tokens or 0
        request = self._call.request
        if isinstance(request, GenerationRequest):
            return request.max_tokens or 0
        return self.known.max_tokens or 0

    @lazy
    def _is_plain_chat(self) -> bool:
        """True for a chat request whose messages are texts."""
        chat = self._chat
        return chat is not None and all(isinstance(message.content, str | None) for message in chat.messages)

    @lazy
    def inputs(self) -> frozenset[Modality]:
        """The modalities of the prompt."""
        if self._is_plain_chat:
            return _TEXT
        return _TEXT | {kind for part in _parts(self.known) if (kind := _MODALITY.get(type(part)))}

    @lazy
    def outputs(self) -> frozenset[Modality]:
        """The modalities of the answer."""
        if self._chat is not None and "modalities" not in self._call.fields:
            return _TEXT
        return frozenset(self.known.modalities) or _TEXT

    @lazy
    def tools(self) -> bool:
        """True if tools are offered."""
        chat = self._chat
        if chat is not None:
            return bool(chat.tools)
        return bool(self.known.tools) or (isinstance(self.asked, ApiError) and "tools" in self._call.fields)

    @lazy
    def schema(self) -> bool:
        """True if the answer must fit a JSON Schema."""
        chat = self._chat
        if chat is not None:
            return chat.response_format is not None and chat.response_format.type == "json_schema"
        output = self.known.output
        return output is not None and output.type == "json_schema"

    @lazy
    def reasoning(self) -> bool:
        """True if the request asks for reasoning."""
        asked = self.known.reasoning
        return asked is not None and asked.enabled is not False and asked.effort != "none"

    @lazy
    def parameters(self) -> frozenset[str]:
        """The fields of Conversation that are set, and the names of fields that have no counterpart there."""
        asked = self.known
        set_fields = {
            name
            for name in Conversation.__struct_fields__
            if name not in _NOT_PARAMETERS and getattr(asked, name) != getattr(_UNSAID, name)
        }
        return frozenset(set_fields | asked.extra.keys())

    @lazy
    def opening(self) -> bytes:
        """The part of a conversation that stays the same from turn to turn: the system prompt and the first user
        message.
        """
        return _short(self._beginning())

    @lazy
    def prefix(self) -> bytes:
        """The first bytes of that part, which requests of one application share if its system prompt is long."""
        return self._beginning()[:CACHED_BYTES]

    def _beginning(self) -> bytes:
        chat = self._chat
        if chat is not None and self._is_plain_chat:
            said: list[str] = []
            for message in chat.messages:
                said.append(message.content or "")  # type: ignore[arg-type]
                if message.role == "user":
                    break
            return "\0".join(said).encode()
        if self._canonical is None:
            return b""
        if not self.known.turns:
            return self._call.prompt_head(_HEAD)
        parts: list[bytes] = []
        for turn in self.known.turns:
            parts += (part.text.encode() if isinstance(part, Text) else _encode(part) for part in turn.parts)
            if turn.role == "user":
                break
        return b"\0".join(parts)


def _short(data: bytes) -> bytes:
    """Returns a digest for a long text; short texts as they are."""
    return data if len(data) <= _LONG else blake2b(data, digest_size=32).digest()


def _parts(conversation: Conversation) -> Iterator[Part]:
    for turn in conversation.turns:
        for part in turn.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.content


def _text_bytes(part: Part) -> int:
    return len(part.text.encode()) if isinstance(part, Text) else 0
