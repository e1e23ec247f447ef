"""The permission that each route of the management API needs: one table, which tests compare with the routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weebill.accounts.permissions import Permission

_V1: Final = "/api/v1"
_ORGANIZATION: Final = "/organizations/{organization_id}"
_MEMBER: Final = f"{_ORGANIZATION}/users/{{user_id}}"
_PROJECT: Final = "/projects/{project_id}"
_ACCOUNT: Final = f"{_PROJECT}/service_accounts/{{service_account_id}}"
_KEY: Final = "/keys/{key_id}"
_USER: Final = "/users/{user_id}"

_AUTH: Final = (
    *("session", "sign-in", "link", "sign-up", "join", "reset", "reset/complete", "password"),
    *("codes", "codes/confirm", "codes/end", "sign-out", "sign-out-everywhere"),
)
_PAGES: Final = (
    *("sign-in", "sign-in/openid", "sign-in/openid/callback", "sign-up", "join", "reset", "account"),
    *("account/password", "account/codes", "account/codes/confirm", "account/codes/end"),
    *("account/sessions", "account/sign-out", "account/sign-out-everywhere"),
)

PERMITS: Final[Mapping[str, Permission]] = {
    "GET /status": "installation.manage",
    "GET /auto": "installation.manage",
    "GET /auto/curve": "installation.manage",
    "GET /export": "installation.manage",
    "POST /erasures": "installation.manage",
    "GET /limits/machines": "installation.manage",
    "POST /limits/machines/{machine}/release": "installation.manage",
    "GET /usage": "usage.read",
    "GET /usage/summary": "usage.read",
    "GET /usage/report": "usage.read",
    "GET /organization/{name:path}": "usage.read",
    "GET /providers/{provider}/keys": "provider_keys.read",
    "POST /providers/{provider}/keys": "provider_keys.write",
    "GET /providers/{provider}/keys/{provider_key_id}": "provider_keys.read",
    "PATCH /providers/{provider}/keys/{provider_key_id}": "provider_keys.write",
    "DELETE /providers/{provider}/keys/{provider_key_id}": "provider_keys.write",
    "POST /providers/{provider}/keys/{provider_key_id}/test": "provider_keys.write",
    "GET /limits": "limits.read",
    "POST /limits": "limits.write",
    "GET /limits/{limit_id}": "limits.read",
    "DELETE /limits/{limit_id}": "limits.write",
    "GET /credits": "credits.read",
    "GET /credits/transactions": "credits.read",
    "GET /credits/transactions/{transaction}": "credits.read",
    "POST /credits/grants": "installation.manage",
    "POST /credits/adjustments": "installation.manage",
    "GET /credits/statement": "credits.read",
    "GET /credits/alert": "credits.read",
    "PUT /credits/alert": "credits.buy",
    "PUT /credits/stop": "installation.manage",
    "GET /credits/rates": "installation.manage",
    "POST /credits/rates": "installation.manage",
    "POST /credits/checkout": "credits.buy",
    "POST /credits/refunds": "installation.manage",
    "GET /adapters": "installation.manage",
    "POST /adapters": "installation.manage",
    "DELETE /adapters/{provider}/{name:path}": "installation.manage",
    "GET /keys": "installation.manage",
    "POST /keys": "installation.manage",
    f"GET {_KEY}": "keys.read",
    f"PATCH {_KEY}": "keys.write",
    f"DELETE {_KEY}": "keys.write",
    f"POST {_KEY}/rotate": "keys.write",
    "GET /organizations": "organization.read",
    "POST /organizations": "installation.manage",
    f"GET {_ORGANIZATION}": "organization.read",
    f"PATCH {_ORGANIZATION}": "organization.write",
    f"POST {_ORGANIZATION}/archive": "organization.archive",
    f"POST {_ORGANIZATION}/restore": "organization.archive",
    f"GET {_ORGANIZATION}/audit": "audit.read",
    f"GET {_ORGANIZATION}/users": "members.read",
    f"POST {_ORGANIZATION}/users": "members.write",
    f"GET {_ORGANIZATION}/invitations": "members.write",
    f"POST {_ORGANIZATION}/invitations": "members.write",
    f"DELETE {_ORGANIZATION}/invitations/{{invitation_id}}": "members.write",
    f"GET {_MEMBER}": "members.read",
    f"PATCH {_MEMBER}": "members.write",
    f"DELETE {_MEMBER}": "members.write",
    f"GET {_ORGANIZATION}/projects": "projects.read",
    f"POST {_ORGANIZATION}/projects": "projects.write",
    f"GET {_PROJECT}": "projects.read",
    f"PATCH {_PROJECT}": "projects.write",
    f"POST {_PROJECT}/archive": "projects.write",
    f"POST {_PROJECT}/restore": "projects.write",
    f"GET {_PROJECT}/service_accounts": "service_accounts.read",
    f"POST {_PROJECT}/service_accounts": "service_accounts.write",
    f"GET {_ACCOUNT}": "service_accounts.read",
    f"PATCH {_ACCOUNT}": "service_accounts.write",
    f"POST {_ACCOUNT}/disable": "service_accounts.write",
    f"POST {_ACCOUNT}/enable": "service_accounts.write",
    f"GET {_PROJECT}/api_keys": "keys.read",
    f"POST {_PROJECT}/api_keys": "keys.write",
    "GET /users": "installation.manage",
    "POST /users": "installation.manage",
    f"GET {_USER}": "installation.manage",
    f"PATCH {_USER}": "installation.manage",
    f"POST {_USER}/disable": "installation.manage",
    f"POST {_USER}/enable": "installation.manage",
    "GET /audit": "installation.manage",
}
"""By method and path below `/api/v1`, and below the roots of OpenAI's API."""

ELSEWHERE: Final[Mapping[str, Permission | None]] = {
    "/": None,
    "/docs/{name:path}": None,
    f"{_V1}/info": None,
    f"{_V1}/openapi.json": None,
    f"{_V1}/stripe/webhook": None,  # its signature is checked
    **dict.fromkeys((f"{_V1}/auth/{name}" for name in _AUTH), None),
    **dict.fromkeys((f"{_V1}/sessions", f"{_V1}/sessions/{{session_id}}"), None),
    **dict.fromkeys((f"/{name}" for name in _PAGES), None),
    f"{_V1}/live": "installation.manage",
    **{
        f"{root}/{name}": "installation.manage"
        for root in ("/api", "/ollama/api")
        for name in ("pull", "create", "copy", "delete", "blobs/{digest}")
    },
}
"""By path: None is for everybody, and the others check for an admin key themselves."""

SIGNED_IN: Final = frozenset(
    (
        *("/sessions", "/sessions/{session_id}", "/auth/password", "/auth/codes", "/auth/codes/confirm"),
        *("/auth/codes/end", "/auth/sign-out", "/auth/sign-out-everywhere"),
    )
)
"""The paths below `/api/v1` that are for everybody who has signed in, and for what is their own."""
