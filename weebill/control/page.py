"""The status page: one file without external parts, and a policy that allows only its own scripts and styles."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from fastapi import Response

_FILE = Path(__file__).with_name("page.html")


class Page(NamedTuple):
    """The file and its content security policy."""

    content: bytes
    policy: str

    @classmethod
    def load(cls) -> Page:
        """Reads the file; only its inline style and script are allowed, by their hashes."""
        content = _FILE.read_bytes()
        directives = (
            "default-src 'none'",
            f"style-src {_hashes(content, b'style')}",
            f"script-src {_hashes(content, b'script')}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
        return cls(content, "; ".join(directives))

    def response(self) -> Response:
        """Returns the answer to `GET /`."""
        headers = {"content-security-policy": self.policy, "cache-control": "no-cache"}
        return Response(self.content, 200, headers, "text/html")


def policy_of(content: bytes) -> str:
    """Returns the content security policy of a page that has nothing but its own inline style."""
    return f"default-src 'none'; style-src {_hashes(content, b'style')}; base-uri 'none'; frame-ancestors 'none'"


def _hashes(content: bytes, element: bytes) -> str:
    """Returns the policy's source list for the inline elements of this name."""
    bodies = re.findall(rb"<%b>(.*?)</%b>" % (element, element), content, re.DOTALL)
    return " ".join(f"'sha256-{b64encode(sha256(body).digest()).decode()}'" for body in bodies)
