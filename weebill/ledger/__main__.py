"""`python -m weebill.ledger`: the ledger process, started by the supervisor."""

import sys

import uvloop

from weebill.ledger.process import main

sys.exit(uvloop.run(main()))
