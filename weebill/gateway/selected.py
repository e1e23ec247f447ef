"""The model that was selected for a request."""

from __future__ import annotations

from typing import Final, NamedTuple

from weebill.auto.cascade.checks import Checks
from weebill.auto.decision import Decision
from weebill.auto.experiments import Experiment
from weebill.config.auto import AUTO
from weebill.config.routing import Preferences
from weebill.gateway.audits import Audit

UNAVAILABLE: Final = "unavailable"
"""The reason for asking another tier when there was no answer."""


class Selected(NamedTuple):
    """The model that answers a request.

    `model` is the name to route by, and `demands` are the preferences of the name that it replaces. With a `decision`,
    which is that of `auto` or its like, `model` is its tier's, and an answer that fails one of `checks` is made anew by
    `larger`; `smaller` answers if the tier is down, "" if it must not. `arm` is the arm of the experiment, `shadow` the
    experiment whose candidate gets a copy. `audit` is there if `auto` learns from the request.
    """

    model: str
    preferences: tuple[Preferences, ...] = ()
    decision: Decision | None = None
    auto: str = AUTO
    larger: str = ""
    smaller: str = ""
    checks: Checks | None = None
    arm: str = ""
    shadow: Experiment | None = None
    demands: tuple[Preferences, ...] = ()
    audit: Audit | None = None

    def note(self, failed: str = "", *, fallen: bool = False) -> str:
        """Returns the part of the route header about the selection.

        `failed` is the check that the smaller tier failed; `fallen` if a smaller tier answers as the other cannot.
        """
        note = ""
        if self.decision is not None:
            note = f";{self.auto}:{self.decision.tier}"
            if failed:
                note += f"->{self.decision.larger}(check={failed})"
            elif not fallen:
                note += f"({self.decision.why})"
            if fallen:
                note += f"->{self.decision.smaller}({UNAVAILABLE})"
        return note + (f";experiment={self.arm}" if self.arm else "")
