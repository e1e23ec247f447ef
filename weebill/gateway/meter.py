"""The usage record of one request, from its arrival to the end of its answer."""

from __future__ import annotations

import time
from contextlib import suppress
from math import inf
from typing import Final, Protocol

from weebill.catalog.pricing import FREE, Tariff
from weebill.gateway.failures import unmetered
from weebill.limits.hold import Hold
from weebill.routing.attempts import Attempts
from weebill.routing.deployments import Deployment
from weebill.transport.client import Sender
from weebill.transport.tally import Tally
from weebill.usage.journal import JournalError, JournalWriter
from weebill.usage.records import OVER_BOUND, OWN_KEY, Intent, Labels, Outcome, UsageRecord
from weebill.wire.reply import MOST, Usage


class Used(Protocol):
    """Knows the usage so far: an answer, a stream under way, or an estimate."""

    @property
    def usage(self) -> Usage: ...


class _Nothing:
    usage = Usage(measured=True)


MAX_DROPPED: Final = 1024
"""The most characters about dropped fields in a record or a header."""
NOTHING: Final[Used] = _Nothing()
"""The usage of a request that no upstream has worked on."""


class Spending(Sender):
    """The usage and the state of one attempt at an upstream.

    `blame` is the outcome to record if the attempt fails at its present stage; `used` knows the usage so far, and
    `price` its tariff. `sent` says if the upstream was called, `prompt_bytes` how much of a prompt it got, `status`
    what it answered. `dropped` are the fields of the request that were passed over, `images_read` is the number of its
    images of which the model was given the text. `own_key` if it was called with its project's own key.
    """

    __slots__ = (
        "blame", "dropped", "first_byte_at", "hold", "images_read", "model_served", "own_key", "price", "prompt_bytes",
        "sent", "status", "upstream", "used",
    )  # fmt: skip

    def __init__(self) -> None:
        self.model_served = ""
        self.upstream = ""
        self.first_byte_at = 0.0
        self.blame: Outcome = "rejected"
        self.used: Used = NOTHING
        self.price = FREE
        self.prompt_bytes = 0
        self.sent = False
        self.status = 0
        self.dropped: tuple[str, ...] = ()
        self.images_read = 0
        self.hold: Hold | None = None
        self.own_key = False

    def begin(self, deployment: Deployment) -> None:
        """Starts an attempt at `deployment`."""
        self.model_served = deployment.model
        self.upstream = deployment.provider
        self.first_byte_at = 0.0
        self.blame = "rejected"
        self.used = NOTHING
        self.price = deployment.price
        self.own_key = deployment.own
        self.sent = False
        self.status = 0
        self.dropped = ()
        self.images_read = 0

    def ask(self, used: Used, prompt_bytes: int) -> None:
        """Notes that the upstream is about to be called, with `prompt_bytes` of a prompt."""
        self.prompt_bytes = prompt_bytes
        self.sent = True
        self.blame = "upstream_error"
        self.used = used


