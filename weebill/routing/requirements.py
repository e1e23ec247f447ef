"""What a request needs of whoever serves it, worked out only as far as somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Final, Generic, TypeVar

import msgspec

from weebill.catalog.schema import Modality
from weebill.routing.readable import readable
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Conversation, Document, Image, Part, Text, ToolResult
from weebill.wire.errors import ApiError
from weebill.wire.requests import ChatRequest, GenerationRequest

# About four bytes of English make a token. What is left after a quarter is taken off is there whatever the language.
_BYTES_PER_TOKEN: Final = 4
_SURELY: Final = 0.75
_LONG: Final = 65_536
# Of a prompt that cannot be read, so much stays the same from turn to turn, as like as not.
_HEAD: Final = 256
_encode: Final = msgspec.json.encode
_TEXT: Final = frozenset[Modality]({"text"})
_MODALITY: Final[dict[type[Part], Modality]] = {Image: "image", Audio: "audio", Document: "pdf"}
_UNSAID: Final = Conversation(turns=())
# They say nothing that a target has to support.
_NOT_PARAMETERS: Final = frozenset({"turns", "hints", "extra"})


T = TypeVar("T")


class NotWorkedOutError(Exception):
    """Something is asked of a request that takes too long to work out here: `Requirements.work_out` comes first."""


class lazy(Generic[T]):  # noqa: N801 - used as a decorator
    """`functools.cached_property` without the lock that it has in Python 3.11, which costs more than most values.

    Raises NotWorkedOutError where the needs are not to be worked out by whoever asks.
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
    """A request's; `conversation` gives its canonical form, which is worked out only where its own will not do.

    A chat request, by far the most common, is looked at as it is. What a big request needs is worked out all at once,
    by `work_out`, and only if somebody asks.
    """

    def __init__(self, call: Call, conversation: Callable[[Call], Conversation] | None = None) -> None:
        """Without `conversation`, the request is none: nothing is needed but the model."""
        self._call = call
        self._canonical = conversation
        self._chat = call.request if isinstance(call.request, ChatRequest) else None
        self._ready = conversation is None or not call.big

    def require(self) -> None:
        """Raise NotWorkedOutError for a big request until `work_out` has been called."""
        if not self._ready:
            raise NotWorkedOutError

    def work_out(self) -> None:
        """Work out all that may be asked for."""
        self._ready = True
        for name, value in vars(Requirements).items():
            if isinstance(value, lazy):
                getattr(self, name)

    @property
    def conversation(self) -> Conversation:
        """The canonical form. Raises ApiError 400 for what it cannot hold; others of the same API may still take it."""
        asked = self.asked
        if isinstance(asked, ApiError):
            raise asked
        return asked

    @lazy
    def asked(self) -> Conversation | ApiError:
        """The canonical form, or why there is none."""
        if self._canonical is None:
            return _UNSAID
        try:
            return self._canonical(self._call)
        except ApiError as error:
            return error

    @lazy
    def known(self) -> Conversation:
        """The canonical form as far as it goes: without what it cannot hold, empty where even that does not help."""
        asked = self.asked
        if isinstance(asked, Conversation) or self._canonical is None:
            return asked if isinstance(asked, Conversation) else _UNSAID
        try:
            return self._canonical(self._call.replaced(own=msgspec.structs.replace(self._call.own, drop_params=True)))
        except ApiError:
            return _UNSAID

    @lazy
    def read(self) -> Conversation:
        """The canonical form, or of a request that has none what can be read of it."""
        asked = self.asked
        return asked if isinstance(asked, Conversation) else readable(self.known, self._call.fields)

    @lazy
    def tokens(self) -> int:
        """Of the prompt, for sure; there are likely more."""
        plain = self.inputs == _TEXT and (self._is_plain_chat or isinstance(self.asked, Conversation))
        size = self._call.prompt_bytes() if plain else sum(map(_text_bytes, _parts(self.known)))
        return int(size / _BYTES_PER_TOKEN * _SURELY)

    @lazy
    def max_tokens(self) -> int:
        """Of the answer, as far as that is said; else 0."""
        chat = self._chat
        if chat is not None:
            return chat.max_completion_tokens or chat.max_tokens or 0
        request = self._call.request
        if isinstance(request, GenerationRequest):
            return request.max_tokens or 0
        return self.known.max_tokens or 0

    @lazy
    def _is_plain_chat(self) -> bool:
        """Tells whether it is a chat request whose messages are texts."""
        chat = self._chat
        return chat is not None and all(isinstance(message.content, str | None) for message in chat.messages)

    @lazy
    def inputs(self) -> frozenset[Modality]:
        """What the prompt is made of."""
        if self._is_plain_chat:
            return _TEXT
        return _TEXT | {kind for part in _parts(self.known) if (kind := _MODALITY.get(type(part)))}

    @lazy
    def outputs(self) -> frozenset[Modality]:
        """What the answer is to be made of."""
        if self._chat is not None and "modalities" not in self._call.fields:
            return _TEXT
        return frozenset(self.known.modalities) or _TEXT

    @lazy
    def tools(self) -> bool:
        """Tells whether tools are offered."""
        chat = self._chat
        if chat is not None:
            return bool(chat.tools)
        return bool(self.known.tools) or (isinstance(self.asked, ApiError) and "tools" in self._call.fields)

    @lazy
    def schema(self) -> bool:
        """Tells whether the answer must fit a JSON Schema."""
        chat = self._chat
        if chat is not None:
            return chat.response_format is not None and chat.response_format.type == "json_schema"
        output = self.known.output
        return output is not None and output.type == "json_schema"

    @lazy
    def reasoning(self) -> bool:
        """Tells whether it is asked to think."""
        asked = self.known.reasoning
        return asked is not None and asked.enabled is not False and asked.effort != "none"

    @lazy
    def parameters(self) -> frozenset[str]:
        """The fields of Conversation that are set, and the names of those that have no counterpart there."""
        asked = self.known
        set_fields = {
            name
            for name in Conversation.__struct_fields__
            if name not in _NOT_PARAMETERS and getattr(asked, name) != getattr(_UNSAID, name)
        }
        return frozenset(set_fields | asked.extra.keys())

    @lazy
    def opening(self) -> bytes:
        """What stays the same from turn to turn of a conversation: the system prompt and the first user message."""
        chat = self._chat
        if chat is not None and self._is_plain_chat:
            said: list[str] = []
            for message in chat.messages:
                said.append(message.content or "")  # type: ignore[arg-type]
                if message.role == "user":
                    break
            return _short("\0".join(said).encode())
        if self._canonical is None:
            return b""
        if not self.known.turns:
            return self._call.prompt_head(_HEAD)
        parts: list[bytes] = []
        for turn in self.known.turns:
            parts += (part.text.encode() if isinstance(part, Text) else _encode(part) for part in turn.parts)
            if turn.role == "user":
                break
        return _short(b"\0".join(parts))


def _short(data: bytes) -> bytes:
    """A digest in the place of a long text; others as they are."""
    return data if len(data) <= _LONG else blake2b(data, digest_size=32).digest()


def _parts(conversation: Conversation) -> Iterator[Part]:
    for turn in conversation.turns:
        for part in turn.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.content


def _text_bytes(part: Part) -> int:
    return len(part.text.encode()) if isinstance(part, Text) else 0
