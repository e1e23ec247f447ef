"""Ollama's requests that change which models this machine has: pull, create, copy, delete, and files for create.

They are for admin keys, as all of the management is.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from weebill.accounts.audit import Author
from weebill.accounts.keyring import KeyDirectory, LedgerUnavailable
from weebill.apis.ollama.errors import error_body, error_line
from weebill.apis.ollama.manage_shapes import CopyBody, CreateBody, Named, PullBody
from weebill.control.access import bearer_token, peer_of, require_admin
from weebill.control.noting import Noting
from weebill.control.overview import Overview
from weebill.control.routing import Routes
from weebill.control.store_work import StoreWork, WorkError
from weebill.models.errors import DiskFullError, ModelDamagedError, ReadOnlyError
from weebill.models.jobs import Copy, Create, Delete, Job, Pull, Step
from weebill.models.manifests import Said
from weebill.models.uploads import DIGEST, Upload, place_of
from weebill.wire.body import invalid_body
from weebill.wire.errors import UNREADABLE, ApiError, missing_parameter

ROOTS: Final = ("/api", "/ollama/api")
BLOBS: Final = "/blobs/"
_JSON: Final = "application/json"
_LINES: Final = "application/x-ndjson"
# For so long, an answer is held back: what fails by then is answered with a status.
_SOON_S: Final = 1.0
_SUCCESS: Final = Step(status="success")
T = TypeVar("T")
Serve = Callable[[Request], Awaitable[Response]]


class OllamaManagement:
    """Serves them. `changed` is awaited when there are other models than before, until all processes know them."""

    def __init__(
        self, overview: Overview, keys: KeyDirectory, changed: Callable[[], Awaitable[None]], noting: Noting
    ) -> None:
        self._overview = overview
        self._noting = noting
        self._keys = keys
        self._changed = changed
        self._work = StoreWork()
        self.routes: Routes = {
            "POST /pull": self._answering(self._pull),
            "POST /create": self._answering(self._create),
            "POST /copy": self._answering(self._copy),
            "DELETE /delete": self._answering(self._delete),
            "HEAD /blobs/{digest}": self._answering(self._has_blob),
            "POST /blobs/{digest}": self._answering(self._take_blob),
        }

    def _answering(self, serve: Serve) -> Serve:
        """Checks the key first, and answers errors in Ollama's format."""

        async def answer(request: Request) -> Response:
            try:
                token = bearer_token(request.headers.get("authorization"))
                peer = peer_of(request.headers)
                key = await require_admin(self._keys, token, peer)
                request.state.author = Author(kind="key", id=key.id, name=key.name, address=peer)
                return await serve(request)
            except ApiError as error:
                headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
                return Response(error_body(error), error.status, headers, _JSON)
            except LedgerUnavailable:
                body = error_body(ApiError(503, "The ledger cannot be read at present; try again."))
                return Response(body, 503, {"retry-after": "1"}, _JSON)

        return answer

    async def _pull(self, request: Request) -> Response:
        body = _decoded(await request.body(), PullBody)
        for name in ("insecure", "username", "password"):
            if getattr(body, name):
                raise ApiError(400, f"`{name}` is for a registry of Ollama's, which is not asked.", param=name)
        return await self._do(request, Pull(name=_name(body)), stream=body.stream)

    async def _create(self, request: Request) -> Response:
        body = _decoded(await request.body(), CreateBody)
        if bool(body.base) == bool(body.files):
            raise ApiError(400, "`from` or `files` says what the model is made of: one of them.", param="from")
        terms = [body.license] if isinstance(body.license, str) else body.license or []
        job = Create(
            name=_name(body),
            base=body.base,
            files=_hashes(body.files),
            adapters=_hashes(body.adapters),
            system=body.system,
            template=body.template or None,
            messages=tuple(Said(each.role, each.content) for each in body.messages or ()),
            parameters={name: _said(value) for name, value in (body.parameters or {}).items()},
            terms=tuple(filter(None, terms)),
            quantize=body.quantize or body.quantization or "",
        )
        return await self._do(request, job, stream=body.stream)

    async def _copy(self, request: Request) -> Response:
        body = _decoded(await request.body(), CopyBody)
        return await self._do_at_once(request, Copy(name=body.source, new=body.destination))

    async def _delete(self, request: Request) -> Response:
        return await self._do_at_once(request, Delete(name=_name(_decoded(await request.body(), Named))))

    async def _has_blob(self, request: Request) -> Response:
        return Response(status_code=200 if place_of(self._folder, _hash_of(request)).is_file() else 404)

    async def _take_blob(self, request: Request) -> Response:
        sha256 = _hash_of(request)
        upload = Upload(self._folder, sha256)
        try:
            async for chunk in request.stream():
                await run_in_threadpool(upload.add, chunk)
            await run_in_threadpool(upload.finish)
        except ModelDamagedError as error:
            raise ApiError(400, str(error), code="digest_mismatch") from error
        except (DiskFullError, ReadOnlyError) as error:
            raise ApiError(507, str(error), code="no_space") from error
        finally:
            await run_in_threadpool(upload.close)
        return Response(status_code=201)

    @property
    def _folder(self) -> Path:
        local = self._overview.settings.local
        return Path(local.models_dir).expanduser() if local.models_dir else self._overview.home.models

    async def _note(self, request: Request, job: Job) -> None:
        """Writes who has a job done to the audit log. Raises LedgerUnavailable."""
        after = {"new": job.new} if isinstance(job, Copy) else {"base": job.base} if isinstance(job, Create) else None
        await self._noting.note(request.state.author, f"model.{type(job).__name__.lower()}", job.name, after)

    async def _do(self, request: Request, job: Job, *, stream: bool) -> Response:
        """Does a job, with its steps as lines or with the last one alone. What fails at once has a status."""
        await self._note(request, job)
        if not stream:
            async for _ in self._steps(job):
                pass
            return Response(msgspec.json.encode(_SUCCESS), media_type=_JSON)
        steps = self._steps(job)
        first = await anext(steps)
        if first is _SUCCESS:
            return Response(msgspec.json.encode(first) + b"\n", media_type=_LINES)
        second = asyncio.ensure_future(anext(steps))
        done, _ = await asyncio.wait({second}, timeout=_SOON_S)
        if done and (error := second.exception()) is not None:
            raise error
        return StreamingResponse(_lines(first, second, steps), media_type=_LINES)

    async def _do_at_once(self, request: Request, job: Job) -> Response:
        await self._note(request, job)
        async for _ in self._steps(job):
            pass
        return Response()

    async def _steps(self, job: Job) -> AsyncGenerator[Step, None]:
        """Yields the steps of a job, and success. Raises ApiError."""
        try:
            engine = self._overview.settings.local.engine.engine
            async with aclosing(self._work.run(self._folder, job, engine)) as steps:
                async for step in steps:
                    yield step
        except WorkError as error:
            raise ApiError(error.failure.status, str(error)) from error
        await self._changed()
        yield _SUCCESS


