"""PostgreSQL: the meaning of its failures."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

_UNREADABLE: Final = "Mend `url` in [database]: its parameters are those of `psql`, such as `sslmode`"
_WITHOUT_TLS: Final = "Turn TLS on in PostgreSQL, or let `sslmode` of `url` in [database] do without it"
_UNTRUSTED: Final = "See that PostgreSQL's certificate is valid for `sslmode` and `sslrootcert` of `url` in [database]"

# By class or code of SQLSTATE, the longer first. Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
_UNREACHABLE: Final = "See that PostgreSQL is running, and that `url` in [database] leads to it"
_ADVICE: Final[Mapping[str, str]] = {
    "08": _UNREACHABLE,
    "28": "See that `url` in [database] has the right user and password, and that PostgreSQL lets it in",
    "3D000": "Create the database, or name another one by `url` in [database]",
    "25006": "It takes no changes: `url` in [database] has to lead to the primary server",
    "40": "Other changes were in its way: try again",
    "42501": "Let its user make and change tables there",
    "42704": _UNREADABLE,  # a parameter that is none
    "42": "It may be another program's, or of another release: restore a backup, or name another by `url`",
    "53100": "The disk of PostgreSQL is full: free some space and try again",
    "53300": "PostgreSQL has no more connections: raise `max_connections`, or end those of other programs",
    "53": "PostgreSQL has run out of a resource: its log says of which",
    "55P03": "Another program has its tables locked: end that, and try again",
    "57014": "It took too long: see what keeps PostgreSQL busy",
    "57P": _UNREACHABLE,
    "58": "The disk of PostgreSQL could not be read or written: check it",
    "XX": "If it is damaged, restore a backup",
}

# Parameters that name files. Source: https://www.postgresql.org/docs/current/libpq-connect.html
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_NO_FILE: Final = frozenset({errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOTDIR})
_REJECTED: Final = "rejected SSL"


def advice(state: str | None) -> str:
    """Returns advice for a SQLSTATE, None for a connection that was lost or never made; "" for a fault of ours."""
    if state is None:
        return _UNREACHABLE
    return next((_ADVICE[state[:length]] for length in (5, 3, 2) if state[:length] in _ADVICE), "")


def advice_on_connecting(error: OSError | ValueError, url: str) -> str:
    """Returns advice for what the driver raised as it made a connection; the files that `url` names are in it."""
    if isinstance(error, ssl.SSLError):
        return f"{_UNTRUSTED}{_files_in(url)}"
    if isinstance(error, ValueError):
        return _UNREADABLE
    if error.errno in _NO_FILE and _files_in(url):
        return f"See that the files can be read that `url` in [database] names{_files_in(url)}"
    if error.errno is None and _REJECTED in str(error):
        return _WITHOUT_TLS
    return _UNREACHABLE


def _files_in(url: str) -> str:
    found = [f"`{name}` is {value}" for name, value in parse_qsl(urlsplit(url).query) if name in _FILES]
    return f" ({', '.join(found)})" if found else ""
