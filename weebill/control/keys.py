"""The management API's endpoints for API keys."""

from __future__ import annotations

import json
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType
from pydantic import BaseModel, ConfigDict, Field

from weebill.accounts.api_key import KeyRole
from weebill.accounts.errors import UnknownKeyError
from weebill.accounts.keys import OVERLAP_S, Keys, Owner
from weebill.accounts.permissions import Actor, Target, may
from weebill.accounts.scopes import ScopeChanges, read_preferences
from weebill.accounts.shown import KeyShown, shown
from weebill.accounts.tenants import DEFAULT_PROJECT
from weebill.control.access import Asking, require
from weebill.control.answers import Created, Json
from weebill.control.listing import DEFAULT_LIMIT, After, Limit, Listed, listed
from weebill.control.overview import Overview
from weebill.control.refusals import answering
from weebill.control.routing import Routes
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.targets import targets_of, unknown

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


class NewProjectKey(Scopes):
    """The body of `POST /api/v1/projects/{project_id}/api_keys`; a user or a service account may hold the key."""

    name: str
    user_id: str | None = None
    service_account_id: str | None = None


class NewKey(NewProjectKey):
    """The body of `POST /api/v1/keys`."""

    role: KeyRole = "user"
    project_id: str = DEFAULT_PROJECT


class Rotation(BaseModel):
    """The body of `POST /api/v1/keys/{key_id}/rotate`: for how long the present secret is valid yet."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overlap_s: Annotated[int, Field(ge=0)] = OVERLAP_S


class KeyMade(msgspec.Struct, frozen=True, kw_only=True):
    """A new key, with its secret, which is shown only now; there is a warning if other active keys have its name."""

    key: KeyShown
    secret: str
    warning: str | UnsetType = UNSET


class KeyRotated(msgspec.Struct, frozen=True, kw_only=True):
    """A key with another secret, which is shown only now."""

    key: KeyShown
    secret: str


class KeyRoutes:
    """Makes, shows, changes, rotates and revokes keys, which are named by their ids."""

    def __init__(self, overview: Overview, ledger: Database) -> None:
        self._overview = overview
        self._ledger = ledger
        self.routes: Routes = {
            "GET /keys": self._list,
            "POST /keys": self._create,
            "GET /keys/{key_id}": self._show,
            "PATCH /keys/{key_id}": self._change,
            "DELETE /keys/{key_id}": self._revoke,
            "POST /keys/{key_id}/rotate": self._rotate,
            "GET /projects/{project_id}/api_keys": self._list_of_project,
            "POST /projects/{project_id}/api_keys": self._create_in_project,
        }

    def _list(self, actor: Asking, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Json[Listed[KeyShown]]:
        """Lists all keys, oldest first."""
        with answering():
            found = self._keys(actor).page(limit + 1, after)
        return listed([shown(key, use) for key, use in found], limit, lambda each: each.id)

    def _list_of_project(
        self, actor: Asking, project_id: str, limit: Limit = DEFAULT_LIMIT, after: After = None
    ) -> Json[Listed[KeyShown]]:
        """Lists the keys of a project, oldest first; a member has the own ones."""
        with answering():
            holder = None if may(actor, "keys.read", self._project(project_id)) else actor.user_id
            found = self._keys(actor).page(limit + 1, after, project_id, holder)
        return listed([shown(key, use) for key, use in found], limit, lambda each: each.id)

    def _create(self, actor: Asking, new: NewKey) -> Created[KeyMade]:
        """Makes a key of any role, for any project."""
        owner = Owner(new.project_id, new.user_id, new.service_account_id)
        return self._created(actor, new, new.role, owner)

    def _create_in_project(self, actor: Asking, project_id: str, new: NewProjectKey) -> Created[KeyMade]:
        """Makes a key of a project; a member holds it."""
        with answering():
            target = self._project(project_id)
        user_id, account_id = new.user_id, new.service_account_id
        if not may(actor, "keys.write", target):
            # Their own alone.
            user_id = user_id or actor.user_id
            require(actor, "keys.write", target._replace(user_id=None if account_id else user_id))
        return self._created(actor, new, "user", Owner(project_id, user_id, account_id))

    def _created(self, actor: Actor, new: NewProjectKey, role: KeyRole, owner: Owner) -> Created[KeyMade]:
        with answering():
            created = self._keys(actor).create(new.name, role, new.changes(), owner)
        return Created(KeyMade(key=shown(created.key), secret=created.secret, warning=created.warning or UNSET))

    def _show(self, actor: Asking, key_id: str) -> Json[KeyShown]:
        """Shows a key and its use."""
        with answering():
            return Json(shown(*self._keys(actor).find(_id(key_id))))

    def _change(self, actor: Asking, key_id: str, scopes: Scopes) -> Json[KeyShown]:
        """Changes the scopes of a key."""
        with answering():
            keys = self._keys(actor)
            keys.set_scopes(_id(key_id), scopes.changes())
            return Json(shown(*keys.find(key_id)))

    def _revoke(self, actor: Asking, key_id: str) -> Json[KeyShown]:
        """Revokes a key for good."""
        with answering():
            keys = self._keys(actor)
            keys.revoke(_id(key_id))
            return Json(shown(*keys.find(key_id)))

    def _rotate(self, actor: Asking, key_id: str, rotation: Rotation | None = None) -> Json[KeyRotated]:
        """Gives a key another secret."""
        with answering():
            keys = self._keys(actor)
            rotated = keys.rotate(_id(key_id), OVERLAP_S if rotation is None else rotation.overlap_s)
            return Json(KeyRotated(key=shown(*keys.find(key_id)), secret=rotated.secret))

    def _keys(self, actor: Actor) -> Keys:
        return keys_in(self._ledger, self._overview.home, actor.author)

    def _project(self, project_id: str) -> Target:
        """Returns a project as something to have a permission for. Raises UnknownTenantError."""
        ids = {"project_id": project_id}
        targets = self._ledger.read(lambda connection: targets_of(connection, ids))
        if not targets:
            raise unknown(ids)
        return targets[0]


def _id(key_id: str) -> str:
    """Returns the id of a key. Raises UnknownKeyError for a name."""
    if not key_id.startswith(_ID):
        raise UnknownKeyError.of(key_id)
    return key_id
