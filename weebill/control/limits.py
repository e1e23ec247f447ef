"""The management API's endpoints for limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from weebill.accounts.keyring import LedgerUnavailable
from weebill.accounts.permissions import Actor
from weebill.config.ledger_errors import LedgerError
from weebill.control.access import Asking
from weebill.control.answers import Json
from weebill.limits.limit import MOST, BadLimitError, Measure, UnknownLimitError, Window
from weebill.limits.machines import MachineAliveError, Machines, UnknownMachineError
from weebill.limits.machines import shown as machine_shown
from weebill.limits.setting import MOST_LISTED, Limits, shown
from weebill.storage.database import Database
from weebill.storage.limits import StoredLimits
from weebill.storage.machines import StoredMachines
from weebill.wire.errors import ApiError

_GREATEST_ID: Final = 2**63 - 1


class NewLimit(BaseModel):
    """The body of `POST /api/v1/limits`; spend is in nano-dollars."""

    model_config = ConfigDict(extra="forbid", strict=True)

    subject: str
    measure: Measure
    window: Window
    amount: Annotated[int, Field(ge=0, le=MOST)]
    model: str = ""


class LimitRoutes:
    """Sets, shows and removes limits, which are named by their ids; shows and releases what machines hold."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self.router = APIRouter()
        self.router.add_api_route("/limits", self._list)
        self.router.add_api_route("/limits", self._set, methods=["POST"])
        self.router.add_api_route("/limits/machines", self._machines)
        self.router.add_api_route("/limits/machines/{machine}/release", self._release, methods=["POST"])
        self.router.add_api_route("/limits/{limit_id}", self._show)
        self.router.add_api_route("/limits/{limit_id}", self._remove, methods=["DELETE"])

    def _limits(self, actor: Actor) -> Limits:
        return Limits(StoredLimits(self._ledger, actor.author))

    def _list(
        self,
        actor: Asking,
        subject: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50,
        cursor: Annotated[int, Query(ge=0, le=_GREATEST_ID)] = 0,
    ) -> Response:
        with _answering():
            found = self._limits(actor).list(subject, cursor, limit)
        following = found[-1].limit.id if len(found) == limit else None
        return Json({"object": "list", "data": [shown(each) for each in found], "next_cursor": following})

    def _set(self, actor: Asking, new: NewLimit) -> Response:
        with _answering():
            limits = self._limits(actor)
            limit = limits.set(new.subject, new.measure, new.window, new.amount, new.model)
            return Json(shown(limits.show(limit.id)), 201)

    def _machines(self, actor: Asking) -> Response:
        with _answering():
            found = StoredMachines(self._ledger, actor.author)
            return Json({"object": "list", "data": [machine_shown(each) for each in Machines(found).list()]})

    def _release(self, actor: Asking, machine: str) -> Response:
        with _answering():
            released = Machines(StoredMachines(self._ledger, actor.author)).release(machine)
        return Json({**machine_shown(released), "object": "machine.released"})

    def _show(self, actor: Asking, limit_id: int) -> Response:
        with _answering():
            return Json(shown(self._limits(actor).show(_known(limit_id))))

    def _remove(self, actor: Asking, limit_id: int) -> Response:
        with _answering():
            limits = self._limits(actor)
            state = limits.show(_known(limit_id))
            limits.remove(limit_id)
        return Json({**shown(state), "object": "limit.deleted"})


def _known(limit_id: int) -> int:
    """Returns an id that a limit may have. Raises UnknownLimitError."""
    if not 0 <= limit_id <= _GREATEST_ID:
        raise UnknownLimitError(f"There is no limit {limit_id}.")
    return limit_id


@contextmanager
def _answering() -> Iterator[None]:
    """Raises ApiError for what cannot be done with limits, LedgerUnavailable if the ledger fails."""
    try:
        yield
    except BadLimitError as error:
        raise ApiError(400, str(error), code="invalid_value", param=error.param) from error
    except UnknownLimitError as error:
        raise ApiError(404, str(error), code="limit_not_found") from error
    except UnknownMachineError as error:
        raise ApiError(404, str(error), code="machine_not_found") from error
    except MachineAliveError as error:
        raise ApiError(409, str(error), code="machine_alive") from error
    except LedgerError as error:
        raise LedgerUnavailable from error
