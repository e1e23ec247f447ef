"""What is known not to come through, and why: (an answer's id, an API) or (a request's id, a dialect)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

# Relays pass on what the provider sent, and that is nothing that the SDK of its API could use, Weebill or not.
AS_SENT: Final[dict[tuple[str, str], str]] = {
    ("gemini/gemini/stream-2-calls", "gemini"): "the SDK does not put together calls that come in pieces",
    ("reports/gemini/stream-call-in-pieces", "gemini"): "the SDK does not put together calls that come in pieces",
    ("reports/gemini/stream-text-last-without-content", "gemini"): "the SDK forgets a turn with an empty chunk",
    ("vertex/vertex/whole-length", "gemini"): "the SDK cannot read a finish reason that is a number",
    ("vertex/vertex/whole-2-calls", "gemini"): "the SDK cannot read a finish reason that is a number",
    ("vertex/vertex/whole-text", "gemini"): "the SDK cannot read a finish reason that is a number",
    ("vertex/vertex/whole-text-2", "gemini"): "the SDK cannot read a finish reason that is a number",
    ("bedrock/openai-responses/stream-reasoning-text", "responses"): "the content of an item begins at index 1",
}

# What Weebill does not do yet.
KNOWN: Final[dict[tuple[str, str], str]] = {}


@contextmanager
def known(name: str, to: str) -> Iterator[None]:
    """Checks that what is known not to come through does not: once it does, its row in `KNOWN` is wrong."""
    if (name, to) not in KNOWN:
        yield
        return
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is
        yield
