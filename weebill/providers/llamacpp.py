"""llama.cpp's server: OpenAI's dialect with quirks.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from weebill.providers.openai import OpenAIDialect
from weebill.wire.errors import ApiError


class LlamaCppDialect(OpenAIDialect):
    """For the engine hosts of this machine."""

    def error(self, status: int, body: bytes, retry_after: int | None, upstream: str) -> ApiError:
        """OpenAI's `context_length_exceeded` for a prompt beyond the window."""
        error = super().error(status, body, retry_after, upstream)
        if error.detail.type == "exceed_context_size_error":
            return ApiError(400, error.detail.message, code="context_length_exceeded", param="messages")
        return error
