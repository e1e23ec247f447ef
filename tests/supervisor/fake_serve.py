"""`weebill serve` with fake children: fake_serve.py HOME MODEL..."""

import sys
from pathlib import Path

import msgspec

from weebill.config.load import Sources, load
from weebill.config.paths import Home
from weebill.supervisor.child import RolePolicy
from weebill.supervisor.listeners import ListenError
from weebill.supervisor.lock import AlreadyRunningError
from weebill.supervisor.serve import serve

POLICY = RolePolicy((sys.executable, str(Path(__file__).with_name("fake_child.py"))), 4.0, 1.0, 0.02, 0.3, 1.0)


def main() -> None:
    home, *models = sys.argv[1:]
    sources = Sources.of_process(Home(Path(home)))
    try:
        serve(
            sources,
            load(sources),
            lambda: {model: Path(home) / model for model in models},
            lambda status: print(msgspec.json.encode(status).decode(), flush=True),
            {"control": POLICY, "engine": POLICY, "worker": POLICY},
        )
    except (ListenError, AlreadyRunningError) as error:
        sys.exit(f"error: {error}")


main()