class Meter(Spending):
    """Collects the usage record of a request, and settles it exactly once. It also is the spending of the current
    attempt.

    `route` is the header line with the attempts, `attempts` the same for the record if there were several, `trying` the
    attempts under way. `checked`, `arm` and `labels` are fields of the record; `spent_nano` (None if unknown) and
    `outcome` are set by settling. With a `journal`, the request holds a `slot` in the table of intents while an
    upstream works on it.
    """

    __slots__ = (
        "_computed", "_earlier_nano", "_estimated", "_journal", "_reported", "_request_id", "_settled",
        "_started", "arm", "attempts", "checked", "endpoint", "key_id", "key_name", "labels", "model_asked",
        "outcome", "route", "slot", "spent_nano", "stream", "timeout_s", "trying",
    )  # fmt: skip

    def __init__(
        self,
        request_id: str,
        key_id: str,
        endpoint: str,
        started: float,
        key_name: str = "",
        timeout_s: float = inf,
        journal: JournalWriter | None = None,
    ) -> None:
        """`started` and `first_byte_at` are readings of `time.monotonic()` in seconds. `timeout_s` is the client's own
        timeout: `inf` if it has none, NaN if it is not a valid time.
        """
        # Repeats the base's assignments, which saves a call.
        self.model_served = ""
        self.upstream = ""
        self.first_byte_at = 0.0
        self.blame = "rejected"
        self.used = NOTHING
        self.price = FREE
        self.sent = False
        self.status = 0
        self.dropped = ()
        self.images_read = 0
        self.own_key = False
        self.prompt_bytes = 0
        self.hold = None
        self._request_id = request_id
        self.key_id = key_id
        self.key_name = key_name
        self.timeout_s = timeout_s
        self.endpoint = endpoint
        self._started = started
        self._journal = journal
        self.slot = -1
        self._settled = False
        self._earlier_nano: int | None = 0
        self._computed = self._reported = False
        self._estimated = False
        self.model_asked = ""
        self.stream = False
        self.route = b""
        self.attempts = ""
        self.trying: Attempts | None = None
        self.checked = ""
        self.arm = ""
        self.labels: Labels | None = None
        self.spent_nano: int | None = 0
        self.outcome: Outcome | None = None

    def begin(self, deployment: Deployment) -> None:
        """Starts another attempt: the last one is not the answer."""
        if self.sent:
            self.charge(self)
            super().begin(deployment)
            return
        self.model_served = deployment.model
        self.upstream = deployment.provider
        self.price = deployment.price
        self.own_key = deployment.own

    def sending(self) -> None:
        """Writes the request's intent, in case this process dies. Raises ApiError 503."""
        try:
            self._write_intent()
        except JournalError as error:
            self.blame = "rejected"
            self.sent = False
            raise unmetered() from error

    def _write_intent(self) -> None:
        """Raises JournalError."""
        self.note(self)

    def tally(self) -> Tally | None:
        """Returns the counter, in memory that outlives this process, for the events of the answer that begins."""
        if self._journal is None or self.slot < 0:
            return None
        intents = self._journal.intents
        return Tally(intents.cells, intents.count_at(self.slot))

    def charge(self, spending: Spending) -> None:
        """Adds the cost of an attempt that was paid for, but is not the answer."""
        usage = spending.used.usage
        cost = self._cost(spending.used, spending.price, usage)
        if cost != 0:
            self._earlier_nano = _sum(self._earlier_nano, cost)
            self._estimated = self._estimated or (cost is not None and not usage.measured)

    def _cost(self, used: Used, price: Tariff, usage: Usage) -> int | None:
        """Returns the cost in nano-dollars; None if unknown."""
        if used is NOTHING:
            return 0
        cost = price.cost(usage)
        if price.is_reported(usage):
            self._reported = True
        elif cost != 0:
            self._computed = True
        return cost

    def absorb(self, other: Meter) -> None:
        """Adds the cost of another meter, whose attempts were made for the same request."""
        self._earlier_nano = _sum(self._earlier_nano, other._earlier_nano)
        self._computed = self._computed or other._computed
        self._reported = self._reported or other._reported
        self._estimated = self._estimated or other._estimated
        self.charge(other)

    def parallel(self) -> Meter:
        """Returns a meter for attempts that are made for the same request at the same time."""
        return ParallelMeter(self)

    def take(self, other: Meter) -> None:
        """Takes the other meter's attempt for the answer, and charges this one's."""
        self.charge(self)
        self._earlier_nano = _sum(self._earlier_nano, other._earlier_nano)
        self._computed = self._computed or other._computed
        self._reported = self._reported or other._reported
        self._estimated = self._estimated or other._estimated
        self.route = other.route
        self.model_served = other.model_served
        self.upstream = other.upstream
        self.first_byte_at = other.first_byte_at
        self.blame = other.blame
        self.used = other.used
        self.price = other.price
        self.sent = other.sent
        self.status = other.status
        self.dropped = other.dropped
        self.images_read = other.images_read
        self.own_key = other.own_key
        if self.slot >= 0:
            with suppress(JournalError):  # the first attempt's intent is true as well
                self.note(other)

    def note(self, spending: Spending) -> None:
        """Writes or replaces the request's intent with this attempt's upstream. Raises JournalError."""
        journal = self._journal
        if journal is None:
            return
        hold = self.hold
        intent = Intent(
            self._request_id,
            self.key_id,
            self.endpoint,
            self.model_asked,
            spending.model_served,
            spending.upstream,
            self.stream,
            int((self._started + journal.epoch) * 1e6) if hold is None else hold.began_us,
            spending.prompt_bytes,
            "" if hold is None else hold.held,
            spending.own_key,
        )
        self.slot = journal.intend(intent, self.slot)

    def settle(self, status: int, outcome: Outcome) -> UsageRecord | None:
        """Returns the usage record on the first call; None after that."""
        if self._settled:
            return None
        self._settled = True
        self.outcome = outcome
        elapsed = time.monotonic() - self._started
        usage = self.used.usage
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        if prompt > MOST or completion > MOST:
            usage = usage.bounded()
            prompt, completion = usage.prompt_tokens, usage.completion_tokens
        first_byte_at, hold = self.first_byte_at, self.hold
        self.spent_nano = spent = _sum(self._earlier_nano, self._cost(self.used, self.price, usage))
        flags = OWN_KEY if self.own_key else ""
        if hold is not None and hold.exceeded(prompt + completion, spent or 0):
            flags = f"{flags},{OVER_BOUND}" if flags else OVER_BOUND
        return UsageRecord(
            self._request_id,
            self.key_id,
            self.endpoint,
            self.model_asked,
            self.model_served,
            self.upstream,
            self.stream,
            prompt,
            usage.cached_tokens,
            completion,
            usage.measured and not self._estimated,
            status,
            outcome,
            int((time.time() - elapsed) * 1e6) if hold is None else hold.began_us,
            int((first_byte_at - self._started) * 1e6) if first_byte_at else 0,
            int(elapsed * 1e6),
            usage.cache_write_tokens,
            usage.reasoning_tokens,
            spent,
            self.attempts,
            self.checked,
            self.arm,
            ",".join(self.dropped)[:MAX_DROPPED],
            self._reported and not self._computed,
            flags,
            self.labels,
            "" if hold is None else hold.held,
        )


class ParallelMeter(Meter):
    """The meter of attempts that run beside those of `main`, for the same request."""

    __slots__ = ("_main",)

    def __init__(self, main: Meter) -> None:
        super().__init__(main._request_id, main.key_id, main.endpoint, main._started, main.key_name, main.timeout_s)
        self._main = main
        self.hold = main.hold

    def _write_intent(self) -> None:
        main = self._main
        if main.slot < 0:  # the first attempt has not reached its upstream yet
            main.note(self)


def _sum(one: int | None, other: int | None) -> int | None:
    """Nano-dollars; None if either is unknown."""
    return None if one is None or other is None else one + other
