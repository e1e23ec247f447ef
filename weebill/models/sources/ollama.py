"""Models in Ollama's store, read where they are.

Its layout is that of Ollama's source (`manifest/`, `types/model/name.go`, `envconfig/config.go`): a manifest at
`manifests/HOST/NAMESPACE/MODEL/TAG` names layers by their media type and digest, and `blobs/sha256-HEX` holds each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from weebill.models.curated import CuratedModel, Licence, Role, Sampling
from weebill.models.errors import ModelDamagedError, ModelFormatError, NotFoundError, ReadOnlyError
from weebill.models.names import OllamaName
from weebill.models.plan import InPlace, Plan, PlannedFile, plan_of

_TYPE: Final = "application/vnd.ollama.image."
_ROLES: Final[dict[str, Role]] = {
    f"{_TYPE}model": "model",
    f"{_TYPE}projector": "projector",
    f"{_TYPE}adapter": "adapter",
    f"{_TYPE}draft": "draft",
}
_DIGEST: Final = re.compile(r"sha256[:-]([0-9a-f]{64})")
_MOST_TEXT: Final = 1 << 20
# First words of licences' texts, with their SPDX identifiers.
_LICENCES: Final = (("Apache License", "Apache-2.0"), ("MIT License", "MIT"))


class Layer(msgspec.Struct, frozen=True):
    """A file of a model: its media type, its digest `sha256:HEX`, its size in bytes."""

    digest: str
    media_type: str = msgspec.field(name="mediaType", default="")
    size: int = 0


class OllamaManifest(msgspec.Struct, frozen=True):
    """The part of Ollama's manifest that is read."""

    layers: tuple[Layer, ...] = ()


class _Parameters(msgspec.Struct, frozen=True):
    """The part of the layer of parameters that has a counterpart here."""

    temperature: float | None = None
    top_p: float | None = None
    repeat_penalty: float | None = None


def resolve(name: str, wanted: OllamaName, known: CuratedModel | None) -> Plan:
    """Returns the plan of a model that Ollama has."""
    looked = tuple(stores())
    inner = Path("manifests", wanted.host, wanted.namespace, wanted.model, wanted.tag)
    root = next((root for root in looked if _is_there(root / inner)), None)
    if root is None:
        raise NotFoundError(
            f"Ollama has no model {str(wanted).removeprefix('ollama:')} in {' or '.join(map(str, looked))}. `ollama "
            "list` shows those it has; OLLAMA_MODELS names another folder."
        )
    manifest = _manifest(root / inner)
    files = tuple(_files(root, manifest))
    if not any(file.role == "model" for file in files):
        raise ModelFormatError(f"{wanted} is not kept as GGUF by Ollama, so Weebill cannot run it. Take another model.")
    return plan_of(name, wanted, known, files, licence=_licence(root, manifest), sampling=_sampling(root, manifest))


def stores() -> Iterator[Path]:
    """Yields where Ollama may keep models: where OLLAMA_MODELS says, or else for this user and as a service."""
    if configured := os.environ.get("OLLAMA_MODELS", "").strip():
        yield Path(configured)
        return
    yield Path.home() / ".ollama" / "models"
    yield Path("/usr/share/ollama/.ollama/models")


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError as error:
        raise ReadOnlyError(path, f"{error.strerror}; it is read only, but you may not even do that") from None


def _manifest(path: Path) -> OllamaManifest:
    try:
        return msgspec.json.decode(path.read_bytes(), type=OllamaManifest)
    except msgspec.MsgspecError as error:
        raise ModelDamagedError(
            f"{path} is no manifest of Ollama ({error}). Pull the model again with Ollama."
        ) from None


def _files(root: Path, manifest: OllamaManifest) -> Iterator[PlannedFile]:
    for layer in manifest.layers:
        if (role := _ROLES.get(layer.media_type)) is None:
            continue
        path, sha256 = _blob(root, layer)
        if not path.is_file():
            raise ModelDamagedError(f"{path} is gone. Pull the model again with Ollama.")
        yield PlannedFile(role, f"{role}-{sha256[:12]}.gguf", InPlace(path), layer.size, sha256)


def _blob(root: Path, layer: Layer) -> tuple[Path, str]:
    found = _DIGEST.fullmatch(layer.digest)
    if found is None:
        raise ModelDamagedError(
            f"A manifest of Ollama in {root} names {layer.digest!r}. Pull the model again with Ollama."
        )
    return root / "blobs" / f"sha256-{found[1]}", found[1]


def _text(root: Path, manifest: OllamaManifest, kind: str) -> str:
    """Returns the text of the first layer of a kind, "" if there is none."""
    for layer in manifest.layers:
        if layer.media_type == f"{_TYPE}{kind}":
            try:
                with _blob(root, layer)[0].open("rb") as file:
                    return file.read(_MOST_TEXT).decode(errors="replace")
            except OSError:
                return ""
    return ""


def _licence(root: Path, manifest: OllamaManifest) -> Licence | None:
    text = _text(root, manifest, "license").strip()
    if not text:
        return None
    first = text.splitlines()[0].strip()
    return Licence(name=next((spdx for words, spdx in _LICENCES if first.startswith(words)), first[:80]))


def _sampling(root: Path, manifest: OllamaManifest) -> Sampling | None:
    text = _text(root, manifest, "params")
    try:
        told = msgspec.json.decode(text, type=_Parameters)
    except msgspec.MsgspecError:
        return None
    default = Sampling()
    found = Sampling(
        temperature=default.temperature if told.temperature is None else told.temperature,
        top_p=default.top_p if told.top_p is None else told.top_p,
        repetition_penalty=default.repetition_penalty if told.repeat_penalty is None else told.repeat_penalty,
    )
    return None if found == default else found
