"""Embeddings in OpenAI's format.

Source: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

from weebill.wire.errors import invalid_value
from weebill.wire.inbound import Json
from weebill.wire.operations import Endpoint, OperationRequest

MAX_INPUTS: Final = 2048
_KINDS: Final = (str, int, list, dict)


class EmbeddingsRequest(OperationRequest, frozen=True, kw_only=True):
    """`POST /v1/embeddings`.

    An item of `input` that is an object is of a provider's own making, such as Jina's images. `input_type` (Cohere's,
    Voyage's and NVIDIA's name) or `task_type` (Google's) say what the embeddings are for; `title` is Google's.
    """

    input: str | list[str | int | list[int] | Json]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None
    input_type: str | None = None
    task_type: str | None = None
    title: str | None = None

    def check(self) -> None:
        value = self.input
        if not value:
            raise invalid_value("input", "it must not be empty")
        if isinstance(value, str):
            return
        kind = next(kind for kind in _KINDS if isinstance(value[0], kind))
        for index, item in enumerate(value):
            if not isinstance(item, kind):
                raise invalid_value(f"input[{index}]", "all of the items must be of the same type")
            if kind is not int and not item:
                raise invalid_value(f"input[{index}]", "it must not be empty")
        if kind is not int and len(value) > MAX_INPUTS:
            raise invalid_value("input", f"it may have {MAX_INPUTS} items at most")

    @property
    def count(self) -> int:
        """The number of embeddings that are asked for; a list of integers is one text in tokens."""
        return len(self.input) if isinstance(self.input, list) and not isinstance(self.input[0], int) else 1

    @property
    def base64(self) -> bool:
        """Tells whether the embeddings shall come as base64."""
        return self.encoding_format == "base64"


class Embedding(Struct, frozen=True):
    """One embedding: a JSON list of numbers, or the base64 of its 32-bit floats, little-endian."""

    index: int
    embedding: Raw | str
    object: str = "embedding"


class EmbeddingsUsage(Struct, frozen=True):
    """Tokens, of which embeddings have a prompt's only."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Struct, frozen=True):
    """The answer."""

    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage
    object: str = "list"


EMBEDDINGS: Final = Endpoint("embeddings", b"/embeddings", EmbeddingsRequest)
