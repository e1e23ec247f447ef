"""The engines by kind: all can be had, and one whose packages are missing says what installs them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest

from tests.engine.host_process import host
from weebill.engine.kinds import KINDS
from weebill.models.engines import EngineKind
from weebill.models.store import ServedModel
from weebill.process.messages import Failed


def test_a_kind_of_the_table_is_one_that_models_may_have() -> None:
    assert set(KINDS) <= set(get_args(EngineKind))
    assert {"llama.cpp", "static"} <= set(KINDS)


@pytest.mark.parametrize(("kind", "package"), [("llama.cpp", "xllamacpp"), ("static", "tokenizers")])
def test_an_engine_that_is_not_installed_says_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: EngineKind, package: str
) -> None:
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('No module named {package}')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    with host(tmp_path) as running:
        running.boot(ServedModel(path=tmp_path / "model", kind=kind), "a:1")
        failed = running.receive()
        assert isinstance(failed, Failed)
        assert failed.message == (
            f"The engine is not installed (No module named {package}). Install it with: pip install 'weebill[local]'"
        )
        assert running.exit_code() == 1
