"""The dialect of OpenAI's Responses API, and of those who speak it.

Nothing is kept upstream: what a request builds on comes with it, so `store` is false.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import StreamDecoder, Target, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.openai.errors import body_error
from weebill.providers.responses.decode import decode_reply
from weebill.providers.responses.encode import SUPPORTED, encode_request
from weebill.providers.responses.stream import ResponsesStream
from weebill.wire.conversation import Conversation
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Reply
from weebill.wire.responses import ORIGIN

PATH: Final = b"/responses"


class ResponsesDialect:
    """The Responses API, as a `Dialect` that `ReadsByRequest`."""

    family = ORIGIN
    supported = SUPPORTED

    def encode(self, conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
        """The request. Raises Unsupported."""
        return UpstreamRequest(PATH, encode_request(conversation, target, fit, stream))

    def decode(self, body: bytes) -> Reply:
        """The answer in a whole body. Raises UpstreamFailure."""
        return decode_reply(body)

    def decode_for(self, conversation: Conversation, body: bytes) -> Reply:
        return decode_reply(body)

    def stream(self) -> StreamDecoder:
        """A decoder for one stream."""
        return ResponsesStream()

    def stream_for(self, conversation: Conversation) -> StreamDecoder:
        """A decoder for the answer to `conversation`, whose tools are the client's to run."""
        return ResponsesStream(frozenset([tool.name for tool in conversation.tools]))

    def error(self, status: int, body: bytes, upstream: str) -> UpstreamFailure:
        """The upstream's own error, under a status that blames whom it should."""
        return body_error(status, body, upstream)


RESPONSES_DIALECT: Final = ResponsesDialect()
