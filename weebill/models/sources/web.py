"""Models of any web server, by their URL."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from weebill.models.curated import CuratedModel
from weebill.models.http import Remote
from weebill.models.names import WebName, is_inner_path
from weebill.models.plan import FromServer, Plan, PlannedFile, plan_of
from weebill.models.sources.parts import parts_of


def resolve(name: str, wanted: WebName, known: CuratedModel | None) -> Plan:
    """Returns the plan of a URL; of the first part of a split model, with the URLs of the other parts."""
    url = urlsplit(wanted.url)
    folder, _, last = url.path.rpartition("/")
    shown = unquote(last)
    own = shown if is_inner_path(shown) and "/" not in shown else last
    files = []
    for part, shown_part in zip(parts_of(last), parts_of(own), strict=True):
        address = url._replace(path=f"{folder}/{part}")
        remote = Remote(url=address.geturl(), page=address._replace(query="").geturl())
        files.append(PlannedFile("model", shown_part, FromServer(remote)))
    return plan_of(name, wanted, known, tuple(files))
