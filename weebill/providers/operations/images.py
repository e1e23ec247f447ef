"""Images of Google's models, of Amazon's on Bedrock, and of Together.

Sources: https://ai.google.dev/gemini-api/docs/imagen, https://ai.google.dev/gemini-api/docs/image-generation,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/imagen-api,
https://docs.aws.amazon.com/nova/latest/userguide/image-gen-req-resp-structure.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-image.html,
https://docs.together.ai/reference/post-images-generations
"""

from __future__ import annotations

import re
import time
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.providers.base import Answer, Target, UpstreamRequest
from weebill.providers.gemini.paths import Path, generating
from weebill.providers.operations.bedrock import invocation
from weebill.providers.operations.errors import WholeAnswers, check_fields, held_back, no_answer, refused
from weebill.providers.operations.google import ImageConfig, MediaConfig, asked, inline_data, raise_error
from weebill.providers.operations.openai import Relay, read_answer
from weebill.wire.images import ImageData, ImageGenerationRequest, ImagesAnswer, ImageTokens, ImageUsage
from weebill.wire.inbound import Json
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage

_encode = msgspec.json.encode
_COMMON: Final = frozenset({"prompt", "n", "size"})

# The sizes in pixels that the models have, as the aspect ratio and the image size to ask for.
_IMAGEN_SIZES: Final = {
    "1024x1024": ("1:1", None), "896x1280": ("3:4", None), "1280x896": ("4:3", None),
    "768x1408": ("9:16", None), "1408x768": ("16:9", None),
    "2048x2048": ("1:1", "2K"), "1792x2560": ("3:4", "2K"), "2560x1792": ("4:3", "2K"),
    "1536x2816": ("9:16", "2K"), "2816x1536": ("16:9", "2K"),
}  # fmt: skip
_GEMINI_SIZES: Final = {
    "1024x1024": ("1:1", None), "2048x2048": ("1:1", "2K"), "4096x4096": ("1:1", "4K"),
    # Gemini 2.5
    "832x1248": ("2:3", None), "1248x832": ("3:2", None), "864x1184": ("3:4", None), "1184x864": ("4:3", None),
    "896x1152": ("4:5", None), "1152x896": ("5:4", None), "768x1344": ("9:16", None), "1344x768": ("16:9", None),
    "1536x672": ("21:9", None),
    # Gemini 3
    "848x1264": ("2:3", None), "1264x848": ("3:2", None), "896x1200": ("3:4", None), "1200x896": ("4:3", None),
    "928x1152": ("4:5", None), "1152x928": ("5:4", None), "768x1376": ("9:16", None), "1376x768": ("16:9", None),
    "1584x672": ("21:9", None),
}  # fmt: skip
_PIXELS: Final = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})")


def _request(call: OperationCall) -> ImageGenerationRequest:
    request = call.request
    assert isinstance(request, ImageGenerationRequest)  # noqa: S101 - the table of operations sees to it
    return request


def _aspect(
    call: OperationCall, sizes: dict[str, tuple[str, str | None]], target: Target
) -> tuple[str | None, str | None]:
    """The aspect ratio and the image size to ask for. Raises ApiError 400 for a size that the model does not have."""
    request = _request(call)
    if request.size in (None, "auto"):
        return request.aspect_ratio, None
    found = sizes.get(request.size or "")
    if found is None:
        if call.drops(target.on_unsupported):
            return request.aspect_ratio, None
        raise refused("size", f"the size '{request.size}', only {', '.join(sizes)}", target)
    if request.aspect_ratio not in (None, found[0]):
        raise refused("aspect_ratio", f"'{request.aspect_ratio}' together with the size '{request.size}'", target)
    return found


def _answer(images: list[ImageData], usage: Usage | None = None) -> Answer:
    """The client's answer. Without the provider's usage it counts no tokens, and says so by not being measured."""
    shown = None
    if usage is not None:
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        shown = ImageUsage(prompt, completion, prompt + completion, ImageTokens(prompt, 0))
    return Answer(_encode(ImagesAnswer(int(time.time()), images, usage=shown)), usage or Usage())


class _OutputOptions(Struct, frozen=True, rename="camel", omit_defaults=True):
    mime_type: str | None = None
    compression_quality: int | None = None


class _ImagenInstance(Struct, frozen=True):
    prompt: str


class _ImagenParameters(Struct, frozen=True, rename="camel", omit_defaults=True):
    sample_count: int
    include_rai_reason: bool
    aspect_ratio: str | None = None
    sample_image_size: str | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    output_options: _OutputOptions | UnsetType = UNSET


class _ImagenRequest(Struct, frozen=True):
    instances: list[_ImagenInstance]
    parameters: _ImagenParameters


class _Prediction(Struct, frozen=True, rename="camel"):
    bytes_base64_encoded: str | None = None
    prompt: str | None = None
    rai_filtered_reason: str | None = None


class _ImagenAnswer(Struct, frozen=True):
    predictions: list[_Prediction] = []


_decode_imagen = msgspec.json.Decoder(_ImagenAnswer).decode


