"""The ledger process, but it waits for a locked ledger 0.1 s instead of 10, and its turns may take as much less."""

import runpy

from weebill.ledger import ingestion
from weebill.storage import opening

opening.BUSY_TIMEOUT_S /= 100
ingestion.LONGEST_TURN_S /= 100
runpy.run_module("weebill.ledger", run_name="__main__")
