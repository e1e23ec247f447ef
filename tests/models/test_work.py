"""Work for programs that ask over a network: what it tells, and what it refuses."""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.decoders import adapters, tiny
from tests.decoders.engine import converted
from weebill.models import work
from weebill.models.errors import ModelDamagedError
from weebill.models.jobs import Copy, Create, Delete, Failure, Job, Pull, Step, Task, Told
from weebill.models.store import ModelStore
from weebill.models.uploads import Upload, place_of

NAME = "tiny-llama:1"
UNKNOWN = "0" * 64


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    tiny.save(tmp_path / "source", tiny.FAMILIES["llama"])
    return converted(tmp_path / "source", "F16")[0].read_bytes()


def told(
    models: ModelStore, job: Job, monkeypatch: pytest.MonkeyPatch, engine: str = "llama-server"
) -> tuple[list[Step], Failure | None]:
    """What a job tells, and how it fails; with another `engine`, models are tried."""
    task = Task(folder=str(models.folder), job=job, engine=engine)
    given = io.TextIOWrapper(io.BytesIO(msgspec.json.encode(task) + b"\n"))
    out = io.TextIOWrapper(io.BytesIO())
    with monkeypatch.context() as patch:
        patch.setattr(work.sys, "stdin", given)
        patch.setattr(work.sys, "stdout", out)
        patch.setattr(work, "_end_with_parent", lambda: None)
        status = work.main()
    lines = [msgspec.json.decode(line, type=Told) for line in out.buffer.getvalue().splitlines()]  # type: ignore[attr-defined]
    failure = lines[-1].failure if lines else None
    assert status == (failure is not None)
    return [line.step for line in lines if line.step is not None], failure


def uploaded(models: ModelStore, content: bytes) -> str:
    digest = sha256(content).hexdigest()
    upload = Upload(models.folder, digest)
    upload.add(content[:1000])
    upload.add(content[1000:])
    upload.finish()
    upload.close()
    return digest


def test_a_model_of_an_uploaded_file(models: ModelStore, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = uploaded(models, content)
    job = Create(name=f"{NAME}:latest".removesuffix(":latest"), files={"a.gguf": digest}, system="Be brief.")
    steps, failure = told(models, job, monkeypatch)
    assert failure is None
    assert [steps[0].status, steps[-1].status] == ["gathering model components", "writing manifest"]
    assert Step(status="copying a.gguf", total=len(content), completed=len(content)) in steps
    assert models.find(NAME).path.read_bytes() == content
    assert not place_of(models.folder, digest).exists()
    assert told(models, Copy(name=f"{NAME}", new="second:latest"), monkeypatch) == ([], None)
    assert models.find("second").manifest.system == "Be brief."
    assert told(models, Delete(name="second:latest"), monkeypatch) == ([], None)
    assert [model.name for model in models.list()] == [NAME]


@pytest.mark.parametrize(
    ("job", "status", "said"),
    [
        (Pull(name="no-such-model"), 404, "does not know where to fetch"),
        (Pull(name="No Model"), 400, "cannot be the name of a model"),
        (Pull(name="file:/etc/passwd"), 400, "a file of the server"),
        (Copy(name="none:1", new="b"), 404, "none:1"),
        (Copy(name=NAME, new="hf:a/b"), 400, "short name"),
        (Delete(name="none:1"), 404, "none:1"),
        (Create(name="a", base="/etc/passwd"), 400, "a file of the server"),
        (Create(name="a", base=NAME, quantize="q1"), 400, "q4_0"),
        (Create(name="a", base=NAME, parameters={"num_gpu": ("1",)}), 400, "num_gpu"),
        (Create(name="a", base=NAME, template="{{ .System }}"), 400, "marks turns otherwise"),
        (Create(name="a", files={"../a": UNKNOWN}), 404, "no name of a file"),
        (Create(name="a", files={"a.gguf": UNKNOWN}), 404, "was not uploaded"),
        (Create(name="a", base=NAME, adapters={"a.gguf": UNKNOWN}), 404, "was not uploaded"),
    ],
)
def test_refusals(
    models: ModelStore, content: bytes, monkeypatch: pytest.MonkeyPatch, job: Job, status: int, said: str
) -> None:
    told(models, Create(name=NAME, files={"a.gguf": uploaded(models, content)}), monkeypatch)
    _, failure = told(models, job, monkeypatch)
    assert failure is not None
    assert failure.status == status
    assert said in failure.message
    assert [model.name for model in models.list()] == [NAME]


def test_what_no_engine_can_use_is_refused(
    models: ModelStore, content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told(models, Create(name=NAME, files={"a.gguf": uploaded(models, content)}), monkeypatch)
    nan = np.full((4, 64), np.nan, np.float32)
    adapter = adapters.save(tmp_path / "adapter.gguf", 1, blk__0__attn_v__weight__lora_a=nan).read_bytes()
    job = Create(name="a", base=NAME, adapters={"nan.gguf": uploaded(models, adapter)})
    steps, failure = told(models, job, monkeypatch, "auto")
    assert failure is not None
    assert failure.status == 400
    said = "The adapter nan.gguf cannot be used: its blk.0.attn_v.weight.lora_a has a weight that is no finite number."
    assert failure.message == said
    assert "trying a" in [step.status for step in steps]
    assert [model.name for model in models.list()] == [NAME]
    blobs = [path.name for path in (models.folder / "blobs").glob("sha256-*[!n]")]
    assert len(blobs) == 1


def test_an_upload_is_the_file_that_was_announced_or_nothing(models: ModelStore) -> None:
    upload = Upload(models.folder, UNKNOWN)
    upload.add(b"another")
    with pytest.raises(ModelDamagedError, match=f"must be {UNKNOWN}"):
        upload.finish()
    upload.close()
    assert list((models.folder / "partial").iterdir()) == []
