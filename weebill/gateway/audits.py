"""Audits and lessons of `auto` in one worker: which requests are drawn, what their clients got, what is reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Final, NamedTuple

from msgspec import structs

from weebill.auto.auditing import audit_probability
from weebill.auto.cascade.checks import Checks
from weebill.auto.decision import Decision
from weebill.auto.learning import Audited, Decided, Lesson, Lessons, Pair
from weebill.config.auto import AutoSettings, Tier
from weebill.gateway.meter import Meter
from weebill.gateway.reporting import Ask, Reporter
from weebill.providers.registry import dialect
from weebill.telemetry.exposition import AUTO_AUDITS, AUTO_QUALITY, AUTO_QUALITY_HIGH, AUTO_QUALITY_LOW, AUTO_SPEND
from weebill.telemetry.metrics import Metric
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import MOST, Failed, Reply

_MOST_BYTES: Final = 1 << 20
# The dialects by which answers in the format of an API are read back.
_READ_BY: Final[Mapping[str, str]] = {
    "openai.chat": "openai",
    "openai.responses": "openai-responses",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "ollama": "ollama",
}


class Audit(NamedTuple):
    """The draw for one request to `auto`: its probability, and if it was `drawn`, those of `models` that did not answer
    are asked, too.

    `models` are those of the small and the large tier, and of the middle one if it was decided for. `checks` are those
    of the small tier's answers.
    """

    auto: str
    settings: AutoSettings
    checks: Checks
    pair: Pair
    models: Mapping[Tier, str]
    probability: float = 0.0
    drawn: bool = False

    @property
    def metered_as(self) -> str:
        """The key under which it is recorded; no caller pays for it."""
        return f"audit:{self.auto}"

    @property
    def judged_by_model(self) -> bool:
        """True if the large model compares texts."""
        return self.settings.audits.judge == "large"

    @property
    def keeps_content(self) -> bool:
        """True if the texts are kept."""
        return self.settings.outcomes.keep_content


class Heard:
    """The bytes that a client got, for an audit; `then` gets them as well."""

    def __init__(self, then: Callable[[bytes], None] | None) -> None:
        self._then = then
        self._parts: list[bytes] = []
        self._room = _MOST_BYTES

    def add(self, data: bytes) -> None:
        """Takes a body, or the next part of a stream."""
        self._room -= len(data)
        if self._room >= 0:
            self._parts.append(data)
        else:
            self._parts.clear()
        if self._then is not None:
            self._then(data)

    def reply(self, native: str, *, streamed: bool) -> Reply | None:
        """Returns the answer, None if it was too long or cannot be read."""
        if self._room < 0:
            return None
        spoken, data = dialect(_READ_BY[native]), b"".join(self._parts)
        try:
            if not streamed:
                return spoken.decode(data)
            decoder, builder = spoken.stream(), ReplyBuilder()
            for event in (*decoder.feed(data), *decoder.finish()):
                if isinstance(event, Failed):
                    return None
                builder.add(event)
            return builder.reply()
        except (*UNREADABLE, UpstreamFailure):
            return None


class Audits:
    """Draws requests for audits, and reports decisions and scores to the learner."""

    def __init__(self, lessons: Lessons, ask: Ask, random: Random) -> None:
        self._lessons = lessons
        self._reporter = Reporter(ask)
        self._random = random
        self._since: dict[str, tuple[int, int]] = {}

    def lesson(self, auto: str, pair: Pair | None) -> Lesson | None:
        """Returns the newest lesson of `auto` about the pair."""
        newest = self._lessons.of(auto)
        return newest if newest is not None and newest.pair == pair else None

    def gauges(self) -> dict[Metric, dict[tuple[str, ...], float]]:
        """Returns the metrics of each virtual model, labelled with its name; those that are not known are left out."""
        known: dict[Metric, dict[tuple[str, ...], float]] = {}
        for newest in self._lessons.all():
            found = {AUTO_AUDITS: float(newest.audits)}
            if newest.quality is not None:
                metrics = (AUTO_QUALITY, AUTO_QUALITY_LOW, AUTO_QUALITY_HIGH)
                found.update(zip(metrics, newest.quality, strict=True))
            if newest.spend is not None:
                found[AUTO_SPEND] = newest.spend
            for metric, value in found.items():
                known.setdefault(metric, {})[(newest.auto,)] = value
        return known

    def draw(self, audit: Audit, *, possible: bool) -> Audit:
        """Draws for the next request; `possible` is False if the other tier must not, or cannot, be asked."""
        lesson, version, decisions, made, funded = self.lesson(audit.auto, audit.pair), 0, 0, 0, True
        if not self._lessons.heard:
            version, possible = -1, False  # there is nobody to learn from it
        elif lesson is not None:
            version, decisions, made, funded = lesson.version, lesson.decisions, lesson.made, lesson.funded
        # Those that the learner has not counted yet count here.
        seen, since = self._since.get(audit.auto, (-1, 0))
        since = 1 if seen != version else since + 1
        self._since[audit.auto] = version, since
        if not possible:
            return audit
        probability = audit_probability(audit.settings.audits, decisions + since - 1, made, funded=funded)
        return audit._replace(probability=probability, drawn=self._random.random() < probability)

    def decided(
        self,
        audit: Audit,
        decision: Decision,
        meter: Meter,
        request_id: str,
        answered: Tier,
        large_nano: int | None,
        signs: bytes,
        *,
        escalated: bool,
    ) -> None:
        """Reports a decision that was answered; `escalated` if the small tier's answer broke a rule."""
        self._reporter.report(
            audit.pair,
            Decided(
                request_id=request_id,
                key_id=meter.key_id,
                at=int(time.time()),
                tier=answered,
                features=decision.features,
                escalated=escalated,
                probability=audit.probability,
                audited=audit.drawn,
                spent_nano=_kept(meter.spent_nano),
                large_nano=_kept(large_nano),
                signs=signs,
                auto=audit.auto,
            ),
        )

    def judged(self, audit: Audit, audited: Audited) -> None:
        """Reports the scores of an audit."""
        self._reporter.report(audit.pair, structs.replace(audited, spent_nano=_kept(audited.spent_nano)))

    async def close(self) -> None:
        """Sends what is still to be reported."""
        await self._reporter.close()


def _kept(nano: int | None) -> int | None:
    """Returns a cost as it can be kept: an upstream may report any number of tokens."""
    return None if nano is None else min(nano, MOST)


def can_audit(native: str, call: Call) -> bool:
    """True if both tiers' answers to a request can be read and compared."""
    return native in _READ_BY and call.request.choices == 1
