"""The application of the control process: the management API and the status page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Response, WebSocket
from pydantic import BaseModel, ConfigDict

from weebill import __version__
from weebill.accounts.api_key import KeyRole
from weebill.accounts.keyring import KeyDirectory, LedgerUnavailable
from weebill.accounts.keys import BadKeyError, Keys, UnknownKeyError
from weebill.auto.learning import TOPIC, CurveQuestion, StandingQuestion
from weebill.auto.standing import Standing, nothing_decided, sentence
from weebill.auto.tradeoff import Tradeoff
from weebill.auto.tradeoff import sentence as present
from weebill.config.auto import AUTO
from weebill.config.ledger_errors import LedgerError
from weebill.control.access import bearer_token, require_admin
from weebill.control.adapters import AdapterRoutes
from weebill.control.answers import Json, LimitBody, SecureHeaders, handle_errors
from weebill.control.live import LiveFeed
from weebill.control.manual import Manual, documentation
from weebill.control.ollama import OllamaManagement
from weebill.control.overview import Overview
from weebill.control.page import Page
from weebill.process.questions import Unanswered
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.usage_totals import recent, summary
from weebill.usage.totals import Grouping
from weebill.wire.errors import ApiError

PREFIX = "/api/v1"


class NewKey(BaseModel):
    """The body of `POST /api/v1/keys`."""

    model_config = ConfigDict(extra="forbid")

    name: str
    role: KeyRole = "user"


# Puts a question to another process: its topic, and the question itself. Raises Unanswered.
Ask = Callable[[str, object], Awaitable[msgspec.Raw]]


def create_app(
    overview: Overview,
    keys: KeyDirectory,
    ledger: Database,
    ask_learner: Ask,
    ask_discovery: Ask,
    models_changed: Callable[[], Awaitable[None]],
) -> FastAPI:
    """Creates the application. `models_changed` is awaited when this machine has other models."""
    app = FastAPI(
        title="Weebill",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # a redirect would go to the address in the Host header
    )
    handle_errors(app)
    app.add_middleware(LimitBody)
    app.add_middleware(SecureHeaders)
    page = Page.load()
    app.add_api_route("/", lambda: page.response(), methods=["GET", "HEAD"], response_class=Response)
    manual = Manual(documentation())
    app.add_api_route("/docs/{name:path}", manual.response, methods=["GET", "HEAD"], response_class=Response)
    app.include_router(_public(overview, LiveFeed(overview, keys)), prefix=PREFIX)
    app.include_router(OllamaManagement(overview, keys, models_changed).router)
    management = _Management(overview, keys, ledger, ask_learner)
    management.router.include_router(AdapterRoutes(overview, ask_discovery).router)
    app.include_router(management.router, prefix=PREFIX)
    return app


def _public(overview: Overview, feed: LiveFeed) -> APIRouter:
    """Returns the routes that need no key, and those that check it themselves."""
    router = APIRouter()

    @router.get("/info")
    async def info() -> Response:
        return Json(overview.info())

    @router.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await feed.serve(socket)

    return router


class _Management:
    """The endpoints for admin keys. Those that use the ledger run in threads, with connections of their own."""

    def __init__(self, overview: Overview, keys: KeyDirectory, ledger: Database, ask_learner: Ask) -> None:
        self._overview = overview
        self._keys = keys
        self._ledger = ledger
        self._ask_learner = ask_learner
        self.router = APIRouter(dependencies=[Depends(self._authorise)])
        self.router.add_api_route("/status", self._status)
        self.router.add_api_route("/auto", self._auto)
        self.router.add_api_route("/auto/curve", self._curve)
        self.router.add_api_route("/keys", self._list_keys)
        self.router.add_api_route("/keys", self._create_key, methods=["POST"])
        self.router.add_api_route("/keys/{key_id}", self._revoke_key, methods=["DELETE"])
        self.router.add_api_route("/usage", self._recent_usage)
        self.router.add_api_route("/usage/summary", self._usage_summary)

    async def _authorise(self, authorization: Annotated[str | None, Header()] = None) -> None:
        await require_admin(self._keys, bearer_token(authorization))

    async def _status(self) -> Response:
        return Json(self._overview.status())

    async def _auto(self, name: str = AUTO) -> Response:
        standings = msgspec.msgpack.decode(await self._asked(name, StandingQuestion()), type=list[Standing])
        standing = next((each for each in standings if each.auto == name), None)
        data = None if standing is None else standing.shown()
        summary = nothing_decided(name) if standing is None else sentence(standing)
        return Json({"object": "auto", "name": name, "summary": summary, "data": data})

    async def _curve(self, name: str = AUTO) -> Response:
        curve = msgspec.msgpack.decode(await self._asked(name, CurveQuestion(name)), type=Tradeoff | None)
        data = None if curve is None else curve.shown()
        summary = nothing_decided(name) if curve is None else present(curve)
        return Json({"object": "auto.curve", "name": name, "summary": summary, "data": data})

    async def _asked(self, name: str, question: StandingQuestion | CurveQuestion) -> msgspec.Raw:
        """Returns the learner's answer about the virtual model. Raises ApiError."""
        if name not in self._overview.settings.autos:
            raise ApiError(404, f"`{name}` is not configured.", code="auto_not_configured", param="name")
        try:
            return await self._ask_learner(TOPIC, question)
        except Unanswered as error:
            raise ApiError(503, "The learner does not answer right now.", code="learner_unavailable") from error

    def _list_keys(self) -> Response:
        with _available():
            return Json({"object": "list", "data": self._stored_keys().all()})

    def _stored_keys(self) -> Keys:
        return keys_in(self._ledger, self._overview.home)

    def _create_key(self, new: NewKey) -> Response:
        try:
            with _available():
                created = self._stored_keys().create(new.name, new.role)
        except BadKeyError as error:
            raise ApiError(400, str(error), code="invalid_value", param=error.param) from error
        warning = {"warning": created.warning} if created.warning else {}
        return Json({"key": created.key, "secret": created.secret} | warning, 201)

    def _revoke_key(self, key_id: str) -> Response:
        try:
            with _available():
                return Json(self._stored_keys().revoke_id(key_id))
        except UnknownKeyError as error:
            raise ApiError(404, str(error), code="key_not_found", param="key_id") from error

    def _recent_usage(
        self,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    ) -> Response:
        with _available():
            entries = self._ledger.read(lambda connection: recent(connection, limit, cursor))
        following = entries[-1].id if len(entries) == limit else None
        data = [{"id": entry.id, **msgspec.structs.asdict(entry.record)} for entry in entries]
        return Json({"object": "list", "data": data, "next_cursor": following})

    def _usage_summary(self, by: Grouping = "model") -> Response:
        with _available():
            groups, total = self._ledger.read(lambda connection: summary(connection, by))
        return Json({"object": "list", "by": by, "data": groups, "total": total})


@contextmanager
def _available() -> Iterator[None]:
    """Raises LedgerUnavailable if the ledger fails; errors of the caller pass unchanged."""
    try:
        yield
    except (BadKeyError, UnknownKeyError):
        raise
    except LedgerError as error:
        raise LedgerUnavailable from error
