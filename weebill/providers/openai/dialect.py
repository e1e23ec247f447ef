"""Chat Completions as an outbound dialect: for OpenAI, and for all who speak it, with their quirks as data.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.providers.base import RequestReadingFunctions, StreamDecoder, Target, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.openai.decode import decode
from weebill.providers.openai.encode import fields
from weebill.providers.openai.errors import body_error
from weebill.providers.openai.events import ChatDecoder
from weebill.providers.openai.messages import FAMILY
from weebill.wire.conversation import Conversation
from weebill.wire.reply import Reply

CHAT_PATH: Final = b"/chat/completions"


def encode(conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
    """The request. Raises Unsupported."""
    return UpstreamRequest(CHAT_PATH, msgspec.json.encode(fields(conversation, target, fit, stream=stream)))


def _decode_for(conversation: Conversation, body: bytes) -> Reply:
    return decode(body)


def _stream_for(conversation: Conversation) -> StreamDecoder:
    return ChatDecoder(conversation.n or 1)


OPENAI_CHAT: Final = RequestReadingFunctions(
    FAMILY,
    frozenset(Conversation.__struct_fields__),
    encode,
    decode,
    ChatDecoder,
    body_error,
    _decode_for,
    _stream_for,
)
