"""How long ordinary clients wait while a hostile one does its worst: `make hostile`.

Two numbers are promised: the p99 of those that use an upstream rises by less than 100 ms, and nobody who uses the local
model waits for more than 2 s longer than usual. The exit status says whether both hold.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.e2e.installation import Installation, installation
from tests.fixtures.model import MODELS
from tests.fixtures.upstream import running_upstream
from tests.hostile.clients import HostileClient, Ordinary
from tests.hostile.requests import HOSTILE
from weebill.models.pull import pull
from weebill.models.store import ModelStore

MODEL = "smollm2:135m"
QUIET_S = 20.0
OF_THE_ENGINE = ("schema", "parameters", "field")
MOST_RISE_S = 0.1
MOST_WAIT_S = 2.0
CONFIG = """
[providers.acme]
base_url = "{base_url}"
api_key = "k"
models = ["model"]
"""


def p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def rows_for(attacked: str) -> list[str]:
    """All of them; for the local model, what is the engine's to refuse: the others never get there."""
    return [each.name for each in HOSTILE if attacked != "mini" or each.name.startswith(OF_THE_ENGINE)]


async def measured(weebill: Installation, attacked: str) -> tuple[list[float], list[float], int]:
    """The latencies of those that use the upstream, of those that use the local model, and how many had no answer."""
    upstream = Ordinary(weebill.port, weebill.key, "model")
    local = Ordinary(weebill.port, weebill.key, "mini", count=2, pause_s=0.2)
    hostile = None
    if attacked:
        key = weebill.weebill("keys", "create", f"hostile-{attacked}", "--quiet").strip()
        hostile = HostileClient(weebill.port, key, attacked, rows_for(attacked))
        await hostile.ready()
    upstream.start()
    local.start()
    lost = 0
    if hostile is None:
        await asyncio.sleep(QUIET_S)
    else:
        answers = await hostile.run()
        lost = sum(not each.status for each in answers)
        for each in answers:
            if each.status not in (200, 400, 413):
                print(f"  {each.name}: {each.status} {each.body[:120]!r}")
    await upstream.stop()
    await local.stop()
    lost += len(upstream.failures) + len(local.failures)
    return upstream.latencies, local.latencies, lost


async def main(models: Path) -> int:
    held = True
    async with running_upstream() as upstream:
        with tempfile.TemporaryDirectory() as folder:
            config = CONFIG.format(base_url=upstream.base_url)
            with installation(Path(folder) / "home", models, config, forked=False) as weebill:
                usual: tuple[float, float] | None = None
                for attacked in ("", "model", "mini"):
                    of_upstream, of_local, lost = await measured(weebill, attacked)
                    shown = f"attacked: {attacked}" if attacked else "left alone"
                    print(
                        f"{shown:16} upstream: {len(of_upstream)} requests, median {median(of_upstream) * 1e3:.1f} ms, "
                        f"p99 {p99(of_upstream) * 1e3:.1f} ms; local: {len(of_local)}, "
                        f"median {median(of_local):.2f} s, longest {max(of_local):.2f} s; without an answer: {lost}",
                        flush=True,
                    )
                    if usual is None:
                        usual = p99(of_upstream), max(of_local)
                    elif p99(of_upstream) > usual[0] + MOST_RISE_S or max(of_local) > usual[1] + MOST_WAIT_S or lost:
                        held = False
    return 0 if held else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="where the local model's file is")
    options = parser.parse_args()
    pull(ModelStore(options.models), MODEL)
    sys.exit(asyncio.run(main(options.models)))
