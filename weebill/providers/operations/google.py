"""Images and speech of Gemini's models, which are parts of an answer of `:generateContent`.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import msgspec

from weebill.providers.operations.errors import held_back, no_answer
from weebill.providers.operations.openai import answer_fields, read_answer
from weebill.wire.failure import UpstreamFailure
from weebill.wire.gemini import Blob, Content, GenerateContentResponse, Part, Wire, parts_of
from weebill.wire.gemini_request import GenerationConfig
from weebill.wire.reply import Usage


class ImageConfig(Wire, frozen=True):
    """`imageConfig`."""

    aspect_ratio: str | None = None
    image_size: str | None = None


class MediaConfig(GenerationConfig, frozen=True):
    """`generationConfig` of requests for images and speech."""

    image_config: ImageConfig | None = None


class GenerateContent(Wire, frozen=True):
    """A request to `:generateContent`."""

    contents: list[Content]
    generation_config: MediaConfig


def asked(text: str, config: MediaConfig) -> bytes:
    """The body of a request for what `text` says."""
    return msgspec.json.encode(
        GenerateContent(contents=[Content(parts=[Part(text=text)], role="user")], generation_config=config)
    )


_decode_answer = msgspec.json.Decoder(GenerateContentResponse).decode


def inline_data(body: bytes, what: str) -> tuple[list[Blob], Usage | None]:
    """The data in an answer of `:generateContent`, of which there is some.

    Raises UpstreamFailure if the model or a filter refused, or if it holds an error or no data.
    """
    raise_error(body)
    answer = read_answer(_decode_answer, body, what)
    blobs = [
        part.inline_data
        for candidate in answer.candidates or ()
        for part in parts_of(candidate.content)
        if part.inline_data is not None
    ]
    if blobs:
        return blobs, answer.usage_metadata.usage() if answer.usage_metadata else None
    feedback = answer.prompt_feedback
    if feedback is not None and feedback.block_reason:
        raise _blocked(str(feedback.block_reason), feedback.block_reason_message)
    for candidate in answer.candidates or ():
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
