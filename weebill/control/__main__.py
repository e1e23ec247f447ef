"""`python -m weebill.control`: the control process, started by the supervisor."""

import sys

import uvloop

from weebill.control.process import main

sys.exit(uvloop.run(main()))
