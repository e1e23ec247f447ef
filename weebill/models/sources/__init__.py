"""The sources of models: each makes the plan of a name, and brings nothing."""

from __future__ import annotations

import difflib

from weebill.models.curated import CuratedModel, curated, find_curated
from weebill.models.errors import UnknownModelError
from weebill.models.names import (
    FileName,
    HubName,
    LmStudioName,
    ModelName,
    OllamaName,
    PackageName,
    PlainName,
    WebName,
    parse,
)
from weebill.models.plan import Plan
from weebill.models.sources import hub, lmstudio, local, ollama, package, web


def resolve(name: str, source: str) -> Plan:
    """Returns the plan of the model that `source` names, to be stored as `name`. Raises ModelError."""
    return _resolve(name, parse(source), None)


def _resolve(name: str, wanted: ModelName, known: CuratedModel | None) -> Plan:
    """Returns a plan; `known` is the model's entry of the curated list, if its name led here."""
    match wanted:
        case PlainName():
            found = _curated(str(wanted))
            return _resolve(name, parse(found.source), found)
        case HubName():
            return hub.resolve(name, wanted, known)
        case PackageName():
            return package.resolve(name, wanted, known)
        case WebName():
            return web.resolve(name, wanted, known)
        case FileName():
            return local.resolve(name, wanted, known)
        case OllamaName():
            return ollama.resolve(name, wanted, known)
        case LmStudioName():
            return lmstudio.resolve(name, wanted, known)


def _curated(name: str) -> CuratedModel:
    known = find_curated(name)
    if known is None:
        near = difflib.get_close_matches(name, curated(), n=1)
        raise UnknownModelError(name, near[0] if near else "")
    return known
