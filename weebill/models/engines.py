"""The kinds of engines: what a host runs a model with."""

from __future__ import annotations

from typing import Final, Literal

EngineKind = Literal["llama.cpp", "openvino", "static"]
# It reads every model that is a GGUF.
DEFAULT_ENGINE: Final = "llama.cpp"
