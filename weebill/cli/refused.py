"""Which keys the running gateway finds refused, as its workers tell each other."""

from __future__ import annotations

from typing import Final, NamedTuple

from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.routing.credentials import credentials, key_lines
from weebill.routing.notices import HealthNotice
from weebill.routing.shared import recent_notices

_WHY: Final = {"credential": "refused", "quota": "out of quota"}


class RefusedKey(NamedTuple):
    """`key` says which of the provider's it is, `model` for which it is refused, "" for all."""

    provider: str
    key: str
    model: str
    why: str
    again_s: float


def refused_keys(home: Home, settings: Settings) -> list[RefusedKey]:
    """Those of all workers, each once; none where no gateway runs."""
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
    """`2 of 3`, or the credential's id where the configuration has it no more."""
    configured = settings.providers.get(provider)
    if configured is None:
        return credential
    known = credentials(provider, "", key_lines(configured.dialect or "openai", configured))
    for number, each in enumerate(known, 1):
        if each.id == credential:
            return f"{number} of {len(known)}"
    return credential
