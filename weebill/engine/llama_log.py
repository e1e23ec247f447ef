"""llama.cpp's log: a thread of its own writes what the others leave in a queue.

xllamacpp has no function that waits for it, but its library exports llama.cpp's
(https://github.com/ggml-org/llama.cpp/blob/master/common/log.h).
"""

from __future__ import annotations

import ctypes

from xllamacpp import xllamacpp


def flush() -> None:
    """Returns once all that was said is written: a process that ends before loses why it failed."""
    library = ctypes.CDLL(xllamacpp.__file__)
    log = library._Z15common_log_mainv
    log.restype = ctypes.c_void_p
    written = library._Z16common_log_flushP10common_log
    written.argtypes, written.restype = [ctypes.c_void_p], None
    written(log())
