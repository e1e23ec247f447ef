"""The inbound API that Anthropic's SDKs speak: `POST /v1/messages` and `POST /v1/messages/count_tokens`.

Source: https://platform.claude.com/docs/en/api/messages and .../api/errors
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from weebill.apis.anthropic.answer import answer
from weebill.apis.anthropic.errors import error_body, error_event
from weebill.apis.anthropic.request import HEADERS, conversation, decode_prompt, own_headers
from weebill.apis.anthropic.request_shapes import MessagesRequest
from weebill.apis.anthropic.stream import MessageStream
from weebill.apis.base import StreamEncoder, Unsaid
from weebill.wire import sse
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Conversation
from weebill.wire.errors import ApiError
from weebill.wire.reply import Reply

# What a field of a conversation is called here; those that this API has no field for go by their own name.
_NAMES: Final = {name: name for name in Conversation.__struct_fields__} | {
    "turns": "messages",
    "output": "output_config.format",
    "stop": "stop_sequences",
    "reasoning": "thinking",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
_decode = msgspec.json.Decoder(MessagesRequest).decode
_UNSAID: Final[Unsaid] = {Audio: "audio"}


class AnthropicApi:
    """The Messages API."""

    name: str = "messages"
    native: str = "anthropic"
    headers: frozenset[bytes] = HEADERS
    most_choices: int = 1
    unsaid: Unsaid = _UNSAID

    def decode(self, body: bytes, headers: Mapping[bytes, bytes], tail: str) -> Call:
        """The call in a request; `tail` may hold `?beta=true`, which the headers say as well."""
        request, fields, own = decode_prompt(body, _decode)
        return Call(request, fields, request.model, bool(request.stream), True, own, own_headers(headers))

    def conversation(self, call: Call) -> Conversation:
        return conversation(call)

    def fields(self) -> Mapping[str, str]:
        return _NAMES

    def answer(self, call: Call, reply: Reply) -> bytes:
        return answer(call, reply)

    def stream_headers(self, call: Call) -> bytes:
        return sse.HEADERS

    def stream(self, call: Call) -> StreamEncoder:
        return MessageStream(call)

    def error_body(self, error: ApiError) -> bytes:
        return error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        return error_event(error)


ANTHROPIC: Final = AnthropicApi()
