"""Models of the hub: chosen, fetched through its own client's eyes, and refused with what to do next."""

from __future__ import annotations

import hashlib
import random
import sys
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from tests.models.hub import COMMIT, Handler, Hub, Repo
from tests.models.package_index import know, tiny_model
from tests.models.seen import Seen
from weebill.models import curated
from weebill.models.curated import CuratedFile, Fact, Licence
from weebill.models.download import Patience
from weebill.models.errors import (
    AccessError,
    GatedError,
    GoneError,
    HubMissingError,
    LicenceError,
    ModelChoiceError,
    ModelDamagedError,
    ModelError,
    ModelFormatError,
    NotFoundError,
    OfflineError,
    RateLimitError,
    RedirectError,
    ServerError,
    ShortError,
)
from weebill.models.http import client_of
from weebill.models.pull import pull
from weebill.models.sources import hub as source
from weebill.models.store import InstalledModel, ModelStore

REPO = "maker/Tiny-GGUF"
TOKEN = "hf_a-token-of-the-test"
HURRIED = Patience(tries=3, first_s=0.001, longest_s=0.01, silence_s=5.0)
SMALL = b"GGUF" + random.Random(1).randbytes(50_000)
LARGE = b"GGUF" + random.Random(2).randbytes(90_000)
EYES = b"GGUF" + random.Random(3).randbytes(9_000)
FILES = {
    "Tiny-Q4_K_M.gguf": SMALL,
    "Tiny-Q8_0.gguf": LARGE,
    "README.md": b"# Tiny",
    "imatrix.gguf": b"GGUF no model",
}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's metadata is not waited for either."""
    monkeypatch.setattr(source, "_PATIENCE", HURRIED)


def fetch(models: ModelStore, name: str, **options: object) -> InstalledModel:
    return pull(models, name, patience=HURRIED, **options)


def contents(model: InstalledModel, role: str = "model") -> list[bytes]:
    return [path.read_bytes() for _, path in model.paths(role)]


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


def status_of_blobs(status: int, **headers: str):
    def fault(handler: Handler) -> bool:
        if handler.is_of_store:
            handler.refuse(status, **headers)
        return handler.is_of_store

    return fault


def status_of_hub(status: int, **headers: str):
    def fault(handler: Handler) -> bool:
        handler.refuse(status, **headers)
        return True

    return fault


def moved(to: str):
    def fault(handler: Handler) -> bool:
        if "/resolve/" in handler.path or handler.is_of_store:
            handler.answer(302, location=to.format(handler.path))
            return True
        return False

    return fault


def sends(content: bytes, announced: int | None = None):
    def fault(handler: Handler) -> bool:
        if handler.is_of_store:
            handler.send_content(content, '"e"', announced)
        return handler.is_of_store

    return fault


FAULTS = {
    "gone": (status_of_blobs(410), GoneError, r"removed for good.*another source"),
    "no longer there": (status_of_blobs(404), NotFoundError, r"Check the name"),
    "moved in a circle": (moved("{}"), RedirectError, r"circle.*browser"),
    "moved to another protocol": (moved("ftp://127.0.0.1/x"), RedirectError, r"not private"),
    "moved to nowhere": (moved("http://[x/"), ModelError, r"redirects|not reached"),
    "refused": (status_of_blobs(403), AccessError, r"token"),
    "too often": (status_of_blobs(429), RateLimitError, r"too often.*HF_TOKEN"),
    "too often, for long": (status_of_blobs(429, retry_after="7200"), RateLimitError, r"wait for 120 minutes"),
    "failing": (status_of_blobs(500), ServerError, r"status 500.*Try again later"),
    "busy": (status_of_blobs(503, retry_after="0"), ServerError, r"status 503"),
    "teapot": (status_of_blobs(418), ServerError, r"status 418.*browser"),
    "legal reasons": (status_of_blobs(451), GoneError, r"legal"),
    "hub: too often": (status_of_hub(429), RateLimitError, r"too often"),
    "hub: failing": (status_of_hub(502), ServerError, r"status 502"),
    "hub: no hub at all": (lambda handler: handler.answer(200, b"<html>") or True, ServerError, r"HF_ENDPOINT"),
    "short": (sends(SMALL[:-100]), ModelDamagedError, r"another file"),
    "cut short each time": (sends(SMALL[:9000], len(SMALL)), ModelError, r"another file|not reached"),
    "long": (sends(SMALL + b"x"), ModelDamagedError, r"50,005 bytes.*must have 50,004"),
    "corrupt": (sends(SMALL[:-1] + b"?"), ModelDamagedError, r"SHA-256.*Nothing of it is kept"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_own_words_and_leaves_the_store_whole(hub: Hub, models: ModelStore, fault: str) -> None:
    hub.repos[REPO] = Repo(FILES)
    hub.fault, kind, said = FAULTS[fault]
    with pytest.raises(kind, match=said) as raised:
        fetch(models, f"hf:{REPO}")
    assert "secret-of-the-store" not in str(raised.value)
    assert models.list() == []
    assert list((models.folder / "blobs").glob("*")) == []
    hub.fault = lambda handler: False
    assert contents(fetch(models, f"hf:{REPO}")) == [SMALL]


def test_a_file_that_ends_early_without_a_word_is_short(hub: Hub, models: ModelStore) -> None:
    """Without a length, an end is as good as any other."""

    def fault(handler: Handler) -> bool:
        if handler.is_of_store:
            handler.send_response(200)
            handler.send_header("connection", "close")
            handler.end_headers()
            handler.wfile.write(SMALL[:20_000])
            handler.close_connection = True
        return handler.is_of_store

    hub.repos[REPO] = Repo(FILES)
    hub.fault = fault
    with pytest.raises(ShortError, match=r"ends after 20,000 of 50,004 bytes"):
        fetch(models, f"hf:{REPO}")


def test_a_passing_fault_is_outlived(hub: Hub, models: ModelStore) -> None:
    hub.repos[REPO] = Repo(FILES)
    left = [429, 500, 503]

    def fault(handler: Handler) -> bool:
        if left and handler.is_of_store:
            handler.refuse(left.pop(), retry_after="0")
            return True
        return False

    hub.fault = fault
    assert contents(pull(models, f"hf:{REPO}", patience=Patience(tries=4, first_s=0.001))) == [SMALL]


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


def test_a_wrong_token_is_told_from_none(hub: Hub, models: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.fault = status_of_hub(401, message="Invalid credentials in Authorization header")
    with pytest.raises(AccessError, match=r"refused the token") as raised:
        fetch(models, f"hf:{REPO}")
    assert TOKEN not in str(raised.value)


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
    with pytest.raises(HubMissingError, match=rf"{library}.*pip install 'weebill\[local\]'"):
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
