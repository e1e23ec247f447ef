"""Short rounds of load on one Weebill, and what they take of the processor."""

from __future__ import annotations

from typing import Final, NamedTuple

from bench.contenders import Endpoint
from bench.load import Load, LoadResult
from bench.measure import generate
from bench.proc import BenchError, Service, cpu_by_process
from bench.upstream import REPLY_TEXT

_WARMUP_S: Final = 0.3


class Spent(NamedTuple):
    """A round, and the processor's microseconds per request; `worker_us` is the gateway worker's part of `cpu_us`."""

    result: LoadResult
    cpu_us: float
    worker_us: float


def load_round(endpoint: Endpoint, service: Service, seconds: float, connections: int) -> Spent:
    """Loads one model for `seconds`. Raises BenchError if a request failed, or none was answered."""
    load = Load(
        port=endpoint.port, request=endpoint.request(), content=REPLY_TEXT, connections=connections,
        warmup_s=_WARMUP_S, seconds=seconds,
    )  # fmt: skip
    before = cpu_by_process(service.pid)
    result = generate("bench.load", load, LoadResult)
    after = cpu_by_process(service.pid)
    if result.errors or not result.requests:
        raise BenchError(f"{result.errors} errors, the first: {result.first_error or service.log_end()}")
    spent = {name: after[name] - before.get(name, 0.0) for name in after}
    return Spent(result, 1e6 * sum(spent.values()) / result.total, 1e6 * spent["weebill.gateway"] / result.total)
