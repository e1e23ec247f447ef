"""The management API's endpoints for providers' keys: of the installation, and of projects."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, SecretStr
from starlette.concurrency import run_in_threadpool

from weebill.accounts.keyring import LedgerUnavailable
from weebill.accounts.provider_keys import (
    BadProviderKeyError,
    ProviderKey,
    UnknownProviderKeyError,
    new_key,
)
from weebill.accounts.sealing import SealedError
from weebill.catalog.probe import ProbeResult
from weebill.config.kept import UnreachableProviderError, reachable_with
from weebill.config.ledger_errors import LedgerError
from weebill.control.answers import Json
from weebill.control.credits import author_of
from weebill.control.overview import Overview
from weebill.control.probing import Probing
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
    """The body of `PATCH /api/v1/providers/{provider}/keys/{key_id}`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    disabled: bool


class ProviderKeyRoutes:
    """Gives, lists, tries, disables and removes providers' keys. Their secrets are never answered."""

    def __init__(self, overview: Overview, ledger: Database) -> None:
        self._overview = overview
        self._ledger = ledger
        self._vault = Vault(overview.home)
        self._probing = Probing()
        self.router = APIRouter(prefix="/providers/{provider}/keys")
        self.router.add_api_route("", self._list)
        self.router.add_api_route("", self._add, methods=["POST"])
        self.router.add_api_route("/{key_id}", self._show)
        self.router.add_api_route("/{key_id}", self._change, methods=["PATCH"])
        self.router.add_api_route("/{key_id}", self._remove, methods=["DELETE"])
        self.router.add_api_route("/{key_id}/test", self._test, methods=["POST"])

    def _list(self, request: Request, provider: str, project_id: str | None = None) -> Response:
        with _answering():
            found = self._keys(request).all(provider)
        wanted = [each for each in found if project_id in (None, each.project_id)]
        return Json({"object": "list", "data": [shown(each) for each in wanted]})

    async def _add(self, request: Request, provider: str, new: NewProviderKey) -> Response:
        secret = new.key.get_secret_value()
        with _answering():
            reachable_with(self._overview.settings, provider, secret, os.environ)
            key = new_key(provider, new.project_id, secret, author_of(request).id, time.time(), fallback=new.fallback)
            tested = await self._tested(provider, secret) if new.test else None
            if tested is not None and not tested.ok:
                raise ApiError(
                    422, f"{_said(provider, tested)} The key was not kept.", code="key_not_working", param="key"
                )
            kept = await run_in_threadpool(self._keys(request).add, key, secret)
        return Json(shown(kept), 201)

    def _show(self, request: Request, provider: str, key_id: str) -> Response:
        with _answering():
            return Json(shown(self._of(request, provider, key_id)))

    def _change(self, request: Request, provider: str, key_id: str, change: ChangedProviderKey) -> Response:
        with _answering():
            self._of(request, provider, key_id)
            return Json(shown(self._keys(request).set_disabled(key_id, change.disabled)))

    def _remove(self, request: Request, provider: str, key_id: str) -> Response:
        with _answering():
            self._of(request, provider, key_id)
            return Json({"id": self._keys(request).remove(key_id).id, "object": "provider.key", "deleted": True})

    async def _test(self, request: Request, provider: str, key_id: str) -> Response:
        with _answering():
            await run_in_threadpool(self._of, request, provider, key_id)
            secret = await run_in_threadpool(self._keys(request).secret, key_id)
            tested = await self._tested(provider, secret)
        return Json({"object": "provider.key.test", "id": key_id, **msgspec.structs.asdict(tested)})

    def _keys(self, request: Request) -> ProviderKeys:
        return ProviderKeys(self._ledger, self._vault, author_of(request))

    def _of(self, request: Request, provider: str, key_id: str) -> ProviderKey:
        """Returns a key of this provider. Raises UnknownProviderKeyError."""
        key = self._keys(request).find(key_id)
        if key.provider != provider:
            raise UnknownProviderKeyError(f"There is no key of {provider} with the id {key_id!r}.")
        return key

    async def _tested(self, provider: str, secret: str) -> ProbeResult:
        settings = reachable_with(self._overview.settings, provider, secret, os.environ)
        return await self._probing.run(provider, settings)


def shown(key: ProviderKey) -> dict[str, object]:
    """Returns a key as it is answered."""
    return {"object": "provider.key", **msgspec.structs.asdict(key), "status": key.status}


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
        raise ApiError(404, str(error), code="key_not_found", param="key_id") from error
    except SealedError as error:
        hint = f" To mend it, {error.hint}." if error.hint else ""
        raise ApiError(409, f"{error}{hint}", code="master_key_missing") from error
    except LedgerError as error:
        raise LedgerUnavailable from error
