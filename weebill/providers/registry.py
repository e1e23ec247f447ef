"""The dialects that there are: the built-in ones, and those that other packages add by an entry point.

An entry point of the group `weebill.dialects` names a `Dialect`: its name is what `providers.NAME.dialect` says.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final, cast

from weebill.catalog.dialects import ENTRY_POINTS
from weebill.providers.base import Dialect, Translator

# Loaded when first asked for: a worker has the dialects that its configuration names.
_DIALECTS: Final = {
    "openai": "weebill.providers.openai.dialect:OPENAI_CHAT",
    "openai-responses": "weebill.providers.responses.dialect:RESPONSES_DIALECT",
    "azure": "weebill.providers.openai.azure:AZURE_DIALECT",
    "anthropic": "weebill.providers.anthropic.dialect:ANTHROPIC_DIALECT",
    "gemini": "weebill.providers.gemini.dialect:GEMINI_DIALECT",
    "vertex": "weebill.providers.gemini.vertex:VERTEX_DIALECT",
    "bedrock": "weebill.providers.bedrock.dialect:BEDROCK_DIALECT",
    "cohere": "weebill.providers.cohere.dialect:COHERE_DIALECT",
    "ollama": "weebill.providers.ollama.dialect:OLLAMA_DIALECT",
    "llamacpp": "weebill.providers.llamacpp.dialect:LLAMACPP_DIALECT",
    # OpenAI's own under another name, without its older Completions; what else differs, the catalogue says.
    "mistral": "weebill.providers.openai.dialect:OPENAI_CHAT",
    "cloudflare": "weebill.providers.openai.dialect:OPENAI_CHAT",
    "huggingface": "weebill.providers.openai.dialect:OPENAI_CHAT",
}
_OPENAI_RELAY: Final = "weebill.providers.openai.relay:OPENAI_RELAY"
_LLAMACPP_RELAY: Final = "weebill.providers.llamacpp.relay:LLAMACPP_RELAY"
# (an inbound API's format, a dialect that speaks the same) -> what passes bytes through
_RELAYS: Final = {
    **{("openai.chat", dialect): _OPENAI_RELAY for dialect in ("openai", "mistral", "cloudflare", "huggingface")},
    ("openai.completions", "openai"): _OPENAI_RELAY,
    ("openai.chat", "llamacpp"): _LLAMACPP_RELAY,
    ("openai.completions", "llamacpp"): _LLAMACPP_RELAY,
    ("openai.chat", "azure"): "weebill.providers.openai.azure:AZURE_RELAY",
    ("openai.completions", "azure"): "weebill.providers.openai.azure:AZURE_RELAY",
    ("openai.responses", "openai-responses"): "weebill.providers.responses.relay:RESPONSES_RELAY",
    ("anthropic", "anthropic"): "weebill.providers.anthropic.relay:ANTHROPIC_RELAY",
    ("gemini", "gemini"): "weebill.providers.gemini.relay:GEMINI_RELAY",
    ("ollama", "ollama"): "weebill.providers.ollama.relay:CHAT_RELAY",
    ("ollama.generate", "ollama"): "weebill.providers.ollama.relay:GENERATE_RELAY",
    ("gemini", "vertex"): "weebill.providers.gemini.vertex:VERTEX_RELAY",
}
# Those whose upstream is asked for a stream even if the client wants one piece.
STREAMS_ONLY: Final = frozenset({"llamacpp"})


@lru_cache(maxsize=256)
def dialect(name: str) -> Dialect:
    """The dialect of that name. Raises LookupError if there is none."""
    known = _DIALECTS.get(name)
    if known is not None:
        return cast(Dialect, _load(known))
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        return cast(Dialect, entry.load())
    raise LookupError(f"no dialect '{name}'")


def relay(native: str, dialect: str) -> Translator | None:
    """The translator that passes bytes through between an API and a dialect of the same format."""
    known = _RELAYS.get((native, dialect))
    return None if known is None else cast(Translator, _load(known))


def _load(reference: str) -> object:
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
