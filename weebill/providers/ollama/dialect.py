"""The dialect of Ollama's chat endpoint, below http://localhost:11434.

Source: https://docs.ollama.com/api/chat
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import StreamDecoder, Target, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.ollama.decode import OllamaStream, body_error, decode_reply
from weebill.providers.ollama.encode import FAMILY, SUPPORTED, encode_request
from weebill.providers.ollama.forced import ForcedCall, forced
from weebill.wire.conversation import Conversation
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Reply


class OllamaDialect:
    """A `Dialect` that `ReadsByRequest`."""

    family = FAMILY
    supported = SUPPORTED

    def encode(self, conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
        return encode_request(conversation, target, fit, stream=stream)

    def decode(self, body: bytes) -> Reply:
        return decode_reply(body)

    def decode_for(self, conversation: Conversation, body: bytes) -> Reply:
        """The answer to `conversation`, in which a call may be written as text."""
        return decode_reply(body, forced(conversation))

    def stream(self) -> OllamaStream:
        return OllamaStream()

    def stream_for(self, conversation: Conversation) -> StreamDecoder:
        """A decoder for the answer to `conversation`."""
        offered = forced(conversation)
        return ForcedCall(OllamaStream(), offered) if offered else OllamaStream()

    def error(self, status: int, body: bytes, upstream: str) -> UpstreamFailure:
        return body_error(status, body, upstream)


OLLAMA_DIALECT: Final = OllamaDialect()
