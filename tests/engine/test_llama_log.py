"""What llama.cpp says is written before a process that it has failed ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("xllamacpp")

LINES = 2000
# As many as its thread does not get to write meanwhile.
SAYING = f"""
import ctypes, os
from xllamacpp import xllamacpp
from weebill.engine import llama_log
library = ctypes.CDLL(xllamacpp.__file__)
log = library._Z15common_log_mainv
log.restype = ctypes.c_void_p
say = library._Z14common_log_addP10common_log14ggml_log_levelPKcz
say.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
for number in range({LINES}):
    say(log(), 4, b"it cannot be loaded\\n")
llama_log.flush()
os._exit(1)
"""


def test_all_is_written() -> None:
    done = subprocess.run([sys.executable, "-c", SAYING], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr[-500:]
    assert (done.stdout + done.stderr).count("it cannot be loaded") == LINES
