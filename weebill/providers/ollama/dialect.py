"""The dialect of Ollama's chat endpoint, below http://localhost:11434.

Source: https://docs.ollama.com/api/chat
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import Target, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.ollama.decode import OllamaStream, body_error, decode_reply
from weebill.providers.ollama.encode import FAMILY, SUPPORTED, encode_request
from weebill.wire.conversation import Conversation
from weebill.wire.errors import ApiError
from weebill.wire.reply import Reply


class OllamaDialect:
    """A `Dialect`."""

    family = FAMILY
    supported = SUPPORTED

    def encode(self, conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
        return encode_request(conversation, target, fit, stream=stream)

    def decode(self, body: bytes) -> Reply:
        return decode_reply(body)

    def stream(self) -> OllamaStream:
        return OllamaStream()

    def error(self, status: int, body: bytes, upstream: str) -> ApiError:
        return body_error(status, body, upstream)


OLLAMA_DIALECT: Final = OllamaDialect()
