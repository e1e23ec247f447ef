"""A hundred hostile requests beside twenty ordinary clients, under a limit of memory: nothing dies, all get answers.

How long the ordinary ones wait meanwhile is measured by `make hostile`.
"""

import json
import resource
from pathlib import Path

from tests.fixtures.ledger import SQLITE
from tests.fixtures.upstream import Upstream, running_upstream
from tests.fixtures.worker import RunningWorker, running_worker
from tests.hostile.clients import Answered, HostileClient, Ordinary
from tests.hostile.requests import HOSTILE
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.storage.keys import open_keys

MIB = 1 << 20
# Of addresses, of which a worker that has just begun has some 300 MiB.
MOST_ADDRESSES = 2048 * MIB
MOST_RESIDENT_MB = 500
# What refuses, by the gateway's own rules: 413 and 431 are sizes, 429 and 503 the bodies under way.
CLEAR = {400, 413, 429, 503}


def settings(upstream: Upstream) -> Settings:
    acme = ProviderSettings(base_url=upstream.base_url, api_key="k", models=("model",))
    return Settings(server=ServerSettings(port=0), local=LocalSettings(models=()), providers={"acme": acme})


def status_mb(worker: RunningWorker, field: str) -> float:
    [line] = [
        line for line in Path(f"/proc/{worker.process.pid}/status").read_text().splitlines() if line.startswith(field)
    ]
    return int(line.split()[1]) / 1024


def is_clear(answered: Answered) -> bool:
    """An answer, or a refusal that says why."""
    if answered.status == 200:
        return True
    return answered.status in CLEAR and len(json.loads(answered.body)["error"]["message"]) > 10


async def test_nothing_dies_and_all_get_answers(tmp_path: Path) -> None:
    assert len(HOSTILE) >= 100
    async with running_upstream() as upstream, running_worker(tmp_path / "home", settings(upstream)) as worker:
        resource.prlimit(worker.process.pid, resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
        with open_keys(worker.home, SQLITE) as keys:
            other = keys.create("hostile").secret
        hostile = HostileClient(worker.port, other, "model", [each.name for each in HOSTILE])
        # They ask all the while; without a pause, they would take most of the processor.
        ordinary = Ordinary(worker.port, worker.key, "model", pause_s=1.0)
        await hostile.ready()
        ordinary.start()
        answers = await hostile.run()
        await ordinary.stop()

        assert len(answers) == len(HOSTILE)
        assert [each for each in answers if not is_clear(each)] == []
        assert ordinary.latencies
        assert not ordinary.failures
        assert worker.process.returncode is None
        assert status_mb(worker, "VmHWM") < MOST_RESIDENT_MB
        assert (await worker.client.get("/healthz")).status_code == 200
