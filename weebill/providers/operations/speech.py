"""Speech of Gemini's models, which answer with raw samples.

Sources: https://ai.google.dev/gemini-api/docs/speech-generation and
http://soundfile.sapp.org/doc/WaveFormat/ for the header of a WAV file
"""

from __future__ import annotations

import re
import struct
from base64 import b64decode
from typing import Final

from weebill.providers.base import Answer, Target, UpstreamRequest
from weebill.providers.gemini.paths import Path, generating
from weebill.providers.operations.errors import WholeAnswers, check_fields, no_answer, refused
from weebill.providers.operations.google import MediaConfig, asked, inline_data
from weebill.providers.usage import estimate
from weebill.wire.audio import SpeechRequest, Voice
from weebill.wire.gemini_request import PrebuiltVoice, SpeechConfig, VoiceConfig
from weebill.wire.operation_call import OperationCall

_FIELDS: Final = frozenset({"input", "voice", "instructions", "response_format"})
_HEADERS: Final = {"wav": b"content-type: audio/wav\r\n", "pcm": b"content-type: audio/pcm\r\n"}
_RATE: Final = re.compile(r"rate=([0-9]{4,6})")
_DEFAULT_RATE: Final = 24_000
_SAMPLE_BYTES: Final = 2
_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")


class GeminiSpeech(WholeAnswers):
    """Gemini's models that speak, by the API that has them at `path`. Samples are 16 bits, one channel."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        dropped = check_fields(call, _FIELDS, target)
        request = _request(call)
        if request.response_format not in _HEADERS:
            # Without one, OpenAI's default is MP3.
            wanted = request.response_format or "mp3"
            raise refused("response_format", f"the format '{wanted}', only {' and '.join(_HEADERS)}", target)
        if isinstance(request.voice, Voice):
            raise refused("voice", "a voice of one's own", target)
        # A model is told how to speak in the words before the text.
        text = f"{request.instructions}:\n{request.input}" if request.instructions else request.input
        voice = VoiceConfig(prebuilt_voice_config=PrebuiltVoice(voice_name=request.voice))
        config = MediaConfig(response_modalities=["AUDIO"], speech_config=SpeechConfig(voice_config=voice))
        return UpstreamRequest(self._path(target, generating(False)), asked(text, config), dropped=dropped)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        blobs, usage = inline_data(body, "sound")
        try:
            samples = b"".join([b64decode(blob.data, validate=True) for blob in blobs])
        except ValueError as error:
            raise no_answer("sound") from error
        wanted = _request(call).response_format or "wav"
        if wanted == "wav":
            rate = _RATE.search(blobs[0].mime_type)
            samples = wav_header(len(samples), int(rate[1]) if rate else _DEFAULT_RATE) + samples
        return Answer(samples, usage or estimate(call), headers=_HEADERS[wanted])


def wav_header(size: int, rate: int) -> bytes:
    """The header of a WAV file with `size` bytes of 16-bit samples in one channel, `rate` samples a second."""
    return _HEADER.pack(
        b"RIFF", size + _HEADER.size - 8, b"WAVE",
        b"fmt ", 16, 1, 1, rate, rate * _SAMPLE_BYTES, _SAMPLE_BYTES, _SAMPLE_BYTES * 8,
        b"data", size,
    )  # fmt: skip


def _request(call: OperationCall) -> SpeechRequest:
    request = call.request
    assert isinstance(request, SpeechRequest)  # noqa: S101 - the table of operations sees to it
    return request
