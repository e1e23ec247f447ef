"""Counts the slots of llama.cpp that a request needs: one for each choice of each prompt, and for each document.

Embeddings are asked for in small parts, each of which counts as one, though its texts are read side by side.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-context.cpp
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.providers.upstream_request import UpstreamRequest
from weebill.wire.json_values import decode_object

# Of completions and reranking.
_LISTS: Final = ("prompt", "documents")
_decode: Final = msgspec.json.Decoder().decode


def slots_of(request: UpstreamRequest) -> int:
    """That number, of a request as the relay writes it, whose fields are within their bounds."""
    fields = decode_object(request.body)
    choices = _decode(fields.get("n", b"1")) or 1
    prompts = 1
    for name in _LISTS:
        if bytes(fields.get(name, b""))[:1] == b"[":
            listed = _decode(fields[name])
            if listed and not isinstance(listed[0], int):
                prompts = len(listed)
    return int(choices) * prompts
