"""The model folder of an installation: the models by name, found, listed, copied and removed.

```
manifests/   a file for each name: its files, source, licence and overrides (`manifests`)
blobs/       the contents, each once (`blobs`)
named/       for each name a folder of links to its blobs, under the names that engines expect
partial/     what is being brought
```
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from weebill.config.paths import Home
from weebill.config.schema import LocalSettings
from weebill.models import openvino, partial
from weebill.models.adapters import require_fitting
from weebill.models.blobs import Blobs
from weebill.models.curated import Role, Sampling, Task, find_curated, read_template
from weebill.models.engines import DEFAULT_ENGINE, EngineKind
from weebill.models.errors import ModelDamagedError, ModelFormatError, ModelMissingError, ModelNameError, written_to
from weebill.models.gguf import read_facts, read_first_facts, require_magic
from weebill.models.manifests import Manifest, Manifests, StoredFile, slug
from weebill.models.names import PlainName, is_plain, parse
from weebill.models.needs import Costs, costs_of
from weebill.models.progress import SILENT, Progress
from weebill.models.static.layout import TOKENIZER, is_kept_static, read_vectors, static_costs
from weebill.models.takeover import take_over
from weebill.models.tasks import Serving, serving
from weebill.models.templating import Beginning
from weebill.models.trial import Trial, trial_by

# Bytes; what may come before it has room in the 255 that file systems allow.
_LONGEST_LINK: Final = 200


class InstalledModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the store. `path` is its file that an engine opens, the first of several parts."""

    manifest: Manifest
    path: Path
    verified: bool

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def size(self) -> int:
        """The bytes of all its files."""
        return self.manifest.size

    @property
    def purpose(self) -> Task | None:
        """The task that it is meant for, None if nobody has said one; its files tell that it reads images."""
        return "vision" if self.manifest.of_role("projector") else self.manifest.task

    @property
    def projector(self) -> Path | None:
        """The file by which an engine reads images; None for a model that reads none."""
        return next((path for _, path in self.paths("projector")), None)

    def paths(self, role: Role) -> tuple[tuple[StoredFile, Path], ...]:
        """Returns the files of a role, each with its path under the name that engines expect."""
        names = _link_names(self.manifest.files)
        return tuple((file, self.path.parent / names[file]) for file in self.manifest.of_role(role))

    def served(self) -> ServedModel:
        """Returns what an engine is told. Raises ModelFormatError if the model is of no format that an engine reads, or
        has an adapter of another model.
        """
        if is_kept_static(self.manifest):
            return self._served_static()
        require_magic(self.path, f"{self.name} ({self.path})")
        facts = read_first_facts(self.path)
        task = serving(self.manifest.task, facts)
        known = find_curated(self.name)
        projector = self.projector if task == "chat" else None
        adapters = tuple(Adapter(file.sha256, path, file.size) for file, path in self.paths("adapter"))
        for adapter in adapters:
            require_fitting(adapter.path, tuple(path for _, path in self.paths("model")))
        size = self.size - sum(adapter.size for adapter in adapters)
        has_more = projector is not None or bool(adapters)
        no_openvino = openvino.refusal(facts, task, has_more, len(self.manifest.of_role("model")))
        return ServedModel(
            path=self.path,
            task=task,
            costs=costs_of(size, task, facts, None if projector is None else read_first_facts(projector)),
            trained_context=facts.context or 0,
            dimensions=facts.embedding or 0 if task == "embed" else 0,
            is_pooled=bool(facts.pooling),
            sampling=self.manifest.sampling or Sampling(),
            chat_template=self._template(),
            beginning=Beginning(self.manifest.system, self.manifest.messages),
            context=self.manifest.context,
            adapters=adapters,
            projector=projector,
            aliases=() if known is None or known.name != self.name else known.aliases,
            files=" ".join(file.sha256 for file in self.manifest.files if file.role != "adapter"),
            sha256=(self.manifest.of_role("model") or self.manifest.files)[0].sha256,
            openvino=None if no_openvino else openvino.costs_of(size, facts),
            openvino_refusal=no_openvino,
            openvino_rounds=openvino.is_rounded(facts),
        )

    def _served_static(self) -> ServedModel:
        vectors = read_vectors(self.path)
        known = find_curated(self.name)
        tokenizer = next((path for file, path in self.paths("config") if file.name.endswith(TOKENIZER)), None)
        if tokenizer is None:
            raise ModelFormatError(f"{self.name} has no {TOKENIZER}, without which its vectors are of no use.")
        return ServedModel(
            path=self.path,
            kind="static",
            task="embed",
            costs=static_costs(self.size, vectors, tokenizer),
            dimensions=vectors.dimensions,
            is_pooled=True,
            context=self.manifest.context,
            tokenizer=tokenizer,
            aliases=() if known is None or known.name != self.name else known.aliases,
            files=" ".join(file.sha256 for file in self.manifest.files),
        )

    def _template(self) -> str | None:
        """Returns what replaces the template of the file, None for nothing."""
        manifest = self.manifest
        if not manifest.template and manifest.chat_template is None:
            return None
        return manifest.template or own_template(manifest, self.path)


