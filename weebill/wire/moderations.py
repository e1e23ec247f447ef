"""Moderations in OpenAI's format.

Source: https://platform.openai.com/docs/api-reference/moderations
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from weebill.wire.operations import Endpoint, OperationRequest
from weebill.wire.requests import ModelName

DEFAULT_MODEL: Final = "omni-moderation-latest"
"""OpenAI's own default, which its SDKs leave out of requests."""

CATEGORIES: Final = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


class ModerationImage(Struct, frozen=True):
    """The place of an image: a URL or a data URI."""

    url: str


class ModerationPart(Struct, frozen=True):
    """A text or an image to judge."""

    type: str
    text: str | None = None
    image_url: ModerationImage | None = None


class ModerationRequest(OperationRequest, frozen=True, kw_only=True):
    """`POST /v1/moderations`."""

    model: ModelName = DEFAULT_MODEL
    input: str | Annotated[list[str | ModerationPart], Meta(min_length=1)]


class ModerationResult(Struct, frozen=True):
    """The findings about one input.

    A category that was not judged is False with a score of 0 and without applied input types, as OpenAI has it.
    """

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]


class ModerationAnswer(Struct, frozen=True):
    """The answer; one result for each input."""

    id: str
    model: str
    results: list[ModerationResult]


MODERATIONS: Final = Endpoint("moderations", b"/moderations", ModerationRequest)
