"""The inbound API of OpenAI's Responses: `POST /v1/responses`.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weebill.apis.base import StreamEncoder, Unsaid
from weebill.apis.responses.answer import answer
from weebill.apis.responses.events import error_event
from weebill.apis.responses.request import NAMES, conversation
from weebill.apis.responses.stream import ResponseStream
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Conversation
from weebill.wire.errors import ApiError
from weebill.wire.reply import Reply
from weebill.wire.responses_request import decode_responses
from weebill.wire.sse import HEADERS

_UNSAID: Final[Unsaid] = {Audio: "audio"}


class ResponsesApi:
    """The Responses API. What it keeps between requests is put into a call by `responses_state` beforehand."""

    name: str = "responses"
    native: str = "openai.responses"
    headers: frozenset[bytes] = frozenset()
    most_choices: int = 1
    unsaid: Unsaid = _UNSAID

    def decode(self, body: bytes, headers: Mapping[bytes, bytes], tail: str) -> Call:
        """The call in a request. Raises ApiError 400 that names the field."""
        return decode_responses(body)

    def conversation(self, call: Call) -> Conversation:
        return conversation(call)

    def fields(self) -> Mapping[str, str]:
        return NAMES

    def answer(self, call: Call, reply: Reply) -> bytes:
        return answer(call, reply)

    def stream_headers(self, call: Call) -> bytes:
        return HEADERS

    def stream(self, call: Call) -> StreamEncoder:
        return ResponseStream(call)

    def error_body(self, error: ApiError) -> bytes:
        return error.body()

    def error_event(self, error: ApiError) -> bytes:
        return error_event(error)


RESPONSES: Final = ResponsesApi()
