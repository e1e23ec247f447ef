"""The sources of models: each makes the plan of a name, and brings nothing."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

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
from weebill.models.plan import Plan, Source
from weebill.models.sources import hub, lmstudio, local, ollama, package, web

_SOURCES: Final[Mapping[type[ModelName], Source]] = MappingProxyType(
    {
        HubName: hub.resolve,
        PackageName: package.resolve,
        WebName: web.resolve,
        FileName: local.resolve,
        OllamaName: ollama.resolve,
        LmStudioName: lmstudio.resolve,
    }
)


def resolve(name: str, source: str) -> Plan:
    """Returns the plan of the model that `source` names, to be stored as `name`. Raises ModelError."""
    wanted = parse(source)
    known: CuratedModel | None = None
    if isinstance(wanted, PlainName):
        known = find_curated(source)
        if known is None:
            near = difflib.get_close_matches(source, curated(), n=1)
            raise UnknownModelError(source, near[0] if near else "")
        wanted = parse(known.source)
    return _SOURCES[type(wanted)](name, wanted, known)
