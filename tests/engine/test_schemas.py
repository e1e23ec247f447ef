"""Schemas that are let through cost the engine little, of whatever they are made: the bounds on them suffice."""

from __future__ import annotations

import random
from pathlib import Path

import psutil

from tests.engine.host_process import client, host
from tests.engine.schemas import costly_schema
from tests.fixtures.model import MODEL
from weebill.engine.store import ModelStore
from weebill.providers.llamacpp.grammar import json_grammar
from weebill.wire.errors import ApiError

COUNT = 24
# A host that does not answer for so long is killed.
MOST_S = 10.0
MOST_BYTES = 300 << 20


def grammars() -> list[str]:
    """Those of random schemas that are not refused."""
    found = []
    for seed in range(COUNT):
        try:
            found.append(json_grammar(costly_schema(random.Random(seed)), "response_format"))
        except ApiError:
            continue
    return found


def test_what_is_let_through_is_compiled(compact_model: Path, tmp_path: Path) -> None:
    allowed = grammars()
    assert COUNT / 3 < len(allowed) < COUNT
    with host(tmp_path) as running:
        running.boot(ModelStore(compact_model).find(MODEL), context=256, parallel=1)
        with client(running.ready().base_url) as engine:
            used = psutil.Process(running.process.pid).memory_info
            before = used().rss
            for grammar in allowed:
                asked = {"prompt": "a", "grammar": grammar, "max_tokens": 1}
                answer = engine.post("/v1/completions", json=asked, timeout=MOST_S)
                assert answer.status_code == 200, (answer.text, grammar[:500])
            assert used().rss - before < MOST_BYTES
