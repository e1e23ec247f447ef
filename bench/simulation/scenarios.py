"""What goes wrong: a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.simulation.servers import Fault, ServerPlan

_NAMES: Final = "abcdefgh"


@dataclass(frozen=True)
class Scenario:
    """`rate` requests a second for `seconds`, at `servers`; callers wait for `deadline_s`.

    `dead` is the name of a server that ought to be dropped as soon as its first fault begins and, if that ends, taken
    back; "" if there is none.
    """

    name: str
    what: str
    servers: tuple[ServerPlan, ...]
    rate: float = 40.0
    seconds: float = 120.0
    deadline_s: float = 30.0
    dead: str = ""

    @property
    def trouble(self) -> tuple[float, float]:
        """From when to when anything is wrong."""
        faults = [fault for server in self.servers for fault in server.faults]
        return min((fault.begin for fault in faults), default=0.0), max((fault.end for fault in faults), default=0.0)


def _servers(count: int, *faults: Fault, faulty: int = 1, **how: float) -> tuple[ServerPlan, ...]:
    """So many, of which the first `faulty` have `faults`."""
    return tuple(
        ServerPlan(name, faults if position < faulty else (), **how)  # type: ignore[arg-type]
        for position, name in enumerate(_NAMES[:count])
    )


SCENARIOS: Final = (
    Scenario("steady", "four servers, all well", _servers(4)),
    Scenario("uneven", "four servers, the slowest takes four times as long as the fastest", tuple(
        ServerPlan(name, mean_s=mean_s) for name, mean_s in zip(_NAMES, (0.4, 0.8, 1.2, 1.6), strict=False)
    )),
    Scenario("outage", "one of two refuses connections for 40 s", _servers(2, Fault("down", 30, 70)), dead="a"),
    Scenario("hang", "one of three accepts and never answers for 40 s", _servers(3, Fault("hang", 30, 70)), dead="a"),
    Scenario("brown-out", "one of three fails 30 % and is five times slower for 60 s",
             _servers(3, Fault("errors", 30, 90, share=0.3, slower=5.0), slots=128)),
    Scenario("429 storm", "two of three admit 2 requests/s for 60 s, Retry-After: 4",
             _servers(3, Fault("limit", 30, 90, rate=2.0, retry_after=4.0), faulty=2)),
    Scenario("slow start", "one of three is down for 20 s, then takes 40 s to come up to its capacity",
             _servers(3, Fault("down", 30, 50), Fault("cold", 50, 90), slots=24, queue=12), dead="a"),
    Scenario("herd", "four of eight are down for 20 s; cold, too much at once brings them down again for 5 s",
             _servers(8, Fault("down", 30, 50), Fault("cold", 50, 80, crash_s=5.0), faulty=4, slots=16, queue=16),
             rate=80.0, dead="a"),
    Scenario("overload", "two of four are down for 30 s, and the others have 80 % of the slots that are needed",
             _servers(4, Fault("down", 30, 60), faulty=2, slots=13, queue=13)),
    Scenario("long outage", "one of three refuses connections for 5 minutes",
             _servers(3, Fault("down", 30, 330)), rate=10.0, seconds=450.0, dead="a"),
    Scenario("credential", "one of three refuses its key from 30 s on", _servers(3, Fault("key", 30)), dead="a"),
    Scenario("flapping", "one of three is down 5 s of every 10",
             _servers(3, *(Fault("down", at, at + 5) for at in range(30, 90, 10)))),
    Scenario("all down", "both are down for 10 s", _servers(2, Fault("down", 30, 40), faulty=2)),
)  # fmt: skip
