"""The task of a model, by what the list says and what its file does; and the memory that it needs for it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.embeddings import tiny_bert
from weebill.config.schema import EngineSettings
from weebill.models.convert.conversion import conversion
from weebill.models.curated import Task
from weebill.models.gguf import ModelFacts
from weebill.models.needs import FIXED_BYTES, Window, window_of
from weebill.models.pull import add_file
from weebill.models.store import ModelStore
from weebill.models.tasks import Serving, serving

LLAMA = ModelFacts(architecture="llama")
BERT = ModelFacts(architecture="bert")


@pytest.mark.parametrize(
    ("task", "facts", "expected"),
    [
        (None, LLAMA, "chat"),
        (None, BERT, "embed"),
        (None, ModelFacts(architecture="qwen3", pooling=3), "embed"),
        (None, ModelFacts(architecture="qwen3", pooling=0), "chat"),
        (None, ModelFacts(architecture="bert", pooling=4), "rerank"),
        ("embed", LLAMA, "embed"),
        ("rerank", BERT, "rerank"),
        ("code", ModelFacts(architecture="qwen3", pooling=3), "chat"),
    ],
)
def test_how_a_model_is_served(task: Task | None, facts: ModelFacts, expected: Serving) -> None:
    assert serving(task, facts) == expected


def test_a_model_that_reads_whole_texts_needs_room_for_one_alone(models: ModelStore, tmp_path: Path) -> None:
    tiny_bert.save(tmp_path / "tiny", tiny_bert.weights(rerank=False), rerank=False)
    content = io.BytesIO()
    made = conversion("tiny", [tmp_path / "tiny" / "model.safetensors"], tiny_bert.files(tmp_path / "tiny"))
    made.write(content, lambda done: None)
    (tmp_path / "tiny.gguf").write_bytes(content.getvalue())
    model = add_file(models, "tiny:1", tmp_path / "tiny.gguf")
    served = model.served()

    def window(context: int) -> Window:
        return window_of(served.costs, EngineSettings(context=context), served.trained_context, 1 << 40)

    assert model.size + FIXED_BYTES < window(32).memory < window(8192).memory
    # It was trained for 64 tokens, so more are not reserved.
    assert window(8192) == window(64)
    assert window(64).memory < model.size + FIXED_BYTES + (1 << 20)
