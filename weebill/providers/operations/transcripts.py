"""Transcripts of Mistral, whose answers are always JSON.

Source: https://docs.mistral.ai/api/endpoint/audio/transcriptions
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import Answer, Target, UpstreamRequest
from weebill.providers.operations.errors import no_answer, refused
from weebill.providers.operations.openai import Relay, answer_fields, wanted_format
from weebill.providers.operations.usage import read_usage
from weebill.providers.usage import estimate
from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_text
from weebill.wire.operation_call import OperationCall
from weebill.wire.operations_form import FORM_OWN

_TEXT_HEADERS: Final = b"content-type: text/plain; charset=utf-8\r\n"
_FORMATS: Final = frozenset({"json", "verbose_json", "text"})


class MistralTranscripts(Relay):
    """Mistral has no `response_format`: what it answers is OpenAI's `verbose_json`, near enough."""

    def __init__(self) -> None:
        super().__init__(b"/audio/transcriptions", "text")

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        form = call.form
        assert form is not None  # noqa: S101 - this endpoint takes nothing else
        if wanted_format(call) not in _FORMATS and not call.drops(target.on_unsupported):
            raise refused("response_format", f"the format '{wanted_format(call)}'", target)
        body = form.rewritten({"model": target.model, **FORM_OWN, "response_format": None})
        return UpstreamRequest(b"/audio/transcriptions", body, form.headers)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        fields = answer_fields(body, "text")
        usage = read_usage(fields.get("usage")) or estimate(call, completion_bytes=len(memoryview(fields["text"])))
        if wanted_format(call) != "text":
            return Answer(body, usage)
        try:
            return Answer(decode_text(fields["text"]).encode(), usage, headers=_TEXT_HEADERS)
        except UNREADABLE as error:
            raise no_answer("a transcript") from error
