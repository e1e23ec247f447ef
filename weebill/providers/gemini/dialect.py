"""The dialect of Google's Gemini API, below https://generativelanguage.googleapis.com/v1beta.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from functools import partial
from typing import Final

from weebill.providers.base import DialectFunctions, Target, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.gemini.decode import decode_reply
from weebill.providers.gemini.encode import SUPPORTED, encode_request
from weebill.providers.gemini.errors import body_error
from weebill.providers.gemini.paths import Path, gemini_path, generating
from weebill.providers.gemini.stream import GeminiStream
from weebill.wire.conversation import Conversation, Maker
from weebill.wire.gemini import ORIGIN


def google_dialect(family: Maker, hints: frozenset[str], path: Path) -> DialectFunctions:
    """The dialect of one of Google's APIs, which knows `hints` and has its models at `path`."""

    def encode(conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
        body = encode_request(conversation, target, fit, hints, family)
        return UpstreamRequest(path(target, generating(stream)), body)

    return DialectFunctions(
        family, SUPPORTED, encode, partial(decode_reply, origin=family), partial(GeminiStream, family), body_error
    )


GEMINI_DIALECT: Final = google_dialect(ORIGIN, frozenset({"serviceTier", "store"}), gemini_path)
