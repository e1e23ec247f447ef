"""Judges a server by its answers about its models and its health. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from weebill.routing.listed_models import models_in
from weebill.routing.servers import Status

_TOO_MANY: Final = 429


class Answer(NamedTuple):
    """A server's answer: its status and its body. Without an answer, the status is 0, and `lost` says why.

    `late` if it was a matter of time only.
    """

    status: int
    body: bytes = b""
    lost: str = ""
    late: bool = False


class Judgement(NamedTuple):
    """The state that answers tell of, and the reason if it is not ready."""

    status: Status
    why: str = ""


def judged(health: Answer | None, models: Answer) -> Judgement:
    """Returns the state by the answers to the questions for health (None if not asked) and models."""
    for answer, about in ((models, "models"), (health, "health")):
        if answer is None:
            continue
        if not answer.status:
            return Judgement("down", answer.lost)
        if answer.status >= 500 or answer.status == _TOO_MANY:
            return Judgement("unready", f"it answers {answer.status} to a question about its {about}")
    if models.status != 200:
        return Judgement("unknown", f"it answers {models.status} to a question about its models")
    if models_in(models.body) is None:
        return Judgement("unknown", "its list of models cannot be read")
    return Judgement("ready")
