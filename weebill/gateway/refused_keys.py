"""Reports API keys that upstreams refuse: once in the log, and as a gauge while it lasts."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

from weebill.routing.health import Health
from weebill.routing.refusals import News
from weebill.telemetry.counters import Gauges

_WHAT: Final = {"credential": "is refused", "quota": "is out of quota"}
_TO_DO: Final = {
    "credential": "mend it at the provider, or put another into api_key of [providers.{}] and run `weebill reload`",
    "quota": "give its account more there, or wait",
}

log = logging.getLogger(__name__)


class KeyReporter:
    """Reports what one worker knows; to be called regularly."""

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges
        self._shown: Counter[str] = Counter()

    def report(self, health: Health, now: float) -> None:
        """Logs what is new, and updates the gauges."""
        if health.quiet and not self._shown and not health.refusals.news:
            return
        while health.refusals.news:
            _log(health.refusals.news.popleft())
        known = {each.credential for each in health.refusals.now(now)}
        shown = Counter(_provider(credential) for credential in known)
        for provider in {*self._shown, *shown}:
            self._gauges.set((provider,), shown[provider])
        self._shown = shown


def _log(news: News) -> None:
    provider = _provider(news.credential)
    where = news.deployment or "everything"
    if news.kind is None:
        log.info("the key of provider %s is good again for %s", provider, where, extra={"key": news.credential})
        return
    log.warning(
        "the key of provider %s %s for %s: %s; it is tried again by itself",
        provider,
        _WHAT.get(news.kind, news.kind),
        where,
        _TO_DO.get(news.kind, "look at what it says").format(provider),
        extra={"key": news.credential, "said": news.said},
    )


def _provider(credential: str) -> str:
    """Returns the provider of a credential, from its id."""
    return credential.rpartition("#")[0]
