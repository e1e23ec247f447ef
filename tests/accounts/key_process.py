"""A process that makes and revokes keys until it is killed, and says what it was told had been done, and when."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.fixtures.ledger import SQLITE
from weebill.accounts.errors import UnknownKeyError
from weebill.config.paths import Home
from weebill.storage.keys import open_keys


def change_until_killed(home: Home) -> None:
    """Lines of: what was done, the key's id, `time.monotonic()` before and after."""
    while True:
        for change in ("create", "revoke"):
            began = time.monotonic()
            with open_keys(home, SQLITE) as keys:
                try:
                    key = keys.create("a").key if change == "create" else keys.revoke(keys.create("b").key.id)
                except UnknownKeyError:  # it was made in a file that went, whose backup knows nothing of it
                    continue
            print(change, key.id, began, time.monotonic(), flush=True)


if __name__ == "__main__":
    change_until_killed(Home(Path(sys.argv[1])))
