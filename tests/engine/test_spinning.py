"""Threads that wait for others sleep soon; the library that reads this is loaded after it is said."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from weebill.engine import llama
from weebill.engine.role import EngineBoot, HostSettings
from weebill.engine.spinning import limit_spinning

_VARIABLE = "GOMP_SPINCOUNT"


def test_what_the_operator_says_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(_VARIABLE, raising=False)
    limit_spinning()
    assert int(os.environ[_VARIABLE]) < 1000
    monkeypatch.setenv(_VARIABLE, "7")
    limit_spinning()
    assert os.environ[_VARIABLE] == "7"


def test_the_library_is_not_loaded_before() -> None:
    script = "import sys, weebill.engine.host, weebill.engine.probe; sys.exit('xllamacpp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("cores", "threads", "reading", "writing"), [(1, 0, 1, 1), (2, 0, 2, 1), (8, 0, 8, 4), (8, 3, 3, 3)]
)
def test_threads(monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, reading: int, writing: int) -> None:
    monkeypatch.setattr(llama, "usable_cores", lambda: cores)
    settings = HostSettings(context=1024, parallel=1, threads=threads)
    found = llama.parameters_of(EngineBoot(model="m", api_key="k", path="m.gguf", engine=settings))
    assert (found.cpuparams_batch.n_threads, found.cpuparams.n_threads) == (reading, writing)
