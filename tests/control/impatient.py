"""The control process, but it waits for a locked ledger 0.1 s instead of 10, and its turns may take as much less."""

import runpy

from weebill.storage import database
from weebill.usage import ingestion

database.BUSY_TIMEOUT_S /= 100
ingestion.LONGEST_TURN_S /= 100
runpy.run_module("weebill.control", run_name="__main__")
