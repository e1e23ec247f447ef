"""The inbound API that Ollama's clients speak: `POST /api/chat` and `POST /api/generate`.

Source: https://docs.ollama.com/api/chat and https://docs.ollama.com/api/generate
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from weebill.apis.base import StreamEncoder, Unsaid, Wordless
from weebill.apis.ollama import request
from weebill.apis.ollama.answer import answer, without_words
from weebill.apis.ollama.errors import error_body, error_line
from weebill.apis.ollama.request_shapes import ChatBody, GenerateBody, OllamaRequest
from weebill.apis.ollama.stream import HEADERS, OllamaStream
from weebill.wire.body import invalid_body, take_own, top_level
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Citation, Conversation, Image
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.keep_alive import keep_alive_of
from weebill.wire.reply import Reply
from weebill.wire.whole_numbers import with_whole_numbers

_UNSAID: Final[Unsaid] = {Audio: "audio", Image: "images", Citation: "citations"}


class OllamaApi:
    """One of the two endpoints, which differ in how the conversation is put and where the answer's words are."""

    headers: frozenset[bytes] = frozenset()
    most_choices: int = 1
    unsaid: Unsaid = _UNSAID

    def __init__(
        self,
        name: str,
        native: str,
        body: type[ChatBody] | type[GenerateBody],
        conversation: Callable[[Call], Conversation],
        fields: Mapping[str, str],
    ) -> None:
        self.name = name
        self.native = native
        self._body = body
        self._decode: Callable[[bytes], ChatBody | GenerateBody] = msgspec.json.Decoder(body).decode
        self._conversation = conversation
        self._fields = fields

    def decode(self, body: bytes, headers: Mapping[bytes, bytes], tail: str) -> Call:
        """The call in a request; it streams unless it says otherwise. Raises ApiError 400 that names the field."""
        try:
            asked, fields = self._decode(body), top_level(body)
        except UNREADABLE as error:
            mended = with_whole_numbers(body, self._body)
            if mended is not None:
                return self.decode(mended, headers, tail)
            raise invalid_body(error) from error
        own = take_own(fields)
        keep_alive_of(fields)  # a provider's model has no use for it, and would not say what is wrong
        return Call(
            OllamaRequest(asked, time.monotonic_ns()), fields, asked.model, asked.stream is not False, True, own
        )

    def conversation(self, call: Call) -> Conversation:
        return self._conversation(call)

    def fields(self) -> Mapping[str, str]:
        return self._fields

    def answer(self, call: Call, reply: Reply) -> bytes:
        return answer(call, reply)

    def stream_headers(self, call: Call) -> bytes:
        return HEADERS

    def stream(self, call: Call) -> StreamEncoder:
        return OllamaStream(call)

    def error_body(self, error: ApiError) -> bytes:
        return error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        return error_line(error)

    def without_words(self, call: Call) -> Wordless | None:
        """A request that asks nothing of its model; None for all others. Raises ApiError 400."""
        if not request.asks_for_nothing(call):
            return None
        unloads = request.keeps_nothing(call)
        return Wordless(without_words(call, unloads=unloads), not unloads)


OLLAMA_CHAT: Final = OllamaApi("ollama.chat", "ollama", ChatBody, request.chat, request.FIELDS)
OLLAMA_GENERATE: Final = OllamaApi(
    "ollama.generate", "ollama.generate", GenerateBody, request.generate, request.GENERATE_FIELDS
)
