"""Proxies from the environment, by the conventions of curl, Go and requests.

`http_proxy`, `https_proxy` and `all_proxy` name the proxy, in lower case before upper case. `no_proxy` lists what is
reached directly: `*`, names (with all below them, a leading dot or not), addresses, networks such as `10.0.0.0/8`, each
with a port or without. Addresses of this machine are always reached directly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import unquote, urlsplit

NONE: Final = ("", "none")
"""Settings that stand for no proxy."""

_PORTS: Final = {"http": 80, "https": 443}
_SOCKS: Final = ("socks5", "socks5h")
_LONGEST: Final = 255
_SEPARATORS: Final = re.compile(r"[,\s]+")
_WITH_PORT: Final = re.compile(r"(\[.+\]|[^:\[\]]+):([0-9]+)\Z")


def variable_for(url: str, environment: Mapping[str, str]) -> str | None:
    """Returns the variable that names the proxy for requests to `url`; None if they go directly."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:  # reported by the checks of addresses
        return None
    variable = _variable(f"{parts.scheme}_proxy", environment) or _variable("all_proxy", environment)
    no_proxy = _variable("no_proxy", environment)
    if variable is None or is_loopback(host) or (no_proxy and _listed(host, port, environment[no_proxy])):
        return None
    return variable


def proxy_problem(url: str) -> str:
    """Returns the problem of a proxy's URL, without quoting it; "" if there is none."""
    try:
        parts = urlsplit(url)
        fits = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return _EXPECTED
    if parts.scheme in _SOCKS:
        if any(len(unquote(word or "").encode()) > _LONGEST for word in (parts.username, parts.password)):
            return "has a user or a password of more than 255 bytes, for which SOCKS has no place"
    elif parts.scheme.startswith("socks"):
        return 'names a SOCKS proxy of an older kind; give a socks5, http or https one, or "none"'
    elif parts.scheme not in _PORTS:
        return _EXPECTED
    if not fits or parts.path not in ("", "/") or parts.query or parts.fragment:
        return _EXPECTED
    return ""


_EXPECTED: Final = 'must be like "http://user:password@proxy.example.com:3128", or "none"'


def with_scheme(url: str) -> str:
    """Returns a proxy's URL, given a URL or only host and port."""
    return url if "://" in url else f"http://{url}"


def _variable(name: str, environment: Mapping[str, str]) -> str | None:
    """Returns the variable that is set, if not empty: an empty one in lower case disables one in upper case."""
    name = name if name in environment else name.upper()
    return name if environment.get(name, "").strip() else None


def is_loopback(host: str) -> bool:
    """True if a host is this machine, and reached from nowhere else."""
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


def _listed(host: str, port: int, listed: str) -> bool:
    host = host.lower().rstrip(".")
    address = _address(host)
    for entry in filter(None, _SEPARATORS.split(listed.lower())):
        with_port = _WITH_PORT.match(entry)
        name = with_port[1] if with_port else entry
        if with_port and int(with_port[2]) != port:
            continue
        if name == "*" or (_in_network(address, name) if address else _below(host, name)):
            return True
    return False


def _below(host: str, name: str) -> bool:
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _in_network(address: IPv4Address | IPv6Address, name: str) -> bool:
    try:
        return address in ip_network(name.strip("[]"), strict=False)
    except ValueError:
        return False


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
