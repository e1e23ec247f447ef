"""`weebill create --static-from`: the process of the engine."""

import os
from pathlib import Path

import pytest

from weebill.cli import models_static
from weebill.cli.errors import CommandError


def test_an_engine_that_ends_before_it_reads_is_told_with_its_reason(tmp_path: Path, monkeypatch):
    program = tmp_path / "dies"
    program.write_text("#!/bin/sh\necho 'there is no engine' >&2\nexit 3\n")
    os.chmod(program, 0o700)
    monkeypatch.setattr("sys.executable", str(program))
    more_than_a_pipe_holds = [[1] * 200_000]
    with pytest.raises(CommandError, match="made no vectors: there is no engine"):
        models_static._vectors(tmp_path / "m.gguf", more_than_a_pipe_holds, 0, lambda done: None)
