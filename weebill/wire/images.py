"""Images in OpenAI's format.

Source: https://platform.openai.com/docs/api-reference/images
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from weebill.wire.operations import Endpoint, OperationRequest

ImageCount = Annotated[int, Meta(ge=1, le=10)]


class ImageRequest(OperationRequest, frozen=True, kw_only=True):
    """The fields that the endpoints for images share. The values of `size` and `quality` differ from model to model."""

    n: ImageCount | None = None
    size: str | None = None
    quality: str | None = None
    response_format: str | None = None
    output_format: str | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    background: str | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] | None = None
    stream: bool | None = None
    user: str | None = None

    @property
    def wants_stream(self) -> bool:
        return bool(self.stream)


class ImageGenerationRequest(ImageRequest, frozen=True, kw_only=True):
    """`POST /v1/images/generations`; `aspect_ratio`, `negative_prompt` and `seed` are what other providers add."""

    prompt: Annotated[str, Meta(min_length=1)]
    style: Literal["vivid", "natural"] | None = None
    moderation: str | None = None
    aspect_ratio: str | None = None
    negative_prompt: str | None = None
    seed: int | None = None


class ImageEditRequest(ImageRequest, frozen=True, kw_only=True):
    """`POST /v1/images/edits`."""

    prompt: Annotated[str, Meta(min_length=1)]


class ImageVariationRequest(ImageRequest, frozen=True, kw_only=True):
    """`POST /v1/images/variations`."""


class ImageData(Struct, frozen=True, omit_defaults=True):
    """One image, as base64 or under a URL."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class ImageTokens(Struct, frozen=True):
    """The kinds of the prompt's tokens."""

    text_tokens: int
    image_tokens: int


class ImageUsage(Struct, frozen=True):
    """Tokens that an image took."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: ImageTokens


class ImagesAnswer(Struct, frozen=True, omit_defaults=True):
    """The answer; `created` is Unix time."""

    created: int
    data: list[ImageData]
    output_format: str | None = None
    usage: ImageUsage | None = None


_FORM_FIELDS: Final = (
    "model", "n", "size", "quality", "response_format", "output_format", "output_compression", "background",
    "partial_images", "stream", "user",
)  # fmt: skip
IMAGE_GENERATIONS: Final = Endpoint("images.generations", b"/images/generations", ImageGenerationRequest)
IMAGE_EDITS: Final = Endpoint(
    "images.edits", b"/images/edits", ImageEditRequest,
    form_fields=(*_FORM_FIELDS, "prompt"), files=("image", "image[]"),
)  # fmt: skip
IMAGE_VARIATIONS: Final = Endpoint(
    "images.variations", b"/images/variations", ImageVariationRequest,
    json=False, form_fields=_FORM_FIELDS, files=("image",),
)  # fmt: skip
