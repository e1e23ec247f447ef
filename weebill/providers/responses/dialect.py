"""The dialect of OpenAI's Responses API, and of those who speak it.

Nothing is kept upstream: what a request builds on comes with it, so `store` is false.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import RequestReadingFunctions, StreamDecoder
from weebill.providers.openai.errors import body_error
from weebill.providers.responses.decode import decode_reply
from weebill.providers.responses.encode import SUPPORTED, encode_request
from weebill.providers.responses.stream import ResponsesStream
from weebill.wire.conversation import Conversation
from weebill.wire.reply import Reply
from weebill.wire.responses import ORIGIN


def _decode_for(conversation: Conversation, body: bytes) -> Reply:
    return decode_reply(body)


def _stream_for(conversation: Conversation) -> StreamDecoder:
    """A decoder that knows which tools are the client's to run."""
    return ResponsesStream(frozenset([tool.name for tool in conversation.tools]))


RESPONSES_DIALECT: Final = RequestReadingFunctions(
    ORIGIN, SUPPORTED, encode_request, decode_reply, ResponsesStream, body_error, _decode_for, _stream_for
)
