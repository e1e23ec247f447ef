"""The application of the control process: the management API and the status page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache

from fastapi import APIRouter, Depends, FastAPI, Request, Response, WebSocket

from weebill import __version__
from weebill.accounts.keyring import KeyDirectory
from weebill.control.access import Access
from weebill.control.adapters import AdapterRoutes
from weebill.control.answers import Json, LimitBody, SecureHeaders, handle_errors
from weebill.control.audit import AuditRoutes
from weebill.control.auto import Ask, AutoRoutes
from weebill.control.credits import CreditRoutes
from weebill.control.document import document
from weebill.control.invitations import InvitationRoutes
from weebill.control.keys import KeyRoutes
from weebill.control.limits import LimitRoutes
from weebill.control.live import LiveFeed
from weebill.control.manual import Manual, documentation
from weebill.control.noting import Noting
from weebill.control.ollama import OllamaManagement
from weebill.control.openai_usage import OpenAIUsageRoutes
from weebill.control.overview import Info, Overview, Status
from weebill.control.page import Page
from weebill.control.provider_keys import ProviderKeyRoutes
from weebill.control.purchases import PurchaseRoutes
from weebill.control.routing import routes_of
from weebill.control.sign_in.mailing import Mailer
from weebill.control.sign_in.routes import SignInRoutes
from weebill.control.tenant_data import TenantDataRoutes
from weebill.control.tenants import TenantRoutes
from weebill.control.usage import UsageRoutes
from weebill.storage.database import Database
from weebill.storage.mails import StoredMails
from weebill.storage.sealing import Vault
from weebill.storage.sign_in import sign_ins_in

PREFIX = "/api/v1"
OPENAI_ROOTS = ("/v1", "/openai/v1")


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
    purchases = PurchaseRoutes(overview, ledger)
    app.include_router(purchases.public, prefix=PREFIX)
    for routes in (
        *(StatusRoutes(overview), AutoRoutes(overview, ask_learner), AdapterRoutes(overview, ask_discovery, noting)),
        *(TenantRoutes(ledger), InvitationRoutes(entrance.door), KeyRoutes(overview, ledger), AuditRoutes(ledger)),
        *(UsageRoutes(ledger), LimitRoutes(ledger), CreditRoutes(overview, ledger), purchases),
        *(ProviderKeyRoutes(overview, ledger), TenantDataRoutes(overview, ledger)),
    ):
        # Those that use the ledger run in threads, with connections of their own.
        app.include_router(routes.router, prefix=PREFIX, dependencies=[Depends(check)])
    for root in OPENAI_ROOTS:
        app.include_router(OpenAIUsageRoutes(ledger).router, prefix=root, dependencies=[Depends(check)])
    app.add_api_route(f"{PREFIX}/openapi.json", _document(app), include_in_schema=False, response_class=Response)
    return app


def _document(app: FastAPI) -> Callable[[], Response]:
    """Returns the handler of the OpenAPI document, which is for everybody: it says nothing of the installation."""

    @cache
    def made() -> bytes:
        return document(app, PREFIX)

    def answer() -> Response:
        return Response(made(), 200, {"cache-control": "no-cache"}, "application/json")

    return answer


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

    async def info() -> Json[Info]:
        """Says if the installation can answer, and which models there are."""
        return Json(overview.info())

    router = routes_of({"GET /info": info})

    @router.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await feed.serve(socket)

    return router


class StatusRoutes:
    """The state for administrators."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self.router = routes_of({"GET /status": self._status})

    async def _status(self) -> Json[Status]:
        """Shows the processes, local models and watched servers."""
        return Json(self._overview.status())
