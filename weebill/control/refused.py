"""The statuses with which requests to the management API are refused, for its document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WHY: Final[Mapping[int, str]] = {
    400: "Something that was given is not valid; `param` names it.",
    401: "Nobody is known by this key, session or password.",
    403: "This needs a permission, or a proof that the request comes from here.",
    404: "There is nothing of the kind, or nothing that the caller may know of.",
    409: "This is in conflict with what is there.",
    413: "The body is too large.",
    422: "The provider does not work with this key.",
    429: "There were too many attempts; `Retry-After` says when to come back.",
    501: "This installation cannot do that as it is installed.",
    502: "A server has failed.",
    503: "The ledger or another process does not answer right now; try again.",
}

FURTHER: Final[Mapping[int, frozenset[str]]] = {
    401: frozenset({"POST /auth/sign-in"}),
    404: frozenset(
        (
            *("GET /auto", "GET /auto/curve", "POST /adapters", "GET /organizations", "POST /organizations"),
            *("GET /users", "GET /keys", "POST /keys", "GET /limits", "POST /limits", "GET /credits"),
            *("GET /credits/transactions", "POST /credits/grants", "POST /credits/adjustments"),
            *("GET /credits/statement", "GET /credits/alert", "PUT /credits/alert", "PUT /credits/stop"),
            *("POST /credits/checkout", "POST /credits/refunds", "POST /stripe/webhook"),
            *("GET /export", "POST /erasures"),
        )
    ),
    409: frozenset(
        (
            *("POST /organizations", "POST /organizations/{organization_id}/archive"),
            *("POST /organizations/{organization_id}/users", "POST /organizations/{organization_id}/projects"),
            "PATCH /organizations/{organization_id}/users/{user_id}",
            "DELETE /organizations/{organization_id}/users/{user_id}",
            "POST /organizations/{organization_id}/invitations",
            *("POST /projects/{project_id}/archive", "POST /projects/{project_id}/service_accounts"),
            "POST /projects/{project_id}/api_keys",
            *("POST /users", "POST /users/{user_id}/disable", "POST /limits/machines/{machine}/release"),
            *("POST /keys", "PATCH /keys/{key_id}", "DELETE /keys/{key_id}", "POST /keys/{key_id}/rotate"),
            *("POST /credits/grants", "POST /credits/adjustments", "POST /credits/refunds", "POST /credits/rates"),
            *("POST /providers/{provider}/keys", "POST /providers/{provider}/keys/{provider_key_id}/test"),
            *("POST /auth/codes", "POST /auth/codes/confirm", "POST /auth/join"),
        )
    ),
    422: frozenset({"POST /providers/{provider}/keys"}),
    429: frozenset(
        f"POST /auth/{name}"
        for name in (
            *("sign-in", "sign-up", "reset", "password"),
            *("codes", "codes/confirm", "codes/end"),
        )
    ),
    501: frozenset(
        (
            *("POST /adapters", "DELETE /adapters/{provider}/{name:path}"),
            *("POST /credits/checkout", "POST /credits/refunds", "POST /stripe/webhook"),
        )
    ),
    502: frozenset({"POST /adapters", "DELETE /adapters/{provider}/{name:path}"}),
}
"""By status, the routes that refuse so beyond what follows from their form."""
