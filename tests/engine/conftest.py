"""What tests share whose subject is a host, and not what its model says."""

import pytest

from tests.decoders import tiny
from tests.decoders.engine import converted
from weebill.models.store import ServedModel


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """One of random weights, which is loaded in a tenth of the time."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny.save(folder, tiny.FAMILIES["llama"], max_position_embeddings=4096)
    return ServedModel(path=converted(folder, "F32")[0])
