"""The management API's endpoints for API keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from weebill.accounts.api_key import KeyRole
from weebill.accounts.errors import BadKeyError, RevokedKeyError, UnknownKeyError
from weebill.accounts.keyring import LedgerUnavailable
from weebill.accounts.keys import OVERLAP_S, Keys
from weebill.accounts.scopes import ScopeChanges, read_preferences
from weebill.accounts.shown import shown
from weebill.config.ledger_errors import LedgerError
from weebill.control.answers import Json
from weebill.control.overview import Overview
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.wire.errors import ApiError

_ID: Final = "key_"  # begins every id, and no name


class Scopes(BaseModel):
    """The body of `PATCH /api/v1/keys/{key_id}`; members that are missing stay as they are."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expires_at: int | None = None
    networks: list[str] = []
    models: list[str] = []
    endpoints: list[str] = []
    local_only: bool = False
    preferences: dict[str, object] = {}

    def changes(self) -> ScopeChanges:
        """The scopes that the body has. Raises BadKeyError."""
        said = {name: getattr(self, name) for name in ScopeChanges.__struct_fields__ if name in self.model_fields_set}
        said |= {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
        if "preferences" in said:
            said["preferences"] = read_preferences(json.dumps(said["preferences"]).encode())
        return ScopeChanges(**said)


class NewKey(Scopes):
    """The body of `POST /api/v1/keys`."""

    name: str
    role: KeyRole = "user"


class Rotation(BaseModel):
    """The body of `POST /api/v1/keys/{key_id}/rotate`: for how long the present secret is valid yet."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overlap_s: Annotated[int, Field(ge=0)] = OVERLAP_S


class KeyRoutes:
    """Makes, shows, changes, rotates and revokes keys, which are named by their ids."""

    def __init__(self, overview: Overview, ledger: Database) -> None:
        self._overview = overview
        self._ledger = ledger
        self.router = APIRouter()
        self.router.add_api_route("/keys", self._list)
        self.router.add_api_route("/keys", self._create, methods=["POST"])
        self.router.add_api_route("/keys/{key_id}", self._show)
        self.router.add_api_route("/keys/{key_id}", self._change, methods=["PATCH"])
        self.router.add_api_route("/keys/{key_id}", self._revoke, methods=["DELETE"])
        self.router.add_api_route("/keys/{key_id}/rotate", self._rotate, methods=["POST"])

    def _list(self) -> Response:
        with _answering():
            return Json({"object": "list", "data": [shown(key, use) for key, use in self._keys().used()]})

    def _create(self, new: NewKey) -> Response:
        with _answering():
            created = self._keys().create(new.name, new.role, new.changes())
        warning = {"warning": created.warning} if created.warning else {}
        return Json({"key": shown(created.key), "secret": created.secret} | warning, 201)

    def _show(self, key_id: str) -> Response:
        with _answering():
            return Json(shown(*self._keys().find(_id(key_id))))

    def _change(self, key_id: str, scopes: Scopes) -> Response:
        with _answering():
            keys = self._keys()
            keys.set_scopes(_id(key_id), scopes.changes())
            return Json(shown(*keys.find(key_id)))

    def _revoke(self, key_id: str) -> Response:
        with _answering():
            keys = self._keys()
            keys.revoke(_id(key_id))
            return Json(shown(*keys.find(key_id)))

    def _rotate(self, key_id: str, rotation: Rotation | None = None) -> Response:
        with _answering():
            keys = self._keys()
            rotated = keys.rotate(_id(key_id), OVERLAP_S if rotation is None else rotation.overlap_s)
            return Json({"key": shown(*keys.find(key_id)), "secret": rotated.secret})

    def _keys(self) -> Keys:
        return keys_in(self._ledger, self._overview.home)


def _id(key_id: str) -> str:
    """Returns the id of a key. Raises UnknownKeyError for a name."""
    if not key_id.startswith(_ID):
        raise UnknownKeyError(f"There is no key with the id {key_id!r}; list the keys to see their ids.")
    return key_id


@contextmanager
def _answering() -> Iterator[None]:
    """Raises ApiError for what cannot be done with keys, LedgerUnavailable if the ledger fails."""
    try:
        yield
    except BadKeyError as error:
        raise ApiError(400, str(error), code="invalid_value", param=error.param) from error
    except UnknownKeyError as error:
        raise ApiError(404, str(error), code="key_not_found", param="key_id") from error
    except RevokedKeyError as error:
        raise ApiError(409, str(error), code="key_revoked", param="key_id") from error
    except LedgerError as error:
        raise LedgerUnavailable from error
