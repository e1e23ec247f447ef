"""The parts that the pages with forms have in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

from fastapi import Request, Response

from weebill.accounts.sign_in import Opened, Present
from weebill.control.sign_in.cookies import FormTokens, Site
from weebill.control.sign_in.door import Door
from weebill.control.sign_in.forms import TOKEN, paragraph
from weebill.control.sign_in.guard import Guard
from weebill.control.storable import refuse_unstorable
from weebill.wire.errors import ApiError

_HERE: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*")
_MOST_FIELDS: Final = 20

Shown = Callable[[str], Response]


class FormPages:
    """Reads forms, and answers with pages that have one."""

    def __init__(self, door: Door, guard: Guard, tokens: FormTokens) -> None:
        self._door = door
        self._guard = guard
        self._tokens = tokens

    async def given(self, request: Request) -> tuple[Site, dict[str, str]]:
        """Returns the fields of a form that was sent from a page of this installation. Raises ApiError 400, 403."""
        site = self._guard.site(request)
        try:
            found = parse_qs((await request.body()).decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError as error:
            raise ApiError(400, "This is not a form's body.", code="invalid_form") from error
        given = {name: values[0] for name, values in found.items()}
        refuse_unstorable(given.items())
        self._tokens.check(site, given.get(TOKEN, ""))
        return site, given

    async def changing(self, request: Request) -> tuple[Present, Site, dict[str, str]]:
        """Returns who changes something, and what the form has. Raises ApiError 401, 403."""
        site, given = await self.given(request)
        present = await self._guard.present(request)
        if present is None:
            raise ApiError(401, "You are signed out; sign in at /sign-in.", code="not_signed_in")
        return present, site, given

    def with_token(self, site: Site, shown: Shown) -> Response:
        """Returns the page that `shown` makes of a form's token, with the cookie that goes with it."""
        cookie, token = self._tokens.new(site)
        response = shown(token)
        site.set_cookie(response, cookie, "-form", lasts_s=86_400)
        return response

    def opened(self, site: Site, opened: Opened, after: str) -> Response:
        """Returns the answer that hands out a session's cookie, and leads on."""
        response = to(after)
        site.set_cookie(response, opened.token, lasts_s=int(self._door.lifetimes.longest_s))
        return response


def local_path(text: str) -> str:
    """Returns a path of this installation to go to, "/" for anything that leads elsewhere."""
    return text if _HERE.fullmatch(text) else "/"


def to(path: str) -> Response:
    """Returns the answer that leads to another page."""
    # 303: the browser asks with GET.
    return Response(status_code=303, headers={"location": path})


def bad(error: ApiError | None) -> str:
    """Returns what was refused, "" if nothing was."""
    return "" if error is None else paragraph(error.detail.message, "bad")
