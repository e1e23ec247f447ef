"""`python -m weebill.control`: the control process, started by the supervisor."""

import asyncio
import sys

from weebill.control.process import main

sys.exit(asyncio.run(main()))