class Adapter(NamedTuple):
    """A LoRA adapter, by the hash of its file; its `size` is in bytes."""

    sha256: str
    path: Path
    size: int


class ServedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as an engine is told of it: its file, and what overrides the file's own sampling and template.

    `kind` is that of its engine, `costs` are those of its host, without adapters. `trained_context` is the longest text
    that it was trained for in tokens, 0 if that is not known; `dimensions` the length of its vectors, 0 if it makes
    none. `is_pooled` is True if its file says how it makes one vector of a text's. `aliases` are further names by the
    curated list; `context` is in tokens, 0 for the configured one. With a `projector` it reads images. `tokenizer` is
    the file of one that the model's own does not hold. `files` tell its files from those of others, but for adapters;
    "" for what is not known. `sha256` is that of its first file; `openvino` are the costs of a host that serves it by
    OpenVINO, None if it does not, for the reason `openvino_refusal`; that `openvino_rounds` some weights anew.
    """

    path: Path
    kind: EngineKind = DEFAULT_ENGINE
    task: Serving = "chat"
    costs: Costs = Costs(0, 0)
    trained_context: int = 0
    dimensions: int = 0
    is_pooled: bool = False
    sampling: Sampling = Sampling()
    chat_template: str | None = None
    beginning: Beginning = Beginning()
    context: int = 0
    adapters: tuple[Adapter, ...] = ()
    projector: Path | None = None
    tokenizer: Path | None = None
    aliases: tuple[str, ...] = ()
    files: str = ""
    sha256: str = ""
    openvino: Costs | None = None
    openvino_refusal: str = ""
    openvino_rounds: bool = False


class ModelStore:
    """The models of one folder; any number of processes may use the same folder."""

    def __init__(self, folder: Path, trial: Trial | None = None) -> None:
        """Without a `trial`, files get names untried."""
        self.folder = folder
        self.trial = trial
        self.blobs = Blobs(folder)
        self.manifests = Manifests(folder / "manifests")
        self._named = folder / "named"

    @classmethod
    def of(cls, settings: LocalSettings, home: Home) -> ModelStore:
        """Returns the store that `[local] models_dir` names, or else the one in the home folder."""
        folder = Path(settings.models_dir).expanduser() if settings.models_dir else home.models
        return cls(folder, trial_by(settings.engine.engine))

    def take_over(self, progress: Progress = SILENT) -> None:
        """Makes this release's models of those of earlier ones, and of GGUF files that were put into the folder."""
        take_over(self.blobs, self.manifests, progress)

    def canonical(self, text: str) -> str:
        """Returns the name that a model is stored under: an alias of the curated list is its model's name.

        A model of one's own that has such a name comes first, also if `text` adds `:latest` to it, as Ollama does.
        Raises ModelNameError.
        """
        name = parse(text)
        if not isinstance(name, PlainName):
            return str(name)
        for own in dict.fromkeys((str(name), str(name).removesuffix(":latest"))):
            if self.manifests.read(own) is not None:
                return own
        known = find_curated(str(name))
        return known.name if known is not None else str(name)

    def list(self, progress: Progress = SILENT) -> list[InstalledModel]:
        """Returns the models, by name."""
        self.take_over(progress)
        return [self._linked(manifest) for manifest in self.manifests.all()]

    def find(self, text: str, progress: Progress = SILENT) -> InstalledModel:
        """Returns a model whose files are verified, hashing those that have changed since they were last.

        Raises ModelNameError, ModelMissingError or ModelDamagedError.
        """
        self.take_over(progress)
        name = self.canonical(text)
        manifest = self.manifests.read(name)
        if manifest is None:
            raise ModelMissingError(name, self.folder, known=self._is_fetchable(name))
        for file in manifest.files:
            self._verify(manifest, file, progress)
        return self._linked(manifest)

    def record(self, manifest: Manifest) -> InstalledModel:
        """Gives a name to files that are in the store, in place of earlier ones; to be called under `bringing`."""
        self.manifests.write(manifest)
        return self._linked(manifest)

    @contextlib.contextmanager
    def laid_out(self, manifest: Manifest) -> Iterator[InstalledModel]:
        """Yields a model that has no name yet, whose links are gone afterwards; to be called under `bringing`."""
        with written_to(self.folder):
            self.blobs.partial.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Of its own: others may bring the same name at once, in containers also under the same process id.
            folder = Path(tempfile.mkdtemp(prefix=f"{slug(manifest.name)}.", dir=self.blobs.partial))
        try:
            self._link(manifest, folder)
            yield _installed(manifest, folder, verified=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def copy(self, text: str, new: str) -> None:
        """Gives a model a second name, at no cost of space. Raises ModelNameError or ModelMissingError."""
        if not is_plain(new):
            raise ModelNameError(new, "a copy has a short name of its own", "my-model:7b")
        with self.blobs.bringing():
            manifest = self.find(text).manifest
            self.record(msgspec.structs.replace(manifest, name=new, added=int(time.time())))

    def remove(self, text: str) -> int:
        """Removes a name, and the files that no other name has; returns the bytes freed.

        Files that another program owns stay. A host that has the model loaded keeps it until it ends. Raises
        ModelNameError or ModelMissingError.
        """
        self.take_over()
        name = self.canonical(text)
        removed = self.manifests.remove(name)
        shutil.rmtree(self._named / slug(name), ignore_errors=True)
        freed = self.collect(name)
        if not removed and not freed:
            raise ModelMissingError(name, self.folder, known=self._is_fetchable(name))
        return freed

    def collect(self, given_up: str = "") -> int:
        """Removes files that no name has, and what was left half fetched of `given_up`; returns the bytes freed.

        Does nothing while something is being fetched: the last fetch to end does it.
        """
        with contextlib.ExitStack() as stack:
            if not stack.enter_context(self.blobs.at_rest()) or self.manifests.unreadable():
                return 0
            named = frozenset[str]().union(*(manifest.blobs() for manifest in self.manifests.all()))
            freed = partial.remove_of_model(self.blobs.partial, given_up) if given_up else 0
            return freed + self.blobs.collect(named)

    def _is_fetchable(self, name: str) -> bool:
        return not is_plain(name) or find_curated(name) is not None

    def _linked(self, manifest: Manifest) -> InstalledModel:
        """Returns a model after making its links, where they are not as they should be."""
        folder = self._named / slug(manifest.name)
        self._link(manifest, folder)
        verified = all(
            _is_as_verified(file) if file.place else self.blobs.is_verified(file.sha256) for file in manifest.files
        )
        return _installed(manifest, folder, verified)

    def _verify(self, manifest: Manifest, file: StoredFile, progress: Progress) -> None:
        again = _again(manifest)
        if file.place:
            if not _is_as_verified(file):
                raise ModelDamagedError(
                    f"{file.place}, which {manifest.name} reads in place, has changed or is gone. {again}"
                )
            return
        try:
            self.blobs.verify(file.sha256, lambda done, size: progress.step(file.name, "verifying", done, size))
        except FileNotFoundError:
            raise ModelDamagedError(f"{file.name} of {manifest.name} is gone from {self.folder}. {again}") from None
        except ModelDamagedError as error:
            raise ModelDamagedError(f"{error} {again}") from None

    def _link(self, manifest: Manifest, folder: Path) -> None:
        names = _link_names(manifest.files)
        with written_to(self.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for old in folder.glob("[!.]*"):
                if old.name not in names.values():
                    old.unlink(missing_ok=True)
            for file, name in names.items():
                target = file.place or os.path.relpath(self.blobs.path(file.sha256), folder)
                link = folder / name
                if not (link.is_symlink() and os.readlink(link) == target):
                    draft = folder / f".{os.getpid()}"
                    draft.unlink(missing_ok=True)
                    draft.symlink_to(target)
                    draft.replace(link)


def own_template(manifest: Manifest, path: Path) -> str:
    """Returns the template of a model, whose first file is at `path`, but for what it was created with; "" for none.

    Raises ModelFormatError or OSError.
    """
    known = manifest.chat_template
    if known is not None:
        return read_template(known)
    return "" if is_kept_static(manifest) else read_facts(path).chat_template


def _link_names(files: tuple[StoredFile, ...]) -> dict[StoredFile, str]:
    """Returns the name of each file's link: the end of its own, with its role before it where two have the same."""
    found: dict[StoredFile, str] = {}
    for file in files:
        own = os.fsencode(Path(file.name).name)[-_LONGEST_LINK:].decode(errors="ignore")
        taken = found.values()
        prefixes = itertools.chain(("", f"{file.role}-"), (f"{number}-" for number in itertools.count(2)))
        found[file] = next(f"{prefix}{own}" for prefix in prefixes if f"{prefix}{own}" not in taken)
    return found


def _installed(manifest: Manifest, folder: Path, verified: bool) -> InstalledModel:
    first = (manifest.of_role("model") or manifest.files)[0]
    return InstalledModel(manifest=manifest, path=folder / _link_names(manifest.files)[first], verified=verified)


def _is_as_verified(file: StoredFile) -> bool:
    try:
        status = os.stat(file.place)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns)


def _again(manifest: Manifest) -> str:
    source = "" if manifest.source else " --from FILE.gguf"
    return f"Replace it with: weebill rm {manifest.name} && weebill pull {manifest.name}{source}"
