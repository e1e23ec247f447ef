"""Models of the hub: chosen, fetched through its own client's eyes, and refused with what to do next."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from tests.models.hub import COMMIT, Hub, Repo
from tests.models.package_index import know, tiny_model
from tests.models.seen import Seen
from tests.models.tiny import EYES, FILES, LARGE, REPO, SMALL, TOKEN, contents, fetch
from weebill.models import curated
from weebill.models.curated import CuratedFile, Fact, Licence
from weebill.models.errors import (
    AccessError,
    GatedError,
    LibraryMissingError,
    LicenceError,
    ModelChoiceError,
    ModelDamagedError,
    ModelError,
    ModelFormatError,
    NotFoundError,
    OfflineError,
)
from weebill.models.http import client_of
from weebill.models.store import ModelStore


def test_the_hubs_own_client_understands_this_hub(hub: Hub, tmp_path: Path) -> None:
    hub.repos[REPO] = Repo(FILES)
    told = huggingface_hub.HfApi(endpoint=hub.origin).model_info(REPO, files_metadata=True)
    assert {each.rfilename: each.size for each in told.siblings or ()} == {
        path: len(content) for path, content in FILES.items()
    }
    for path, content in FILES.items():
        got = huggingface_hub.hf_hub_download(REPO, path, endpoint=hub.origin, cache_dir=tmp_path / "cache")
        assert Path(got).read_bytes() == content
    with pytest.raises(errors.RepositoryNotFoundError):
        huggingface_hub.HfApi(endpoint=hub.origin).model_info("maker/none")
    hub.repos["maker/gated"] = Repo(FILES, token=TOKEN, gated=True)
    with pytest.raises(errors.GatedRepoError):
        huggingface_hub.hf_hub_download(
            "maker/gated", "Tiny-Q8_0.gguf", endpoint=hub.origin, cache_dir=tmp_path / "cache", token="hf_other"
        )


def test_the_usual_quantization_is_fetched_and_kept_with_where_it_is_from(hub: Hub, models: ModelStore) -> None:
    hub.repos[REPO] = Repo(FILES)
    seen = Seen()
    model = fetch(models, f"hf:{REPO}", progress=seen)
    assert contents(model) == [SMALL]
    assert seen.steps[-1] == ("Tiny-Q4_K_M.gguf", "downloading", len(SMALL), len(SMALL))
    manifest = model.manifest
    assert (manifest.name, manifest.source, manifest.revision) == (f"hf:{REPO}", f"hf:{REPO}", COMMIT)
    assert manifest.licence == Licence(name="Apache-2.0")
    asked = len(hub.asked)
    assert fetch(models, f"hf.co/{REPO}") == model  # the same by Ollama's name, and nothing is asked again
    assert len(hub.asked) == asked


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [(":Q8_0", LARGE), (":q8_0", LARGE), (":Tiny-Q8_0.gguf", LARGE), (":Q8_0@main", LARGE), (f"@{COMMIT}", SMALL)],
)
def test_another_is_chosen(hub: Hub, models: ModelStore, chosen: str, expected: bytes) -> None:
    hub.repos[REPO] = Repo(FILES)
    assert contents(fetch(models, f"hf:{REPO}{chosen}")) == [expected]


def test_parts_and_the_projector_come_along(hub: Hub, models: ModelStore) -> None:
    parts = {f"big/Tiny-Q4_K_M-0000{n}-of-00002.gguf": b"GGUF" + bytes([n]) * 5000 for n in (1, 2)}
    hub.repos[REPO] = Repo({**parts, "mmproj-F32.gguf": LARGE, "mmproj-F16.gguf": EYES, "config.json": b"{}"})
    model = fetch(models, f"hf:{REPO}")
    assert contents(model) == list(parts.values())
    assert contents(model, "projector") == [EYES]
    assert [path.name for _, path in model.paths("model")] == [path.rpartition("/")[2] for path in parts]
    assert len({path.parent for role in ("model", "projector") for _, path in model.paths(role)}) == 1


def test_a_file_that_is_no_gguf_may_be_named(hub: Hub, models: ModelStore) -> None:
    hub.repos[REPO] = Repo({"voices/a.onnx": b"a voice", "voices/a.onnx.json": b"{}"})
    assert contents(fetch(models, f"hf:{REPO}:voices/a.onnx")) == [b"a voice"]
    with pytest.raises(ModelFormatError, match="GGUF"):
        fetch(models, f"hf:{REPO}:voices/a.onnx").served()
    assert contents(fetch(models, f"hf:{REPO}:voices/a.onnx.json")) == [b"{}"]  # the hub tells no hash of it


def test_one_content_under_two_names_is_fetched_and_kept_once(hub: Hub, models: ModelStore) -> None:
    hub.repos[REPO] = Repo(FILES)
    hub.repos["other/Copy"] = Repo({"Copy-Q4_K_M.gguf": SMALL})
    first = fetch(models, f"hf:{REPO}")
    sent = hub.sent
    second = fetch(models, "hf:other/Copy")
    assert hub.sent == sent
    assert first.path.resolve() == second.path.resolve()
    assert models.remove(f"hf:{REPO}") == 0
    assert contents(second) == [SMALL]


REFUSALS: list[tuple[dict[str, bytes], str, type[ModelError], str]] = [
    (FILES, ":Q5_K_M", ModelChoiceError, r"no Q5_K_M.*Q4_K_M, Q8_0"),
    (FILES, ":none.gguf", NotFoundError, r"no file none.gguf.*Tiny-Q4_K_M.gguf"),
    (FILES, "@elsewhere", NotFoundError, r"no such revision"),
    ({"a-Q4_K_M.gguf": SMALL, "b-Q4_K_M.gguf": LARGE}, "", ModelChoiceError, r"several.*a-Q4_K_M.gguf, b-Q4"),
    ({"a-Q5_0.gguf": SMALL, "b-Q8_0.gguf": LARGE}, "", ModelChoiceError, r"no Q4_K_M.*Q5_0, Q8_0"),
    ({"model.safetensors": SMALL}, "", ModelFormatError, r"safetensors.*-GGUF"),
    ({"a-Q4_K_M-00001-of-00002.gguf": SMALL}, "", NotFoundError, r"lacks a-Q4_K_M-00002-of-00002.gguf"),
]


@pytest.mark.parametrize(("files", "chosen", "kind", "said"), REFUSALS)
def test_what_a_repository_does_not_have_is_said_with_what_it_has(
    hub: Hub, models: ModelStore, files: dict[str, bytes], chosen: str, kind: type[ModelError], said: str
) -> None:
    hub.repos[REPO] = Repo(files)
    with pytest.raises(kind, match=said):
        fetch(models, f"hf:{REPO}{chosen}")
    assert models.list() == []


def test_the_token_goes_to_the_hub_alone(hub: Hub, models: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[REPO] = Repo(FILES, token=TOKEN)
    with pytest.raises(AccessError, match=r"private.*HF_TOKEN"):
        fetch(models, f"hf:{REPO}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert contents(fetch(models, f"hf:{REPO}")) == [SMALL]
    told = {each.host for each in hub.asked if TOKEN in each.headers.get("authorization", "")}
    assert told == {"127.0.0.1"}
    assert any(each.host == "localhost" for each in hub.asked)
    kept = [path for path in models.folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert kept == []


def test_the_hubs_token_file_counts(hub: Hub, models: ModelStore) -> None:
    hub.repos[REPO] = Repo(FILES, token=TOKEN)
    Path(constants.HF_TOKEN_PATH).write_text(f"{TOKEN}\n")
    assert contents(fetch(models, f"hf:{REPO}")) == [SMALL]


@pytest.mark.parametrize(("token", "said"), [("", r"Accept its terms at .*HF_TOKEN"), ("hf_mine", r"Accept its terms")])
def test_a_gated_model_names_the_page_of_its_terms(
    hub: Hub, models: ModelStore, monkeypatch: pytest.MonkeyPatch, token: str, said: str
) -> None:
    hub.repos[REPO] = Repo(FILES, token=TOKEN, gated=True)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(GatedError, match=said) as raised:
        fetch(models, f"hf:{REPO}")
    assert f"{hub.origin}/{REPO}" in str(raised.value)
    assert "hf_mine" not in str(raised.value)


def test_offline_asks_nobody(hub: Hub, models: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[REPO] = Repo(FILES)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineError, match=r"HF_HUB_OFFLINE"):
        fetch(models, f"hf:{REPO}")
    assert hub.asked == []


@pytest.mark.parametrize("library", ["huggingface_hub", "httpx2"])
def test_without_the_hubs_library_it_is_said_how_to_get_it(
    hub: Hub, models: ModelStore, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    hub.repos[REPO] = Repo(FILES)
    client_of.cache_clear()
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(LibraryMissingError, match=rf"{library}.*pip install 'weebill\[local\]'"):
        fetch(models, f"{hub.origin}/x.gguf" if library == "httpx2" else f"hf:{REPO}")


def test_terms_must_be_accepted_first(hub: Hub, models: ModelStore) -> None:
    hub.repos[REPO] = Repo(FILES, card={"license": "gemma"})
    with pytest.raises(LicenceError, match=r"Gemma Terms of Use.*--accept-license"):
        fetch(models, f"hf:{REPO}")
    assert hub.sent == 0
    model = fetch(models, f"hf:{REPO}", accept=lambda plan: True)
    assert model.manifest.licence is not None
    assert model.manifest.licence.must_accept


def test_a_makers_own_terms_are_shown(hub: Hub, models: ModelStore) -> None:
    own = {"license": "other", "license_name": "makers-terms", "license_link": "https://example.com/terms"}
    hub.repos[REPO] = Repo(FILES, card=own)
    licence = fetch(models, f"hf:{REPO}").manifest.licence
    assert licence == Licence(name="makers-terms", url="https://example.com/terms")


def curate(content: bytes) -> None:
    know(
        curated.CuratedModel(
            name="tiny:2m",
            aliases=("tiny2",),
            family="Tiny",
            task="vision",
            source=f"hf:{REPO}",
            files=(
                CuratedFile(path="Tiny-Q8_0.gguf", size=len(content), sha256=hashlib.sha256(content).hexdigest()),
                CuratedFile(path="mmproj.gguf", role="projector"),
            ),
            licence=Licence(name="MIT"),
            facts=(Fact(url="https://example.com/", date="2026-11-30", fields=("source",)),),
        ),
        tiny_model(),
    )


def test_a_curated_model_of_the_hub(hub: Hub, models: ModelStore, curation: None) -> None:
    hub.repos[REPO] = Repo({**FILES, "mmproj.gguf": EYES})
    curate(LARGE)
    model = fetch(models, "tiny2")
    assert (model.name, model.manifest.task, model.manifest.licence) == ("tiny:2m", "vision", Licence(name="MIT"))
    assert contents(model) == [LARGE]
    assert contents(model, "projector") == [EYES]


def test_a_curated_model_must_be_the_one_that_was_curated(hub: Hub, models: ModelStore, curation: None) -> None:
    hub.repos[REPO] = Repo({**FILES, "mmproj.gguf": EYES})
    curate(LARGE[:-1] + b"?")
    with pytest.raises(ModelDamagedError, match=r"SHA-256"):
        fetch(models, "tiny2")
    del hub.repos[REPO].files["mmproj.gguf"]
    with pytest.raises(NotFoundError, match=r"no longer has mmproj.gguf"):
        fetch(models, "tiny2")


def test_a_copy_is_fetched_again_from_where_it_came(hub: Hub, models: ModelStore) -> None:
    hub.repos[REPO] = Repo(FILES)
    fetch(models, f"hf:{REPO}")
    models.copy(f"hf:{REPO}", "mine")
    models.remove(f"hf:{REPO}")
    blob = models.find("mine").path.resolve()
    blob.unlink()
    assert contents(fetch(models, "mine")) == [SMALL]
