"""The management API's endpoints for providers' keys: of the installation, and of projects."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec
from fastapi import Request
from pydantic import BaseModel, ConfigDict, SecretStr
from starlette.concurrency import run_in_threadpool

from weebill.accounts.permissions import Actor, reach_of
from weebill.accounts.provider_keys import (
    BadProviderKeyError,
    KeyStatus,
    ProviderKey,
    UnknownProviderKeyError,
    new_key,
)
from weebill.accounts.sealing import SealedError
from weebill.catalog.probe import ProbeResult
from weebill.config.kept import UnreachableProviderError, reachable_with
from weebill.config.ledger_errors import LedgerError
from weebill.control.access import check, denied
from weebill.control.answers import Created, Json, failure
from weebill.control.credits import author_of
from weebill.control.listing import Whole
from weebill.control.overview import Overview
from weebill.control.probing import Probing
from weebill.control.routing import Routes
from weebill.storage.database import Database
from weebill.storage.provider_keys import ProviderKeys
from weebill.storage.sealing import Vault
from weebill.wire.errors import ApiError


class NewProviderKey(BaseModel):
    """The body of `POST /api/v1/providers/{provider}/keys`; it is of the installation without a project."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: SecretStr
    project_id: str | None = None
    fallback: bool = False
    test: bool = True


