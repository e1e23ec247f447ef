"""Requests as the gateway decodes them, for any API."""

from __future__ import annotations

import json

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.gemini.api import GEMINI
from weebill.apis.ollama.api import OLLAMA_CHAT, OLLAMA_GENERATE
from weebill.apis.responses.api import RESPONSES
from weebill.wire.call import Call

SECRET = b"s" * 32
APIS: dict[str, Api] = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "responses": RESPONSES,
    "ollama": OLLAMA_CHAT,
    "generate": OLLAMA_GENERATE,
}


def body(api: str, text: str = "Hello", **fields: object) -> dict[str, object]:
    """A small request of an API that may be answered from the cache."""
    user = {"role": "user", "content": text}
    match api:
        case "chat":
            return {"model": "m", "messages": [user], **fields}
        case "completions":
            return {"model": "m", "prompt": text, **fields}
        case "anthropic":
            return {"model": "m", "max_tokens": 100, "messages": [user], **fields}
        case "gemini":
            return {"contents": [{"role": "user", "parts": [{"text": text}]}], **fields}
        case "ollama":
            return {"model": "m", "messages": [user], "stream": False, **fields}
        case "generate":
            return {"model": "m", "prompt": text, "stream": False, **fields}
        case "responses":
            return {"model": "m", "input": text, "store": False, **fields}
    raise LookupError(api)


def call(api: str, request: dict[str, object] | bytes, *, stream: bool = False) -> Call:
    """The call in a request's body."""
    tail = f"m:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}" if api == "gemini" else ""
    if not isinstance(request, bytes):
        request = json.dumps({**request, "stream": True} if stream and api != "gemini" else request).encode()
    return APIS[api].decode(request, {}, tail)