async def _lines(first: Step, second: Future[Step], steps: AsyncGenerator[Step, None]) -> AsyncGenerator[bytes, None]:
    """Yields steps as lines, and the error that they end with, if they do. A caller that leaves ends the work."""
    async with aclosing(steps):
        try:
            yield msgspec.json.encode(first) + b"\n"
            yield msgspec.json.encode(await second) + b"\n"
            async for step in steps:
                yield msgspec.json.encode(step) + b"\n"
        except ApiError as error:
            yield error_line(error)
        finally:
            second.cancel()
            with suppress(asyncio.CancelledError, ApiError):
                await second


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise invalid_body(error) from error


def _name(body: Named) -> str:
    name = body.model or body.name
    if not name:
        raise missing_parameter("model")
    return name


def _said(value: bool | int | float | str | list[str]) -> tuple[str, ...]:
    """Returns the values of a parameter as a Modelfile would have them."""
    if isinstance(value, list):
        return tuple(value)
    return (str(value).lower() if isinstance(value, bool) else str(value),)


def _hashes(files: dict[str, str]) -> dict[str, str]:
    return {name: digest[-64:] for name, digest in files.items()}


def _hash_of(request: Request) -> str:
    found = DIGEST.fullmatch(request.path_params["digest"])
    if found is None:
        raise ApiError(400, "A blob is named by `sha256:` and 64 digits.", code="invalid_value", param="digest")
    return found[1]