class ChangedProviderKey(BaseModel):
    """The body of `PATCH /api/v1/providers/{provider}/keys/{provider_key_id}`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    disabled: bool


class ProviderKeyShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="provider.key"):
    """A provider's key without its secret; of the installation if `project_id` is null. Times are Unix seconds.

    With `fallback`, its project's requests go on with the installation's keys where they fail with this one.
    """

    id: str
    provider: str
    project_id: str | None
    hint: str
    created_at: int
    created_by: str
    fallback: bool
    disabled_at: int | None
    last_used_at: int | None
    refused_at: int | None
    refusal: str
    status: KeyStatus


class ProviderKeyRemoved(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="provider.key"):
    """A key that was removed."""

    id: str
    deleted: Literal[True] = True


class ProviderKeyTested(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="provider.key.test"):
    """The answer of a provider to a key: its status, null without an answer, and a message."""

    id: str
    ok: bool
    status: int | None
    latency_ms: int
    message: str
    hint: str


class ProviderKeyRoutes:
    """Gives, lists, tries, disables and removes providers' keys. Their secrets are never answered."""

    def __init__(self, overview: Overview, ledger: Database) -> None:
        self._overview = overview
        self._ledger = ledger
        self._vault = Vault(overview.home)
        self._probing = Probing()
        self.routes: Routes = {
            "GET /providers/{provider}/keys": self._list,
            "POST /providers/{provider}/keys": self._add,
            "GET /providers/{provider}/keys/{provider_key_id}": self._show,
            "PATCH /providers/{provider}/keys/{provider_key_id}": self._change,
            "DELETE /providers/{provider}/keys/{provider_key_id}": self._remove,
            "POST /providers/{provider}/keys/{provider_key_id}/test": self._test,
        }

    def _list(self, request: Request, provider: str, project_id: str | None = None) -> Json[Whole[ProviderKeyShown]]:
        """Lists a provider's keys, of the installation and of projects."""
        actor: Actor = request.state.actor
        if project_id is not None:
            check(self._ledger, actor, "provider_keys.read", {"project_id": project_id})
        with _answering():
            found = self._keys(request).all(provider, reach_of(actor, "provider_keys.read"))
        wanted = [each for each in found if project_id in (None, each.project_id)]
        return Json(Whole(data=[shown(each) for each in wanted]))

    async def _add(self, request: Request, provider: str, new: NewProviderKey) -> Created[ProviderKeyShown]:
        """Tries a provider's key, and keeps it sealed."""
        secret = new.key.get_secret_value()
        await run_in_threadpool(self._check_owner, request.state.actor, new.project_id)
        with _answering():
            reachable_with(self._overview.settings, provider, secret, os.environ)
            key = new_key(provider, new.project_id, secret, author_of(request).id, time.time(), fallback=new.fallback)
            tested = await self._tested(provider, secret) if new.test else None
            if tested is not None and not tested.ok:
                raise ApiError(
                    422, f"{_said(provider, tested)} The key was not kept.", code="key_not_working", param="key"
                )
            kept = await run_in_threadpool(self._keys(request).add, key, secret)
        return Created(shown(kept))

    def _show(self, request: Request, provider: str, provider_key_id: str) -> Json[ProviderKeyShown]:
        """Shows a provider's key without its secret."""
        with _answering():
            return Json(shown(self._of(request, provider, provider_key_id)))

    def _change(
        self, request: Request, provider: str, provider_key_id: str, change: ChangedProviderKey
    ) -> Json[ProviderKeyShown]:
        """Has a provider's key not used any more, or used again."""
        with _answering():
            self._of(request, provider, provider_key_id)
            return Json(shown(self._keys(request).set_disabled(provider_key_id, change.disabled)))

    def _remove(self, request: Request, provider: str, provider_key_id: str) -> Json[ProviderKeyRemoved]:
        """Forgets a provider's key and its secret."""
        with _answering():
            self._of(request, provider, provider_key_id)
            return Json(ProviderKeyRemoved(id=self._keys(request).remove(provider_key_id).id))

    async def _test(self, request: Request, provider: str, provider_key_id: str) -> Json[ProviderKeyTested]:
        """Tries a provider's key."""
        with _answering():
            await run_in_threadpool(self._of, request, provider, provider_key_id)
            secret = await run_in_threadpool(self._keys(request).secret, provider_key_id)
            tested = await self._tested(provider, secret)
        return Json(ProviderKeyTested(id=provider_key_id, **msgspec.structs.asdict(tested)))

    def _check_owner(self, actor: Actor, project_id: str | None) -> None:
        """Raises ApiError unless an actor may give keys to a project, or to the installation."""
        if project_id is not None:
            check(self._ledger, actor, "provider_keys.write", {"project_id": project_id})
        elif not actor.installation:
            raise denied("installation.manage")

    def _keys(self, request: Request) -> ProviderKeys:
        return ProviderKeys(self._ledger, self._vault, author_of(request))

    def _of(self, request: Request, provider: str, provider_key_id: str) -> ProviderKey:
        """Returns a key of this provider. Raises UnknownProviderKeyError."""
        key = self._keys(request).find(provider_key_id)
        if key.provider != provider:
            raise UnknownProviderKeyError(f"There is no key of {provider} with the id {provider_key_id!r}.")
        return key

    async def _tested(self, provider: str, secret: str) -> ProbeResult:
        settings = reachable_with(self._overview.settings, provider, secret, os.environ)
        return await self._probing.run(provider, settings)


def shown(key: ProviderKey) -> ProviderKeyShown:
    """Returns a key as it is answered."""
    return ProviderKeyShown(**msgspec.structs.asdict(key), status=key.status)


def _said(provider: str, tested: ProbeResult) -> str:
    status = "" if tested.status is None else f" (status {tested.status})"
    return f"{provider} does not work with this key{status}: {tested.message}"


@contextmanager
def _answering() -> Iterator[None]:
    """Raises ApiError for what cannot be done with keys, LedgerUnavailable if the ledger fails."""
    try:
        yield
    except BadProviderKeyError as error:
        raise ApiError(400, str(error), code="invalid_value", param=error.param) from error
    except UnreachableProviderError as error:
        raise ApiError(404, str(error), code="provider_not_found", param="provider") from error
    except UnknownProviderKeyError as error:
        raise ApiError(404, str(error), code="key_not_found", param="provider_key_id") from error
    except SealedError as error:
        hint = f" To mend it, {error.hint}." if error.hint else ""
        raise ApiError(409, f"{error}{hint}", code="master_key_missing") from error
    except LedgerError as error:
        raise failure(error) from error