class GoogleImages(WholeAnswers):
    """Imagen, and Gemini's models that answer with images, by the API that has them at `path`."""

    def __init__(self, path: Path, imagen_fields: frozenset[str] = frozenset()) -> None:
        """`imagen_fields` are those that Imagen has with this API alone."""
        self._path = path
        self._imagen_fields = imagen_fields | _COMMON | {"aspect_ratio", "output_format", "output_compression"}

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        imagen = "imagen" in target.model
        dropped = check_fields(call, self._imagen_fields if imagen else _COMMON | {"aspect_ratio", "seed"}, target)
        request = self._imagen(call, target) if imagen else self._gemini(call, target)
        return request.replaced(dropped=dropped)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        # A target's model is not known here; Gemini's answers have candidates, or say why there are none.
        if b'"candidates"' in body or b'"promptFeedback"' in body:
            blobs, usage = inline_data(body, "an image")
            return _answer([ImageData(b64_json=blob.data) for blob in blobs], usage)
        raise_error(body)
        predictions = read_answer(_decode_imagen, body, "an image").predictions
        images = [
            ImageData(b64_json=each.bytes_base64_encoded, revised_prompt=each.prompt)
            for each in predictions
            if each.bytes_base64_encoded
        ]
        if not images:
            # Imagen leaves out what its filter holds back, all of the predictions if need be.
            reasons = [each.rai_filtered_reason for each in predictions if each.rai_filtered_reason]
            message = " ".join(reasons) or "The upstream's filter held back all of the images."
            raise held_back(message, "prompt")
        return _answer(images)

    def _imagen(self, call: OperationCall, target: Target) -> UpstreamRequest:
        request = _request(call)
        aspect_ratio, image_size = _aspect(call, _IMAGEN_SIZES, target)
        options: _OutputOptions | UnsetType = UNSET
        if request.output_format is not None or request.output_compression is not None:
            mime_type = request.output_format and f"image/{request.output_format}"
            options = _OutputOptions(mime_type, request.output_compression)
        only_here = self._imagen_fields
        parameters = _ImagenParameters(
            request.n or 1, True, aspect_ratio, image_size,
            request.negative_prompt if "negative_prompt" in only_here else None,
            request.seed if "seed" in only_here else None,
            options,
        )  # fmt: skip
        body = _ImagenRequest([_ImagenInstance(request.prompt)], parameters)
        return UpstreamRequest(self._path(target, "predict"), _encode(body))

    def _gemini(self, call: OperationCall, target: Target) -> UpstreamRequest:
        request = _request(call)
        if (request.n or 1) > 1 and not call.drops(target.on_unsupported):
            raise refused("n", "more than one image in a request", target)
        aspect_ratio, image_size = _aspect(call, _GEMINI_SIZES, target)
        image = ImageConfig(aspect_ratio=aspect_ratio, image_size=image_size) if aspect_ratio or image_size else None
        config = MediaConfig(response_modalities=["IMAGE"], image_config=image, seed=request.seed)
        return UpstreamRequest(self._path(target, generating(False)), asked(request.prompt, config))


class _TextToImage(Struct, frozen=True, rename="camel", omit_defaults=True):
    text: str
    negative_text: str | None = None


class _AmazonConfig(Struct, frozen=True, rename="camel", omit_defaults=True):
    number_of_images: int
    width: int | None = None
    height: int | None = None
    quality: str | None = None
    seed: int | None = None


class _AmazonRequest(Struct, frozen=True, rename="camel"):
    task_type: str
    text_to_image_params: _TextToImage
    image_generation_config: _AmazonConfig


class _AmazonAnswer(Struct, frozen=True):
    images: list[str] | None = None
    error: str | None = None


_decode_amazon = msgspec.json.Decoder(_AmazonAnswer).decode
_AMAZON_QUALITY: Final = {"standard": "standard", "medium": "standard", "hd": "premium", "high": "premium"}


class BedrockImages(WholeAnswers):
    """Amazon's Nova Canvas and Titan Image Generator, which take the same requests."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        if "nova-canvas" not in target.model and "titan-image" not in target.model:
            raise refused("model", "images by Weebill", target)
        dropped = check_fields(call, _COMMON | {"quality", "seed", "negative_prompt"}, target)
        request = _request(call)
        quality = _AMAZON_QUALITY.get(request.quality or "")
        if quality is None and request.quality not in (None, "auto") and not call.drops(target.on_unsupported):
            raise refused("quality", f"the quality '{request.quality}', only {', '.join(_AMAZON_QUALITY)}", target)
        width, height = _pixels(call, target)
        body = _AmazonRequest(
            "TEXT_IMAGE",
            _TextToImage(request.prompt, request.negative_prompt),
            _AmazonConfig(request.n or 1, width, height, quality, request.seed),
        )
        return invocation(target, body, dropped)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        answer = read_answer(_decode_amazon, body, "an image")
        if answer.images:
            return _answer([ImageData(b64_json=image) for image in answer.images])
        if answer.error:
            raise held_back(answer.error, "prompt")
        raise no_answer("an image")


class TogetherImages(Relay):
    """Together, which takes OpenAI's request with two fields of its own."""

    def __init__(self) -> None:
        super().__init__(b"/images/generations", "data")

    def fields(self, call: OperationCall, target: Target) -> Json:
        fields = super().fields(call, target)
        width, height = _pixels(call, target)
        fields.pop("size", None)
        if width is not None:
            fields["width"], fields["height"] = Raw(_encode(width)), Raw(_encode(height))
        if _request(call).response_format == "b64_json":
            fields["response_format"] = Raw(b'"base64"')
        return fields


def _pixels(call: OperationCall, target: Target) -> tuple[int | None, int | None]:
    """The width and the height that are asked for. Raises ApiError 400 for a size that says neither."""
    size = _request(call).size
    if size is None or size == "auto":
        return None, None
    found = _PIXELS.fullmatch(size)
    if found is None:
        raise refused("size", f"the size '{size}', only WIDTHxHEIGHT", target)
    return int(found[1]), int(found[2])
