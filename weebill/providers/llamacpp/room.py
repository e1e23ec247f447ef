"""Refuses prompts that are far beyond the window before llama.cpp takes them apart, which needs many times their size
in memory: three of 20 MB at once ended a host, and with it everybody's answers.
"""

from __future__ import annotations

from typing import Final

from weebill.wire.failure import Failure, UpstreamFailure
from weebill.wire.inbound import Json

# Of JSON. Real text has ten at most, even where each character is written as an escape.
_MOST_BYTES_PER_TOKEN: Final = 64
# Of several prompts together, and where the window is not known.
_MOST_BYTES: Final = 4 << 20


def most_bytes(context: int | None) -> int:
    """Returns the bytes that one text may have for a window of `context` tokens."""
    return _MOST_BYTES if context is None else context * _MOST_BYTES_PER_TOKEN


def check_room(fields: Json, context: int | None) -> None:
    """Raises UpstreamFailure, as llama.cpp's own error would be, for a prompt that cannot fit into the window."""
    tools = len(memoryview(fields.get("tools", b"")))
    for name in ("messages", "prompt"):
        if name not in fields:
            continue
        prompt = memoryview(fields[name])
        several = name == "prompt" and bytes(prompt[:1]) == b"["
        size, most = len(prompt) + tools, most_bytes(context)
        if size > (max(most, _MOST_BYTES) if several else most):
            raise beyond_window("The prompt", size, context, param=name)


def beyond_window(what: str, size: int, context: int | None, *, param: str) -> UpstreamFailure:
    """Returns the failure about a text of `size` bytes, which the client calls `param`."""
    reads = "the model reads" if context is None else f"the {context:,} tokens that the model reads"
    message = f"{what} is too long: it has {size:,} bytes, far more than {reads} at once."
    return UpstreamFailure(Failure("context_length", "request", 400), message, param=param)
