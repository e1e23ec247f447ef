"""Errors as Ollama writes them: one text.

Source: https://docs.ollama.com/api/errors
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.apis.ollama.answer_shapes import Error
from weebill.wire.errors import ApiError

# Ollama itself asks for no key, so its users may not know where their clients take one from.
_NO_KEY: Final = (
    " Clients of Ollama send the one in OLLAMA_API_KEY, or what their settings call a key or headers;"
    " in Python: Client(headers={'Authorization': 'Bearer <key>'})."
)

_encode: Final = msgspec.json.encode


def error_body(error: ApiError) -> bytes:
    """`{"error": "..."}`."""
    return _encode(Error(_said(error)))


def error_line(error: ApiError) -> bytes:
    """The last line of a stream that failed."""
    return _encode(Error(_said(error), error.status)) + b"\n"


def _said(error: ApiError) -> str:
    return error.detail.message + _NO_KEY if error.status == 401 else error.detail.message
