"""The management API's endpoints for limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from weebill.accounts.permissions import Actor, reach_of
from weebill.config.ledger_errors import LedgerError
from weebill.control.access import Asking, check, denied
from weebill.control.answers import Created, Json, failure
from weebill.control.listing import Paged, Whole
from weebill.control.routing import Routes
from weebill.limits.limit import MOST, BadLimitError, Measure, UnknownLimitError, Window, level_of
from weebill.limits.machines import (
    MachineAliveError,
    MachineReleased,
    Machines,
    MachineShown,
    UnknownMachineError,
    shown_machine,
)
from weebill.limits.setting import MOST_LISTED, LimitRemoved, Limits, LimitShown, shown
from weebill.storage.database import Database
from weebill.storage.limits import StoredLimits
from weebill.storage.machines import StoredMachines
from weebill.wire.errors import ApiError

_GREATEST_ID: Final = 2**63 - 1


class NewLimit(BaseModel):
    """The body of `POST /api/v1/limits`; spend is in nano-dollars.

    Without `window` it is a minute for requests and tokens, and none for spend and concurrent.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    subject: str
    measure: Measure
    window: Window | None = None
    amount: Annotated[int, Field(ge=0, le=MOST)]
    model: str = ""


class LimitRoutes:
    """Sets, shows and removes limits, which are named by their ids; shows and releases what machines hold."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self.routes: Routes = {
            "GET /limits": self._list,
            "POST /limits": self._set,
            "GET /limits/machines": self._machines,
            "POST /limits/machines/{machine}/release": self._release,
            "GET /limits/{limit_id}": self._show,
            "DELETE /limits/{limit_id}": self._remove,
        }

    def _list(
        self,
        actor: Asking,
        subject: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50,
        cursor: Annotated[int, Query(ge=0, le=_GREATEST_ID)] = 0,
    ) -> Json[Paged[LimitShown]]:
        """Lists limits in force, oldest first: all, or those of what one may see."""
        if subject is not None:
            check(self._ledger, actor, "limits.read", {"subject": subject})
        with _answering():
            found = self._limits(actor).list(subject, cursor, limit)
        following = found[-1].limit.id if len(found) == limit else None
        return Json(Paged(data=[shown(each, LimitShown) for each in found], next_cursor=following))

    def _set(self, actor: Asking, new: NewLimit) -> Created[LimitShown]:
        """Sets a limit, in place of the one of the same subject, measure, window and model."""
        check(self._ledger, actor, "limits.write", {"subject": new.subject})
        _check_level(actor, new.subject)
        with _answering():
            limits = self._limits(actor)
            limit = limits.set(new.subject, new.measure, new.window, new.amount, new.model)
            return Created(shown(limits.show(limit.id), LimitShown))

    def _machines(self, actor: Asking) -> Json[Whole[MachineShown]]:
        """Lists machines whose workers hold parts of limits."""
        with _answering():
            found = Machines(StoredMachines(self._ledger, actor.author)).list()
        return Json(Whole(data=[shown_machine(each, MachineShown) for each in found]))

    def _release(self, actor: Asking, machine: str) -> Json[MachineReleased]:
        """Releases what a machine that never comes back holds of limits."""
        with _answering():
            released = Machines(StoredMachines(self._ledger, actor.author)).release(machine)
        return Json(shown_machine(released, MachineReleased))

    def _show(self, actor: Asking, limit_id: int) -> Json[LimitShown]:
        """Shows a limit, and how it stands."""
        with _answering():
            return Json(shown(self._limits(actor).show(_known(limit_id)), LimitShown))

    def _remove(self, actor: Asking, limit_id: int) -> Json[LimitRemoved]:
        """Takes a limit out of force."""
        with _answering():
            limits = self._limits(actor)
            state = limits.show(_known(limit_id))
            _check_level(actor, state.limit.subject)
            limits.remove(limit_id)
        return Json(shown(state, LimitRemoved))

    def _limits(self, actor: Actor) -> Limits:
        reaches = reach_of(actor, "limits.read"), reach_of(actor, "credits.read")
        return Limits(StoredLimits(self._ledger, actor.author, *reaches))


def _check_level(actor: Actor, subject: str) -> None:
    """Raises ApiError 403 for the limits of an organisation, which are set for it and not by it."""
    if not actor.installation and level_of(subject) == "organisation":
        raise denied("installation.manage")


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
        raise failure(error) from error
