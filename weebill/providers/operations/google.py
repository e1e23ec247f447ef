"""What the Gemini API and Vertex AI share at the endpoints other than generation.

Sources: https://ai.google.dev/api/generate-content and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import UNSET, Struct, UnsetType

from weebill.providers.base import Target
from weebill.providers.operations.errors import held_back, no_answer
from weebill.providers.operations.openai import answer_fields, read_answer
from weebill.providers.paths import quoted
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Usage

Address = Callable[[Target, str], bytes]


def gemini_path(target: Target, method: str) -> bytes:
    """The path of a method of a model in the Gemini API."""
    return _path("", target.model, ("models/", "tunedModels/"), "models/", method)


def vertex_path(target: Target, method: str) -> bytes:
    """The path of a method of a model in Vertex AI; without a project, that of the express mode."""
    project = target.options.get("project")
    location = target.options.get("location") or "global"
    where = f"/projects/{quoted(project, safe=':')}/locations/{quoted(location, safe='')}" if project else ""
    return _path(where, target.model, ("publishers/", "endpoints/"), "publishers/google/models/", method)


def _path(where: str, model: str, named: tuple[str, ...], otherwise: str, method: str) -> bytes:
    name = model if model.startswith(named) else otherwise + model
    return f"{where}/{quoted(name, safe='/:@-._~')}:{method}".encode()


class Blob(Struct, frozen=True, rename="camel"):
    """Data within a message, as base64."""

    mime_type: str
    data: str


class Part(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A part of a message."""

    text: str | None = None
    inline_data: Blob | None = None


class Content(Struct, frozen=True, omit_defaults=True):
    """A message."""

    parts: list[Part] = []
    role: str | None = None


class VoiceName(Struct, frozen=True, rename="camel"):
    """One of the voices that there are."""

    voice_name: str


class VoiceConfig(Struct, frozen=True, rename="camel"):
    """`voiceConfig`."""

    prebuilt_voice_config: VoiceName


class SpeechConfig(Struct, frozen=True, rename="camel"):
    """`speechConfig`."""

    voice_config: VoiceConfig


class ImageConfig(Struct, frozen=True, rename="camel", omit_defaults=True):
    """`imageConfig`."""

    aspect_ratio: str | None = None
    image_size: str | None = None


class GenerationConfig(Struct, frozen=True, rename="camel", omit_defaults=True):
    """`generationConfig`, as far as it is used here."""

    response_modalities: list[str]
    image_config: ImageConfig | UnsetType = UNSET
    speech_config: SpeechConfig | UnsetType = UNSET
    seed: int | None = None


class GenerateContent(Struct, frozen=True, rename="camel"):
    """A request to `:generateContent`."""

    contents: list[Content]
    generation_config: GenerationConfig


class _Candidate(Struct, frozen=True, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class _Feedback(Struct, frozen=True, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class UsageMetadata(Struct, frozen=True, rename="camel"):
    """`usageMetadata`; thoughts are not among the candidates' tokens."""

    prompt_token_count: int = 0
    candidates_token_count: int = 0
    thoughts_token_count: int = 0
    cached_content_token_count: int = 0

    def usage(self) -> Usage:
        """The same as usage."""
        thoughts = self.thoughts_token_count
        return Usage.reported(
            self.prompt_token_count,
            self.candidates_token_count + thoughts,
            cached=self.cached_content_token_count,
            reasoning=thoughts,
        )


class _Answer(Struct, frozen=True, rename="camel"):
    candidates: list[_Candidate] = []
    prompt_feedback: _Feedback | None = None
    usage_metadata: UsageMetadata | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def inline_data(body: bytes, what: str) -> tuple[list[Blob], Usage | None]:
    """The data in an answer of `:generateContent`, of which there is some.

    Raises UpstreamFailure if the model or a filter refused, or if it holds an error or no data.
    """
    raise_error(body)
    answer = read_answer(_decode_answer, body, what)
    blobs = [
        part.inline_data
        for candidate in answer.candidates
        if candidate.content is not None
        for part in candidate.content.parts
        if part.inline_data is not None
    ]
    if blobs:
        return blobs, answer.usage_metadata.usage() if answer.usage_metadata else None
    feedback = answer.prompt_feedback
    if feedback is not None and feedback.block_reason:
        raise _blocked(feedback.block_reason, feedback.block_reason_message)
    for candidate in answer.candidates:
        if candidate.finish_reason not in (None, "STOP", "MAX_TOKENS"):
            raise _blocked(str(candidate.finish_reason), candidate.finish_message)
    raise no_answer(what)


def raise_error(body: bytes) -> None:
    """Raise the error that a body with status 200 holds, if it does."""
    # Google's error bodies have nothing else, so that it comes first.
    if b'"error"' in body[:64]:
        answer_fields(body, "")


def _blocked(reason: str, message: str | None) -> UpstreamFailure:
    said = message or f"The model gave no answer: {reason}."
    return held_back(said)
