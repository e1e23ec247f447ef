"""`python -m tests.models.fetch_process FOLDER`: fetch the tiny model, saying each phase on a line of its own.

With `pause` as second argument it stops for good in the middle of unpacking.
"""

import signal
import sys
import threading
from pathlib import Path

from tests.models.package_index import NAME, know, tiny_model
from weebill.models.progress import Phase, Progress
from weebill.models.pull import pull
from weebill.models.store import ModelStore


class Told(Progress):
    """Prints each phase once."""

    def __init__(self) -> None:
        self.said: set[Phase] = set()

    def step(self, file: str, phase: Phase, done: int, total: int) -> None:
        if phase not in self.said:
            self.said.add(phase)
            print(phase, flush=True)
        if sys.argv[2:] == ["pause"] and phase == "unpacking":
            threading.Event().wait()


def main() -> None:
    # Whoever runs the tests in the background has them ignore it, and what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    know(tiny_model())
    print(pull(ModelStore(Path(sys.argv[1])), NAME, Told()).path)


if __name__ == "__main__":
    main()
