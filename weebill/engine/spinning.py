"""The waiting of llama.cpp's threads for each other, which they do some hundred times for each token."""

from __future__ import annotations

import os
from typing import Final

# GNU's OpenMP spins for milliseconds before a thread sleeps. If another process has the core of the thread that all
# wait for, the others spend their cores on that: beside one busy process, two threads read a prompt at a tenth of the
# speed of one. With some microseconds the system can run the thread that is late.
_VARIABLE: Final = "GOMP_SPINCOUNT"
_SPINS: Final = 300


def limit_spinning() -> None:
    """Has threads that wait sleep soon, unless the environment says otherwise.

    The library reads it when it is loaded, so this must come before; xllamacpp brings it on Linux only.
    """
    os.environ.setdefault(_VARIABLE, str(_SPINS))
