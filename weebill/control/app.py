"""The application of the control process: the management API and the status page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Request, Response, WebSocket

from weebill import __version__
from weebill.accounts.keyring import KeyDirectory
from weebill.auto.learning import TOPIC, CurveQuestion, StandingQuestion
from weebill.auto.standing import Standing, nothing_decided, sentence
from weebill.auto.tradeoff import Tradeoff
from weebill.auto.tradeoff import sentence as present
from weebill.config.auto import AUTO
from weebill.control.access import Access
from weebill.control.adapters import AdapterRoutes
from weebill.control.answers import Json, LimitBody, SecureHeaders, handle_errors
from weebill.control.audit import AuditRoutes
from weebill.control.credits import CreditRoutes
from weebill.control.invitations import InvitationRoutes
from weebill.control.keys import KeyRoutes
from weebill.control.limits import LimitRoutes
from weebill.control.live import LiveFeed
from weebill.control.manual import Manual, documentation
from weebill.control.noting import Noting
from weebill.control.ollama import OllamaManagement
from weebill.control.openai_usage import OpenAIUsageRoutes
from weebill.control.overview import Overview
from weebill.control.page import Page
from weebill.control.provider_keys import ProviderKeyRoutes
from weebill.control.purchases import PurchaseRoutes
from weebill.control.sign_in.mailing import Mailer
from weebill.control.sign_in.routes import SignInRoutes
from weebill.control.tenant_data import TenantDataRoutes
from weebill.control.tenants import TenantRoutes
from weebill.control.usage import UsageRoutes
from weebill.process.questions import Unanswered
from weebill.storage.database import Database
from weebill.storage.mails import StoredMails
from weebill.storage.sealing import Vault
from weebill.storage.sign_in import sign_ins_in
from weebill.wire.errors import ApiError

PREFIX = "/api/v1"
OPENAI_ROOTS = ("/v1", "/openai/v1")

# Puts a question to another process: its topic, and the question itself. Raises Unanswered.
Ask = Callable[[str, object], Awaitable[msgspec.Raw]]


def create_app(
    overview: Overview,
    keys: KeyDirectory,
    ledger: Database,
    ask_learner: Ask,
    ask_discovery: Ask,
    models_changed: Callable[[], Awaitable[None]],
    mailer: Mailer | None = None,
) -> FastAPI:
    """Creates the application. `models_changed` is awaited when this machine has other models.

    `mailer` keeps the mails that are to be sent; without one they are kept, and sent by nobody.
    """
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
    noting = Noting(ledger)
    sign_ins = sign_ins_in(ledger, overview.home, keys.pepper)
    mailer = mailer or mailer_of(overview, ledger)
    entrance = SignInRoutes(overview, sign_ins, keys.pepper, mailer)
    app.include_router(_front(entrance))
    app.include_router(entrance.pages)
    manual = Manual(documentation())
    app.add_api_route("/docs/{name:path}", manual.response, methods=["GET", "HEAD"], response_class=Response)
    app.include_router(_public(overview, LiveFeed(overview, keys, entrance.guard)), prefix=PREFIX)
    app.include_router(entrance.api, prefix=PREFIX)
    app.include_router(OllamaManagement(overview, keys, models_changed, noting).router)
    check = Access(keys, ledger, entrance.guard).check
    management = _Management(overview, ask_learner, check)
    management.router.include_router(AdapterRoutes(overview, ask_discovery, noting).router)
    purchases = PurchaseRoutes(overview, ledger)
    for routes in (
        *(KeyRoutes(overview, ledger), TenantRoutes(ledger), AuditRoutes(ledger), UsageRoutes(ledger)),
        TenantDataRoutes(overview, ledger),
        *(CreditRoutes(overview, ledger), LimitRoutes(ledger), purchases),
    ):
        management.router.include_router(routes.router)
    management.router.include_router(InvitationRoutes(entrance.door).router)
    app.include_router(purchases.public, prefix=PREFIX)
    management.router.include_router(ProviderKeyRoutes(overview, ledger).router)
    app.include_router(management.router, prefix=PREFIX)
    for root in OPENAI_ROOTS:
        app.include_router(OpenAIUsageRoutes(ledger).router, prefix=root, dependencies=[Depends(check)])
    return app


def mailer_of(overview: Overview, ledger: Database) -> Mailer:
    """Returns what sends the mails of an installation, once it runs."""
    return Mailer(StoredMails(ledger, Vault(overview.home)), lambda: overview.settings.mail)


def _front(entrance: SignInRoutes) -> APIRouter:
    """Returns the route of the status page, whose address may have a one-time link's token."""
    router, page = APIRouter(), Page.load()

    @router.api_route("/", methods=["GET", "HEAD"], response_class=Response)
    async def front(request: Request, token: str = "") -> Response:
        if token and request.method == "GET":
            return await entrance.open_by_link(request, token)
        return page.response()

    return router


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
    """The endpoints that need a permission. Those that use the ledger run in threads, with connections of their own."""

    def __init__(self, overview: Overview, ask_learner: Ask, check: Callable[..., Awaitable[None]]) -> None:
        self._overview = overview
        self._ask_learner = ask_learner
        self.router = APIRouter(dependencies=[Depends(check)])
        self.router.add_api_route("/status", self._status)
        self.router.add_api_route("/auto", self._auto)
        self.router.add_api_route("/auto/curve", self._curve)

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
