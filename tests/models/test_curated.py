"""The curated list is read, each of its names leads to a source, and what packages carry is what it says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from weebill.models import curated as module
from weebill.models.curated import CuratedModel, curated, find_curated, read_template
from weebill.models.names import HubName, PackageName, is_plain, parse


def test_names_and_aliases_are_of_one_model_each() -> None:
    names = [name for model in curated().values() for name in (model.name, *model.aliases)]
    assert len(names) == len(set(names))
    assert all(is_plain(name) for name in names)


def test_each_model_has_a_source_files_and_terms() -> None:
    for model in curated().values():
        source = parse(model.source)
        assert isinstance(source, HubName | PackageName), model.name
        assert any(file.role == "model" for file in model.files), model.name
        assert (model.download_bytes is not None) == isinstance(source, PackageName), model.name
        assert model.licence.url.startswith("https://") or not model.licence.must_accept, model.name
        if model.chat_template:
            assert "messages" in read_template(model.chat_template)


def test_aliases_and_latest_lead_to_the_model() -> None:
    assert find_curated("minilm") == find_curated("minilm:latest") == curated()["minilm:l6-v2"]
    assert find_curated("smollm2:135m") == curated()["smollm2:135m"]
    assert find_curated("none:7b") is None


def test_every_file_of_the_list_is_read(tmp_path: Path) -> None:
    folder = Path(module.__file__).parent / "data"
    read = sum(len(msgspec.json.decode(path.read_bytes(), type=list[CuratedModel])) for path in folder.glob("*.json"))
    assert read == len(curated())


@pytest.mark.parametrize(
    "change", [{"name": "no-tag"}, {"licence": {"name": ""}}, {"facts": []}, {"files": []}, {"typo": 1}]
)
def test_what_is_wrong_in_the_list_is_refused(change: dict[str, object]) -> None:
    whole = msgspec.to_builtins(curated()["smollm2:135m"])
    assert msgspec.convert(whole, CuratedModel).name == "smollm2:135m"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(whole | change, CuratedModel)
