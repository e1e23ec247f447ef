"""Models in files of this machine, which are copied into the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from weebill.models.curated import CuratedModel, Role, find_curated
from weebill.models.errors import NotFoundError
from weebill.models.names import FileName
from weebill.models.plan import FromFile, InPlace, Plan, PlannedFile, plan_of
from weebill.models.sources.parts import choose, parts_of, shown_name


def resolve(name: str, wanted: FileName, known: CuratedModel | None) -> Plan:
    """Returns the plan of a file by its path; all parts if it is one of a split model."""
    return plan_of(name, wanted, known, _files(Path(wanted.path)))


def given(name: str, path: Path, projector: Path | None = None) -> Plan:
    """Returns the plan of a file that is given for `name`: for a curated model, it must hold that very model.

    The same is true of a `projector`.

    Raises NotFoundError.
    """
    known = find_curated(name)
    if known is None:
        files = _files(path) if projector is None else (*_files(path), *_files(projector, "projector"))
        return replace(plan_of(name, FileName(path=str(path)), None, files), source="")
    is_wheel = path.suffix == ".whl"
    paths: dict[Role, Path] = {"model": path} if projector is None else {"model": path, "projector": projector}
    files = tuple(
        PlannedFile(
            file.role,
            shown_name(file.path, [each.path for each in known.files]),
            FromFile(paths.get(file.role, path), file.path if is_wheel and len(known.files) > 1 else ""),
            file.size,
            file.sha256,
        )
        for file in known.files
        if is_wheel or file.role in paths
    )
    return plan_of(name, FileName(path=str(path)), known, files)


def of_path(name: str, path: Path) -> Plan:
    """Returns the plan of a file or a folder of this machine: a GGUF, which is copied, or safetensors, which are read
    where they are. Raises NotFoundError, ModelFormatError or ModelChoiceError.
    """
    if not path.is_dir():
        return replace(plan_of(name, FileName(path=str(path)), None, _files(path)), source="")
    inner = [str(each.relative_to(path)) for each in (*path.glob("*"), *path.glob("*/*")) if each.is_file()]
    chosen = choose(str(path), inner, "", "")
    files = tuple(
        PlannedFile(each.role, each.path, FromFile(place) if each.path.endswith(".gguf") else InPlace(place))
        for each in chosen
        for place in (path / each.path,)
    )
    return replace(plan_of(name, FileName(path=str(path)), None, files), source="")


def _files(path: Path, role: Role = "model") -> tuple[PlannedFile, ...]:
    parts = [path.with_name(part) for part in parts_of(path.name)]
    for part in parts:
        if not part.is_file():
            raise NotFoundError(f"There is no file {part}. Name a .gguf file, or a .whl file that holds one.")
    return tuple(PlannedFile(role, part.name, FromFile(part)) for part in parts)
