"""The way in which an engine serves a model: it answers, makes vectors of texts, or rates documents for a query."""

from __future__ import annotations

from typing import Final, Literal

from weebill.models.curated import Task
from weebill.models.gguf import ModelFacts

Serving = Literal["chat", "embed", "rerank"]

_OF_TASK: Final[dict[Task | None, Serving]] = {"embed": "embed", "rerank": "rerank"}
# Of these, an engine need not know more than the file.
ANSWERS: Final = frozenset({"chat", "code", "vision"})
_RANK: Final = 4
# Architectures of llama.cpp that read a text from both ends, so that they can write none.
_ENCODERS: Final = frozenset(
    {"bert", "modern-bert", "neo-bert", "eurobert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3"}
    | {"t5encoder", "gemma-embedding", "llama-embed"}
)
# Tasks that llama.cpp's server does not serve.
UNSERVED: Final = frozenset({"speech-to-text", "text-to-speech"})


def serving(task: Task | None, facts: ModelFacts) -> Serving:
    """Returns how a model of this task is served; what its file says counts if nobody said a task."""
    if task in _OF_TASK:
        return _OF_TASK[task]
    if task in ANSWERS:
        return "chat"
    if facts.pooling == _RANK:
        return "rerank"
    return "embed" if facts.pooling or facts.architecture in _ENCODERS else "chat"
