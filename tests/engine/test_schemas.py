"""Schemas that are let through cost the engine little, of whatever they are made: the bounds on them suffice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.engine.host_process import client, host
from tests.engine.schemas import costly_schema
from tests.fixtures.model import MODEL
from weebill.models.store import ModelStore
from weebill.providers.llamacpp.grammar import json_grammar
from weebill.wire.errors import ApiError

COUNT = 24
# A host that does not answer for so long is killed.
MOST_S = 10.0
MOST_BYTES = 300 << 20


def costly() -> Iterator[dict[str, Any]]:
    """Random ones, and what is known to grow beyond all measure: each pattern that must hold, too, doubles the work."""
    yield from (costly_schema(random.Random(seed)) for seed in range(COUNT))
    for count in (4, 8, 10, 16, 32):
        yield {"allOf": [{"type": "string", "pattern": f"a{at}"} for at in range(count)]}


def grammars() -> Iterator[str]:
    """Those of the schemas that are not refused."""
    for schema in costly():
        with suppress(ApiError):
            yield json_grammar(schema, "response_format")


def test_what_is_let_through_is_compiled(compact_model: Path, tmp_path: Path) -> None:
    allowed = list(grammars())
    assert len(allowed) > COUNT / 2
    with host(tmp_path) as running:
        running.boot(ModelStore(compact_model).find(MODEL).served(), context=256, parallel=1)
        with client(running.ready().base_url) as engine:
            used = psutil.Process(running.process.pid).memory_info
            before = used().rss
            for grammar in allowed:
                asked = {"prompt": "a", "grammar": grammar, "max_tokens": 1}
                answer = engine.post("/v1/completions", json=asked, timeout=MOST_S)
                assert answer.status_code == 200, (answer.text, grammar[:500])
            assert used().rss - before < MOST_BYTES
