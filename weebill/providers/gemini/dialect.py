"""The dialect of Google's Gemini API, below https://generativelanguage.googleapis.com/v1beta.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import StreamDecoder, Target, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.gemini.decode import decode_reply
from weebill.providers.gemini.encode import SUPPORTED, encode_request
from weebill.providers.gemini.errors import body_error
from weebill.providers.gemini.stream import GeminiStream
from weebill.providers.paths import quoted
from weebill.wire.conversation import Conversation
from weebill.wire.failure import UpstreamFailure
from weebill.wire.gemini import ORIGIN
from weebill.wire.reply import Reply

_NAMED: Final = ("models/", "tunedModels/")


def method_of(stream: bool) -> str:
    """The method; a stream is always asked for as server-sent events."""
    return ":streamGenerateContent?alt=sse" if stream else ":generateContent"


class GeminiDialect:
    """The Gemini API; what Google's other API for the same models differs in is in its subclass."""

    family = ORIGIN
    supported = SUPPORTED
    hints = frozenset({"serviceTier", "store"})

    def path(self, target: Target, stream: bool) -> bytes:
        """Where the model is, below the base URL."""
        model = target.model if target.model.startswith(_NAMED) else f"models/{target.model}"
        return f"/{quoted(model, safe='/:@-._~')}{method_of(stream)}".encode()

    def encode(self, conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
        """The request. Raises Unsupported."""
        return UpstreamRequest(
            self.path(target, stream), encode_request(conversation, target, fit, self.hints, self.family)
        )

    def decode(self, body: bytes) -> Reply:
        """The answer in a whole body. Raises UpstreamFailure."""
        return decode_reply(body, self.family)

    def stream(self) -> StreamDecoder:
        """A decoder for one stream."""
        return GeminiStream(self.family)

    def error(self, status: int, body: bytes, upstream: str) -> UpstreamFailure:
        """What the client is told of an error; `retry_after` is set where Google says when."""
        return body_error(status, body, upstream)


GEMINI_DIALECT: Final = GeminiDialect()
