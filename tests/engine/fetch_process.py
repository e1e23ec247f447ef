"""`python -m tests.engine.fetch_process FOLDER`: fetch the tiny model, saying each phase on a line of its own.

With `pause` as second argument it stops for good in the middle of unpacking.
"""

import signal
import sys
import threading
from pathlib import Path
from types import MappingProxyType

from tests.engine.package_index import NAME, tiny_model
from weebill.engine import fetch, store
from weebill.engine.store import ModelStore, Phase


def main() -> None:
    # Whoever runs the tests in the background has them ignore it, and what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for module in (fetch, store):
        module.KNOWN_MODELS = MappingProxyType({NAME: tiny_model()})
    said: set[Phase] = set()

    def progress(phase: Phase, done: int, total: int) -> None:
        if phase not in said:
            said.add(phase)
            print(phase, flush=True)
        if sys.argv[2:] == ["pause"] and phase == "unpacking":
            threading.Event().wait()

    print(fetch.pull(ModelStore(Path(sys.argv[1])), NAME, progress))


if __name__ == "__main__":
    main()
