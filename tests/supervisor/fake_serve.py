"""`weebill serve` with fake children: fake_serve.py HOME MODEL... If it was forked, they are.

Further models are offered, with a hundred MiB for each: those with a file in HOME/offered, in MEMORY_MB all together.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from tests.fixtures import nursery
from tests.fixtures.forking import fork_children
from weebill.config.load import Sources, load
from weebill.config.paths import Home
from weebill.models.needs import Costs
from weebill.models.store import ServedModel
from weebill.supervisor.listeners import ListenError
from weebill.supervisor.lock import AlreadyRunningError
from weebill.supervisor.serve import serve
from weebill.supervisor.supervisor import ROLES

CHILD = "tests.supervisor.fake_child"
FAKE = {
    "command": (sys.executable, "-m", CHILD),
    "start_timeout_s": 4.0,
    "start_idle_s": 1.0,
    "first_backoff_s": 0.02,
    "longest_backoff_s": 0.3,
    "exit_margin_s": 1.0,
}


def main() -> None:
    home, *models = sys.argv[1:]
    if CHILD in nursery.shared():
        fork_children()
    sources = Sources.of_process(Home(Path(home)))
    try:
        serve(
            sources,
            load(sources),
            lambda: {model: ServedModel(path=Path(home) / model) for model in models},
            lambda status: print(msgspec.json.encode(status).decode(), flush=True),
            [replace(role, **FAKE) for role in ROLES],
            lambda: {
                path.stem: ServedModel(path=path, costs=Costs(100 << 20, 0))
                for path in sorted(Path(home, "offered").glob("*"))
            },
            int(os.environ.get("MEMORY_MB", "0")) << 20,
        )
    except (ListenError, AlreadyRunningError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
