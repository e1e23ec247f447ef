"""The status page: one file without external parts, and a policy that lets nothing else run or load."""

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
        """Read the file; its inline style and script are allowed by their hashes, and only they."""
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
        """The answer to `GET /`."""
        headers = {"content-security-policy": self.policy, "cache-control": "no-cache"}
        return Response(self.content, 200, headers, "text/html")


def _hashes(content: bytes, element: bytes) -> str:
    """The policy's source list for the inline elements of this name."""
    bodies = re.findall(rb"<%b>(.*?)</%b>" % (element, element), content, re.DOTALL)
    return " ".join(f"'sha256-{b64encode(sha256(body).digest()).decode()}'" for body in bodies)
