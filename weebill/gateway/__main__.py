"""`python -m weebill.gateway`: a worker process, started by the supervisor."""

import sys

import uvloop

from weebill.gateway.worker import main

sys.exit(uvloop.run(main()))
