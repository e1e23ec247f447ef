"""OpenAI's Chat Completions as an inbound API.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weebill.apis.base import ALL_SAID, Api, StreamEncoder, Unsaid
from weebill.apis.chat import answer as openai_chat_answer
from weebill.apis.chat import request as openai_chat_request
from weebill.apis.chat.stream import ChatStream
from weebill.wire import sse
from weebill.wire.body import decode_chat
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation
from weebill.wire.errors import ApiError
from weebill.wire.reply import Reply

# What fields of the canonical form are called here, where their names differ.
FIELDS: Final = {
    "turns": "messages",
    "output": "response_format",
    "max_tokens": "max_completion_tokens",
    "reasoning": "reasoning_effort",
}


class ChatCompletions:
    """`POST /v1/chat/completions`."""

    name = "chat.completions"
    native = "openai.chat"
    headers: frozenset[bytes] = frozenset()
    unsaid: Unsaid = ALL_SAID

    def decode(self, body: bytes, headers: Mapping[bytes, bytes], tail: str) -> Call:
        return decode_chat(body)

    def conversation(self, call: Call) -> Conversation:
        return openai_chat_request.conversation(call)

    def fields(self) -> Mapping[str, str]:
        return FIELDS

    def answer(self, call: Call, reply: Reply) -> bytes:
        return openai_chat_answer.answer(call, reply)

    def stream_headers(self, call: Call) -> bytes:
        return sse.HEADERS

    def stream(self, call: Call) -> StreamEncoder:
        return ChatStream(call)

    def error_body(self, error: ApiError) -> bytes:
        return error.body()

    def error_event(self, error: ApiError) -> bytes:
        return sse.error_event(error)


CHAT: Final[Api] = ChatCompletions()
