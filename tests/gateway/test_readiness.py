"""`/readyz` tells whether a request would be served: also while its usage could not be recorded."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.fixtures.upstream import Upstream
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.conftest import settings
from weebill.config.schema import MeteringSettings
from weebill.telemetry import metrics
from weebill.telemetry.exposition import read_gauge

MAX_BYTES = 65_536
ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}


def fill(journal: Path) -> None:
    (journal / "0000000000000-w9-0-000000.jsonl").write_bytes(b"x" * MAX_BYTES)


def replace_by_a_file(journal: Path) -> None:
    shutil.rmtree(journal)
    journal.write_bytes(b"")


def mend(journal: Path) -> None:
    if journal.is_dir():
        shutil.rmtree(journal)
    journal.unlink(missing_ok=True)
    journal.mkdir()


@pytest.mark.parametrize("spoil", [fill, replace_by_a_file, shutil.rmtree])
async def test_not_ready_while_nothing_can_be_recorded(
    tmp_path: Path, upstream: Upstream, spoil: Callable[[Path], None]
) -> None:
    metering = MeteringSettings(journal_max_bytes=MAX_BYTES, segment_bytes=4096)
    async with running_worker(
        tmp_path / "home", msgspec.structs.replace(settings(upstream), metering=metering)
    ) as worker:
        await expect(worker, True)
        spoil(worker.home.journal)
        # What is left of its segment can still be written.
        for _ in range(40):
            answer = await worker.client.post("/v1/chat/completions", json=ASK)
            if answer.status_code != 200:
                break
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "metering_unavailable")
        await expect(worker, False)
        asked = len(upstream.requests)
        assert (await worker.client.post("/v1/chat/completions", json=ASK)).status_code == 503
        assert len(upstream.requests) == asked
        mend(worker.home.journal)
        await expect(worker, True)
        assert (await worker.client.post("/v1/chat/completions", json=ASK)).status_code == 200


async def expect(worker: RunningWorker, recording: bool) -> None:
    """Wait until both `/readyz` and the metrics say so."""
    async with asyncio.timeout(60):
        while True:
            ready = await worker.client.get("/readyz")
            gauges = read_gauge(worker.home.counters, metrics.RECORDING)
            if ready.json()["recording"] == recording and gauges == [int(recording)]:
                break
            await asyncio.sleep(0.05)
    assert ready.status_code == (200 if recording else 503)
    assert ready.json()["ready"] == recording
    assert ready.json()["models"]["gpt-4o-mini"]
