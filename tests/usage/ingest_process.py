"""A process that ingests until it is killed."""

from __future__ import annotations

import sys
from pathlib import Path

from weebill.storage.database import open_ledger
from weebill.storage.usage import UsageTables
from weebill.usage.ingest import Ingester

if __name__ == "__main__":
    # Small batches: many transactions to be killed in.
    ingester = Ingester(UsageTables(open_ledger(Path(sys.argv[1]))), Path(sys.argv[2]), batch_bytes=4096)
    while True:
        ingester.run()
        sys.stdout.write(".")
        sys.stdout.flush()
