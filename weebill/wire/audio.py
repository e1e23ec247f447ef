"""Speech and transcription in OpenAI's format.

Source: https://platform.openai.com/docs/api-reference/audio
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from weebill.wire.operations import Endpoint, OperationRequest

TEXT_FORMATS: Final = frozenset({"text", "srt", "vtt"})
"""The formats of a transcript that are not JSON."""


class Voice(Struct, frozen=True):
    """A voice of one's own."""

    id: str


class SpeechRequest(OperationRequest, frozen=True, kw_only=True):
    """`POST /v1/audio/speech`. The voices and the formats differ from provider to provider."""

    input: Annotated[str, Meta(min_length=1)]
    voice: Annotated[str, Meta(min_length=1)] | Voice
    instructions: str | None = None
    response_format: str | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    stream_format: Literal["sse", "audio"] | None = None

    @property
    def wants_stream(self) -> bool:
        return self.stream_format == "sse"


class TranscriptionRequest(OperationRequest, frozen=True, kw_only=True):
    """`POST /v1/audio/transcriptions` and `/translations`: the text fields of the form."""

    language: str | None = None
    prompt: str | None = None
    response_format: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    stream: bool | None = None

    @property
    def wants_stream(self) -> bool:
        return bool(self.stream)


_FORM_FIELDS: Final = ("model", "language", "prompt", "response_format", "temperature", "stream")
# Some providers take a URL or an uploaded file's id in place of the file.
_FILES: Final = ("file", "url", "file_url", "file_id")

SPEECH: Final = Endpoint("audio.speech", b"/audio/speech", SpeechRequest)
TRANSCRIPTIONS: Final = Endpoint(
    "audio.transcriptions", b"/audio/transcriptions", TranscriptionRequest,
    json=False, form_fields=_FORM_FIELDS, files=_FILES,
)  # fmt: skip
TRANSLATIONS: Final = Endpoint(
    "audio.translations", b"/audio/translations", TranscriptionRequest,
    json=False, form_fields=_FORM_FIELDS, files=_FILES,
)  # fmt: skip
