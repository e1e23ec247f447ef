"""Turns a fetched model in safetensors into a GGUF of the store, once: llama.cpp reads nothing else.

A GGUF becomes one of another quantization in the same way. Static vectors have an engine of their own, and stay as they
are.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

from weebill.models.blobs import Blobs, hash_of
from weebill.models.curated import Sampling, Task
from weebill.models.errors import ModelFormatError
from weebill.models.gguf import read_first_facts
from weebill.models.manifests import StoredFile
from weebill.models.plan import SUFFIX, Plan, Precision
from weebill.models.progress import Phase, Progress
from weebill.models.static.layout import is_static, read_vectors

_PART: Final = re.compile(r"-\d{5}-of-\d{5}$")
# Of what this version makes: the same files make the same bytes as long as it stays.
_FORMAT: Final = 2


class Converted(NamedTuple):
    """A model after its conversion, and the task and the sampling that its files say it has."""

    file: StoredFile
    task: Task
    sampling: Sampling | None


class _Made(Protocol):
    """A GGUF that is about to be written."""

    @property
    def precision(self) -> Precision: ...

    @property
    def size(self) -> int: ...

    def write(self, file: IO[bytes], wrote: Callable[[int], None]) -> None: ...


def is_to_convert(plan: Plan) -> bool:
    """True if the plan's model is one in safetensors."""
    return any(file.role == "model" and file.name.endswith(SUFFIX) for file in plan.files)


@dataclass(frozen=True)
class Converter:
    """Converts the files of one plan, under `Blobs.bringing`."""

    blobs: Blobs
    plan: Plan
    progress: Progress

    def check(self, files: Sequence[StoredFile]) -> None:
        """Raises ModelFormatError if the files beside the weights describe a model that cannot be converted."""
        from weebill.models.convert.conversion import require_convertible

        paths = self._paths(files, "config")
        if not is_static(paths):
            require_convertible(paths)
        elif self.plan.precision is not None:
            raise ModelFormatError(
                f"{self.plan.name} has static vectors, which are kept as they are: name no precision."
            )

    def keeps(self, files: Sequence[StoredFile]) -> bool:
        """True if fetched files stay as they are. Raises ModelFormatError if they cannot be served so."""
        if not is_static(self._paths(files, "config")):
            return False
        for path in self._paths(files, "model"):
            read_vectors(path)
        return True

    def convert(self, files: Sequence[StoredFile]) -> Converted:
        """Makes the GGUF of fetched files. Raises ModelError."""
        from weebill.models.convert.conversion import conversion

        licence = self.plan.licence.name if self.plan.licence else ""
        made = conversion(
            self.plan.name, self._paths(files, "model"), self._paths(files, "config"), licence, self.plan.precision
        )
        if made.warning:
            self.progress.say(made.warning)
        return Converted(self._stored(files, made, "converting"), made.task, made.sampling)

    def quantize(self, files: Sequence[StoredFile], precision: Precision) -> StoredFile:
        """Makes a GGUF of another quantization; returns the file itself if it has that already. Raises ModelError."""
        from weebill.models.convert.requantization import requantization

        model, *further = [file for file in files if file.role == "model"]
        if further:
            raise ModelFormatError(
                f"{model.name} is one of {len(files)} parts, and only a whole file can be quantized."
            )
        (path,) = self._paths([model], "model")
        if read_first_facts(path).quantization == precision:
            return model
        return self._stored([model], requantization(path, precision), "quantizing")

    def _stored(self, files: Sequence[StoredFile], made: _Made, phase: Phase) -> StoredFile:
        """Writes a GGUF that is made of these files into the store."""
        first = next(file for file in files if file.role == "model")
        name = f"{_PART.sub('', Path(first.name).stem)}-{made.precision}.gguf"

        def wrote(done: int) -> None:
            self.progress.step(name, phase, done, made.size)

        key = self._key(files, made.precision)
        with self.blobs.alone(key, lambda: 0):
            self.blobs.require_space(made.size)
            draft = self.blobs.partial / f"{key}.gguf"
            try:
                with draft.open("wb") as file:
                    made.write(file, wrote)
                    _write_out(file)
                sha256 = hash_of(draft, lambda done, size: self.progress.step(name, "verifying", done, size))
                self.blobs.publish(draft, sha256)
            finally:
                draft.unlink(missing_ok=True)
        return StoredFile(role="model", name=name, size=made.size, sha256=sha256)

    def _paths(self, files: Sequence[StoredFile], role: str) -> list[Path]:
        return [Path(file.place or self.blobs.path(file.sha256)) for file in files if file.role == role]

    def _key(self, files: Sequence[StoredFile], precision: Precision) -> str:
        parts = (str(_FORMAT), self.plan.name, precision, *(file.sha256 for file in files))
        return f"gguf-{hashlib.sha256(' '.join(parts).encode()).hexdigest()}"


def _write_out(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
