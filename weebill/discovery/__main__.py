"""`python -m weebill.discovery`: the discovery process, started by the supervisor."""

import asyncio
import sys

from weebill.discovery.process import main

sys.exit(asyncio.run(main()))
