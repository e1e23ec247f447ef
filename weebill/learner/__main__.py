"""`python -m weebill.learner`: the learner process, started by the supervisor."""

import asyncio
import os
import sys

# The matrices are small: more threads than one gain nothing on idle cores, and on busy ones they wait for each other,
# which takes fifty times as long. NumPy reads this when it is imported.
for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(name, "1")

from weebill.learner.process import main  # noqa: E402

sys.exit(asyncio.run(main()))
