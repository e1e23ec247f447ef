"""Models in LM Studio's folder, `publisher/model/file.gguf`, read where they are.

Its documentation (https://lmstudio.ai/docs/app/advanced/import-model) tells the layout of the folder. A file in the
user's home folder names LM Studio's own, whose settings may name another folder for models.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from weebill.models.curated import CuratedModel
from weebill.models.errors import NotFoundError
from weebill.models.names import LmStudioName
from weebill.models.plan import InPlace, Plan, PlannedFile, plan_of
from weebill.models.sources.parts import choose


class _Settings(msgspec.Struct):
    downloads_folder: str = msgspec.field(name="downloadsFolder", default="")


def resolve(name: str, wanted: LmStudioName, known: CuratedModel | None) -> Plan:
    """Returns the plan of a model's folder, or of a file in it."""
    looked = list(_folders())
    folder = next((root / wanted.repo for root in looked if (root / wanted.repo).is_dir()), None)
    if folder is None:
        raise NotFoundError(
            f"LM Studio has no model {wanted.repo} in {' or '.join(map(str, looked))}. `lms ls` lists those it has."
        )
    paths = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    chosen = choose(str(folder), paths, wanted.file, "")
    files = (PlannedFile(each.role, each.path, InPlace(folder / each.path)) for each in chosen)
    return plan_of(name, wanted, known, tuple(files))


def _folders() -> Iterator[Path]:
    """Yields where LM Studio keeps models: where its settings say, by default, and in earlier versions."""
    home = _home()
    try:
        settings = msgspec.json.decode((home / "settings.json").read_bytes(), type=_Settings)
    except (OSError, msgspec.MsgspecError):
        settings = _Settings()
    if settings.downloads_folder:
        yield Path(settings.downloads_folder)
    yield home / "models"
    yield Path.home() / ".cache" / "lm-studio" / "models"


def _home() -> Path:
    """Returns LM Studio's folder."""
    try:
        told = Path((Path.home() / ".lmstudio-home-pointer").read_text().strip())
    except (OSError, UnicodeDecodeError):
        told = Path()
    return told if told.is_absolute() and told.is_dir() else Path.home() / ".lmstudio"
