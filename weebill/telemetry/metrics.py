"""The declared metrics of a worker: names, labels and buckets, from which the layout of counter files follows."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

OTHER = "other"

# Upper bounds in microseconds, from a gateway's own errors to long generations; one more bucket is unbounded.
DURATION_BOUNDS_US: Final[tuple[int, ...]] = (
    *(1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000),
    *(1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000, 120_000_000, 300_000_000),
)


class Label(msgspec.Struct, frozen=True):
    """A dimension: `values` are declared, `room` more may occur, and further ones count as "other".

    With no room, an unknown value is a programming error.
    """

    name: str
    values: tuple[str, ...] = ()
    room: int = 0

    @property
    def size(self) -> int:
        """The number of values that have cells."""
        return len(self.values) + (self.room + 1 if self.room else 0)


class Metric(msgspec.Struct, frozen=True):
    """A family of time series, one for each combination of label values.

    `bounds` are a histogram's, in microseconds; its text is in seconds.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[Label, ...] = ()
    bounds: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """The number of cells of one series: one, or a histogram's buckets and sum."""
        return len(self.bounds) + 2 if self.bounds else 1

    @property
    def cells(self) -> int:
        """The number of cells of all its series."""
        total = self.width
        for label in self.labels:
            total *= label.size
        return total


ENDPOINT = Label("endpoint", room=31)
STATUS = Label("status", room=63)
MODEL = Label("model", room=255)
KIND = Label("kind", ("prompt", "cached", "completion"))
UPSTREAM = Label("upstream", room=63)
OUTCOME = Label("outcome", room=15)
AUTO_NAME = Label("auto", ("auto",), 32)
TARGET = Label("target", ("share", "spend"))
PART = Label("part", ("all", "own"))

REQUESTS = Metric("weebill_requests_total", "counter", "Requests answered, by status.", (ENDPOINT, STATUS))
REQUEST_SECONDS = Metric(
    "weebill_request_seconds",
    "histogram",
    "Time from a request's first byte to the end of its answer.",
    (ENDPOINT,),
    DURATION_BOUNDS_US,
)
FIRST_BYTE_SECONDS = Metric(
    "weebill_first_byte_seconds",
    "histogram",
    "Time from a request's first byte to the first byte of its answer.",
    (ENDPOINT,),
    DURATION_BOUNDS_US,
)
TOKENS = Metric("weebill_tokens_total", "counter", "Tokens used; cached is a part of prompt.", (MODEL, KIND))
UPSTREAM_REQUESTS = Metric(
    "weebill_upstream_requests_total", "counter", "Requests sent to upstreams.", (UPSTREAM, OUTCOME)
)
AUTH_FAILURES = Metric("weebill_auth_failures_total", "counter", "Requests refused for want of a valid API key.")
JOURNAL_FAILURES = Metric("weebill_journal_failures_total", "counter", "Usage records that could not be written.")
IN_FLIGHT = Metric("weebill_in_flight", "gauge", "Requests being answered now, by workers themselves.")
CONNECTIONS = Metric("weebill_connections", "gauge", "Client connections open now.")
REFUSED_KEYS = Metric(
    "weebill_refused_keys", "gauge", "Keys that an upstream refuses, or that are out of quota, now.", (UPSTREAM,)
)
RECORDING = Metric("weebill_recording", "gauge", "1 while usage can be recorded; else requests are refused.")
AUTO_THRESHOLD = Metric(
    "weebill_auto_threshold_millionths",
    "gauge",
    "From this rank of the gain on, in millionths, requests go to the large model, for a target of `auto`.",
    (AUTO_NAME, TARGET),
)
LOOP_LAG = Metric(
    "weebill_loop_lag_seconds",
    "histogram",
    "How late event loops came to what was due; own is without waits for a processor.",
    (PART,),
    DURATION_BOUNDS_US,
)
LOOP_LAG_LONGEST = Metric(
    "weebill_loop_lag_longest_microseconds",
    "gauge",
    "The latest that the event loop came to what was due, in the last one to two minutes.",
    (PART,),
)
PROCESS_START = Metric("weebill_process_start_time_seconds", "gauge", "Unix time at which the worker started.")

METRICS: tuple[Metric, ...] = (
    REQUESTS,
    REQUEST_SECONDS,
    FIRST_BYTE_SECONDS,
    TOKENS,
    UPSTREAM_REQUESTS,
    AUTH_FAILURES,
    JOURNAL_FAILURES,
    IN_FLIGHT,
    CONNECTIONS,
    REFUSED_KEYS,
    RECORDING,
    AUTO_THRESHOLD,
    LOOP_LAG,
    LOOP_LAG_LONGEST,
    PROCESS_START,
)
LABELS: tuple[Label, ...] = (ENDPOINT, STATUS, MODEL, KIND, UPSTREAM, OUTCOME, AUTO_NAME, TARGET, PART)
