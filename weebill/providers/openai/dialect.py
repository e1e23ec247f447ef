"""Chat Completions as an outbound dialect: for OpenAI, and for all who speak it, with their quirks as data.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.providers.base import Dialect, StreamDecoder, Target, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.openai import decode as openai_decode
from weebill.providers.openai import encode as openai_encode
from weebill.providers.openai.errors import body_error
from weebill.providers.openai.events import ChatDecoder
from weebill.providers.openai.messages import FAMILY
from weebill.wire.conversation import Conversation
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Reply

CHAT_PATH: Final = b"/chat/completions"
_encode = msgspec.json.encode


class OpenAIChatDialect:
    """A `Dialect` that `ReadsByRequest`."""

    family = FAMILY
    supported = frozenset(Conversation.__struct_fields__)

    def encode(self, conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
        return UpstreamRequest(CHAT_PATH, _encode(openai_encode.fields(conversation, target, fit, stream=stream)))

    def decode(self, body: bytes) -> Reply:
        return openai_decode.decode(body)

    def decode_for(self, conversation: Conversation, body: bytes) -> Reply:
        return self.decode(body)

    def stream(self) -> StreamDecoder:
        return ChatDecoder()

    def stream_for(self, conversation: Conversation) -> StreamDecoder:
        """A decoder that waits for as many choices as `conversation` asks for."""
        decoder = self.stream()
        if isinstance(decoder, ChatDecoder):
            decoder.asked = conversation.n or 1
        return decoder

    def error(self, status: int, body: bytes, upstream: str) -> UpstreamFailure:
        return body_error(status, body, upstream)


OPENAI_CHAT: Final[Dialect] = OpenAIChatDialect()
