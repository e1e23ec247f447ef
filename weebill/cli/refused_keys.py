"""The refused keys, as the running workers report them."""

from __future__ import annotations

from typing import Final, NamedTuple

from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.routing.credentials import credentials, key_lines
from weebill.routing.notices import HealthNotice
from weebill.routing.shared import recent_notices

_WHY: Final = {"credential": "refused", "quota": "out of quota"}


class RefusedKey(NamedTuple):
    """A refused key: `key` is its place among the provider's, `model` the model that it is refused for, "" for all."""

    provider: str
    key: str
    model: str
    why: str
    again_s: float


def refused_keys(home: Home, settings: Settings) -> list[RefusedKey]:
    """Returns the refused keys of all workers, each once; none if no gateway runs."""
    found: dict[tuple[str, str], RefusedKey] = {}
    for fact in recent_notices(home.health, HealthNotice):
        if fact.what != "dead":
            continue
        provider, _, _ = fact.credential.rpartition("#")
        model = fact.subject.removeprefix(f"{provider}/")
        known = found.get((fact.credential, model))
        # Of several workers, the one that tries first.
        again_s = fact.remaining_s if known is None else min(known.again_s, fact.remaining_s)
        key = _which(fact.credential, provider, settings)
        found[fact.credential, model] = RefusedKey(provider, key, model, _WHY.get(fact.kind, fact.kind), again_s)
    return sorted(found.values())


def _which(credential: str, provider: str, settings: Settings) -> str:
    """Returns `2 of 3`, or the credential's id if it is not configured any more."""
    configured = settings.providers.get(provider)
    if configured is None:
        return credential
    known = credentials(provider, "", key_lines(configured.dialect or "openai", configured))
    for number, each in enumerate(known, 1):
        if each.id == credential:
            return f"{number} of {len(known)}"
    return credential
