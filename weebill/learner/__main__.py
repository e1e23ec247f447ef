"""`python -m weebill.learner`: the learner process, started by the supervisor."""

import asyncio
import sys

from weebill.learner.process import main

sys.exit(asyncio.run(main()))
