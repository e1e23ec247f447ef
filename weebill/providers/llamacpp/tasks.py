"""The task of a model of this machine: each has one, and its host serves no other, but that vectors rank as well."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from weebill.providers.base import Target
from weebill.wire.errors import ApiError
from weebill.wire.failure import Failure, UpstreamFailure

_DOES: Final = {
    "chat": "writes answers, and makes no embeddings and no ratings",
    "embed": "makes embeddings (POST /v1/embeddings), ranks by them (POST /v1/rerank), and does nothing else",
    "rerank": "rates documents (POST /v1/rerank), and nothing else",
}
# https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-context.cpp
_TOO_LONG: Final = re.compile(
    r"input \((\d+) tokens\) is (?:too large to process.*batch size: (\d+)|larger than the max context size \((\d+))"
)


def require_task(target: Target, task: str) -> None:
    """Raises ApiError 400 unless the target's task is `task`."""
    if target.task != task:
        message = f"The model '{target.model}' {_DOES[target.task]}."
        raise ApiError(400, message, code="unsupported_endpoint", param="model")


def item_too_long(
    error: UpstreamFailure, field: str, lengths: Sequence[int], first: int | None = None
) -> UpstreamFailure | None:
    """Returns the failure about an item of `field` that has more tokens than the model reads; None for another error.

    llama.cpp says how many tokens an item has, but not which it is: `item_of` names it.
    """
    found = _TOO_LONG.search(error.message)
    if found is None:
        return None
    tokens, most = int(found[1]), int(found[2] or found[3])
    item = item_of(field, lengths, first)
    message = f"{item} is too long: {tokens:,} tokens, and the model reads {most:,} at once. Split it."
    return UpstreamFailure(Failure("context_length", "request", 400), message, param=item)


def item_of(field: str, lengths: Sequence[int], first: int | None = None) -> str:
    """Returns the name of the longest item of `field`; `first` is the place of the first, if they are a part of all."""
    if first is None and len(lengths) < 2:
        return field
    return f"{field}[{(first or 0) + lengths.index(max(lengths))}]"
