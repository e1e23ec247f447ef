"""llama.cpp's server for APIs other than OpenAI's: a conversation becomes a chat call, which `llamacpp` sees to.

So tools, grammars and all that is refused are the same, whatever the client speaks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from weebill.providers.base import NOTHING_SENT, Dialect, StreamDecoder, Target, Unsupported, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.given_images import images_of
from weebill.providers.llamacpp.fields import ENGINE, KEPT, read_of
from weebill.providers.llamacpp.relay import LLAMACPP_RELAY
from weebill.providers.llamacpp.tasks import require_task
from weebill.providers.openai import decode as openai_decode
from weebill.providers.openai import encode as openai_encode
from weebill.providers.openai.events import ChatDecoder
from weebill.wire.arguments import as_object
from weebill.wire.body import decode_chat
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation, Part, Refusal, Text, ToolUse, Turn
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.inbound import GatewayOptions, Json
from weebill.wire.reply import Event, Failed, Reply, UsageReported

_NOWHERE: Final = Target(model="llama.cpp")
_ANY: Final = Conversation(turns=(Turn("user", (Text(""),)),))
_SUPPORTED: Final = frozenset(Conversation.__struct_fields__) - {"modalities", "audio"}
_NOTHING: Final[Json] = {}
_NONE: Final[frozenset[str]] = frozenset()
_WHAT: Final = "This model does not support "
_SCHEMA: Final = "Invalid schema: "
_HEAD: Final = re.compile(r"\w+")


class LlamaCppDialect:
    """A `Dialect` whose upstream is to be asked for streams alone."""

    family = "llamacpp"
    supported = _SUPPORTED

    def encode(self, conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
        """The request, always for a stream.

        Raises Unsupported, ApiError 400 for a value that is none, or UpstreamFailure for a prompt beyond the window.
        """
        require_task(target, "chat")
        if not conversation.turns:
            raise Unsupported("turns", "a conversation in which nothing is said")
        if any(image.data is None for image in images_of(conversation)):
            # llama.cpp would fetch them, from wherever they lead.
            raise Unsupported("turns", "images by address or file id")
        call = chat_call(conversation, target, fit)
        call = call.replaced(own=GatewayOptions(on_unsupported=fit.policy))
        try:
            sent = LLAMACPP_RELAY.encode(call, target)
            for name in sent.dropped:
                fit.hint(openai_encode.CANONICAL.get(name, name))
            return sent
        except UpstreamFailure as failure:
            raise failure.about(openai_encode.CANONICAL.get(failure.param or "", "turns")) from failure
        except ApiError as error:
            head = _HEAD.match(error.detail.param or "")
            name = head.group() if head else ""
            if error.detail.code == "invalid_value":  # wrong whoever is asked
                raise error.about(openai_encode.CANONICAL.get(name, name)) from error
            what = error.detail.message.removeprefix(_WHAT).replace(_SCHEMA, "a schema in which ").rstrip(".")
            raise Unsupported(openai_encode.CANONICAL.get(name, name), what) from error

    def decode(self, body: bytes) -> Reply:
        return openai_decode.decode(body)

    def decode_for(self, conversation: Conversation, body: bytes) -> Reply:
        return self.decode(body)

    def stream(self) -> StreamDecoder:
        """For an answer to a request without tools."""
        return self.stream_for(_ANY)

    def stream_for(self, conversation: Conversation) -> StreamDecoder:
        """For the answer to `conversation`, whose tools are what its text is searched for."""
        if any(images_of(conversation)):
            # They are long, and an answer is read alike without them.
            conversation = replace(conversation, turns=_ANY.turns)
        # What was written has been fitted; whatever could not be is not there any more.
        return LlamaCppDecoder(chat_call(conversation, _NOWHERE, Fit("drop")))

    def error(self, status: int, body: bytes, upstream: str) -> UpstreamFailure:
        error = LLAMACPP_RELAY.error(chat_call(_ANY, _NOWHERE, Fit()), status, body, None, upstream)
        name = openai_encode.CANONICAL.get(error.param or "")
        return error if name is None else error.about(name)


LLAMACPP_DIALECT: Final[Dialect] = LlamaCppDialect()


def chat_call(conversation: Conversation, target: Target, fit: Fit) -> Call:
    """A streamed Chat Completions call that asks the same, but for the name in the answer. Raises Unsupported."""
    own = read_of(conversation.extra, ENGINE | KEPT, fit) if conversation.extra else _NOTHING
    if conversation.hints:
        read_of(conversation.hints, _NONE, fit)
    plain = replace(conversation, turns=tuple(map(_plain, conversation.turns)), extra=_NOTHING, hints=_NOTHING)
    fields = openai_encode.fields(plain, target, fit, stream=True)
    call = decode_chat(msgspec.json.encode({**own, **fields}))
    call.as_served = True
    return call


def _plain(turn: Turn) -> Turn:
    """A turn as llama.cpp reads it: refusals are text, and the arguments of calls objects."""
    if turn.role != "assistant":
        return turn
    return replace(turn, parts=tuple(map(_said, turn.parts)))


def _said(part: Part) -> Part:
    if isinstance(part, Refusal):
        return Text(part.text)
    if isinstance(part, ToolUse):
        return replace(part, arguments=bytes(as_object(part.arguments)).decode())
    return part


class LlamaCppDecoder:
    """A `StreamDecoder` over what the chat relay makes of the stream."""

    def __init__(self, call: Call) -> None:
        self._relay = LLAMACPP_RELAY.stream(call, NOTHING_SENT)
        self._decoder = ChatDecoder()

    def feed(self, data: bytes) -> Sequence[Event]:
        """The events that `data` completes."""
        return self._events(self._relay.feed(data))

    def finish(self) -> Sequence[Event]:
        """The last events. Raises UpstreamFailure if the stream was cut."""
        last = self._events(self._relay.finish())
        if last and isinstance(last[-1], Failed):
            return last
        return [*last, *self._decoder.finish()]

    def _events(self, data: bytes) -> list[Event]:
        # Each choice's usage comes by itself; the relay knows the sum.
        events: list[Event] = [
            UsageReported(self._relay.usage) if isinstance(event, UsageReported) else event
            for event in self._decoder.feed(data)
        ]
        if self._relay.error is not None:
            events.append(Failed(self._relay.error))
        return events
