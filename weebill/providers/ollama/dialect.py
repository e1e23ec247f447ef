"""The dialect of Ollama's chat endpoint, below http://localhost:11434.

Where a tool has to be called, the model is bound to write the call as text, so an answer is read by its request.

Source: https://docs.ollama.com/api/chat
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import RequestReadingFunctions, StreamDecoder
from weebill.providers.ollama.decode import OllamaStream, body_error, decode_reply
from weebill.providers.ollama.encode import FAMILY, SUPPORTED, encode_request
from weebill.providers.ollama.forced import ForcedCall, forced
from weebill.wire.conversation import Conversation
from weebill.wire.reply import Reply


def _decode_for(conversation: Conversation, body: bytes) -> Reply:
    return decode_reply(body, forced(conversation))


def _stream_for(conversation: Conversation) -> StreamDecoder:
    offered = forced(conversation)
    return ForcedCall(OllamaStream(), offered) if offered else OllamaStream()


OLLAMA_DIALECT: Final = RequestReadingFunctions(
    FAMILY, SUPPORTED, encode_request, decode_reply, OllamaStream, body_error, _decode_for, _stream_for
)
