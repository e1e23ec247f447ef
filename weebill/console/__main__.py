"""`python -m weebill.console`: the control process, started by the supervisor."""

import asyncio
import sys

from weebill.console.process import main

sys.exit(asyncio.run(main()))
