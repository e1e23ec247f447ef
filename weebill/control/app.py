"""The application of the control process: the management API and the status page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache

from fastapi import Depends, FastAPI, Request, Response

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
from weebill.control.ollama import ROOTS, OllamaManagement
from weebill.control.openai_usage import OpenAIUsageRoutes
from weebill.control.overview import Info, Overview, Status
from weebill.control.page import Page
from weebill.control.provider_keys import ProviderKeyRoutes
from weebill.control.purchases import PurchaseRoutes
from weebill.control.routing import Routes, routes_of
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
    purchases = PurchaseRoutes(overview, ledger)
    add = app.router.routes.extend
    ollama = OllamaManagement(overview, keys, models_changed, noting).routes
    add(routes_of({**_front(entrance), **entrance.pages, **_manual()}))
    add(routes_of({**_info(overview), **entrance.api, **purchases.public}, PREFIX))
    app.router.add_websocket_route(f"{PREFIX}/live", LiveFeed(overview, keys, entrance.guard).serve)
    for root in ROOTS:
        add(routes_of(ollama, root))
    checks = [Depends(Access(keys, ledger, entrance.guard).check)]
    for group in (
        *(StatusRoutes(overview), AutoRoutes(overview, ask_learner), AdapterRoutes(overview, ask_discovery, noting)),
        *(TenantRoutes(ledger), InvitationRoutes(entrance.door), KeyRoutes(overview, ledger), AuditRoutes(ledger)),
        *(UsageRoutes(ledger), LimitRoutes(ledger), CreditRoutes(overview, ledger), purchases),
        *(ProviderKeyRoutes(overview, ledger), TenantDataRoutes(overview, ledger)),
    ):
        # Those that use the ledger run in threads, with connections of their own.
        add(routes_of(group.routes, PREFIX, checks))
    for root in OPENAI_ROOTS:
        add(routes_of(OpenAIUsageRoutes(ledger).routes, root, checks))
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


def _front(entrance: SignInRoutes) -> Routes:
    """Returns the route of the status page, whose address may have a one-time link's token."""
    page = Page.load()

    async def front(request: Request, token: str = "") -> Response:
        if token and request.method == "GET":
            return await entrance.open_by_link(request, token)
        return page.response()

    return {"GET,HEAD /": front}


def _manual() -> Routes:
    """Returns the route of this documentation."""
    return {"GET,HEAD /docs/{name:path}": Manual(documentation()).response}


def _info(overview: Overview) -> Routes:
    """Returns the route of what everybody may know."""

    async def info() -> Json[Info]:
        """Says if the installation can answer, and which models there are."""
        return Json(overview.info())

    return {"GET /info": info}


class StatusRoutes:
    """The state for administrators."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self.routes: Routes = {"GET /status": self._status}

    async def _status(self) -> Json[Status]:
        """Shows the processes, local models and watched servers."""
        return Json(self._overview.status())
