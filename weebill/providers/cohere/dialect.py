"""The dialect of Cohere's Chat API, version 2, below https://api.cohere.com.

Source: https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import Target, UpstreamRequest
from weebill.providers.cohere.decode import body_error, decode_reply
from weebill.providers.cohere.encode import FAMILY, SUPPORTED, encode_request
from weebill.providers.cohere.stream import CohereStream
from weebill.providers.fit import Fit
from weebill.wire.conversation import Conversation
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Reply


class CohereDialect:
    """A `Dialect`."""

    family = FAMILY
    supported = SUPPORTED

    def encode(self, conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
        return encode_request(conversation, target, fit, stream=stream)

    def decode(self, body: bytes) -> Reply:
        return decode_reply(body)

    def stream(self) -> CohereStream:
        return CohereStream()

    def error(self, status: int, body: bytes, upstream: str) -> UpstreamFailure:
        return body_error(status, body, upstream)


COHERE_DIALECT: Final = CohereDialect()
