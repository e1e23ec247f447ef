"""Envoy and Caddy as bare HTTP/1.1 reverse proxies: their configurations, which keep connections to upstream open.

Both are as they come but for what would refuse or cut the load: limits on connections, and timeouts of streams.
"""

from __future__ import annotations

from typing import Final

Json = dict[str, object]

_MANY: Final = 1_000_000
_API: Final = "type.googleapis.com/envoy.extensions.filters"


def envoy(ports: dict[int, int]) -> Json:
    """A listener for each port of `ports`, which passes everything on to the upstream port beside it."""
    return {
        "static_resources": {
            "listeners": [_listener(port, upstream) for port, upstream in ports.items()],
            "clusters": [_cluster(upstream) for upstream in ports.values()],
        }
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(port: int, upstream: int) -> Json:
    # Envoy's own timeout of 15 s for a whole answer would cut the long streams.
    route = {"match": {"prefix": "/"}, "route": {"cluster": f"to_{upstream}", "timeout": "0s"}}
    manager = {
        "@type": f"{_API}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_API}.http.router.v3.Router"}}],
    }
    return {
        "name": f"at_{port}",
        "address": _address(port),
        "tcp_backlog_size": 8192,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _cluster(upstream: int) -> Json:
    thresholds = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), _MANY)
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}]
    return {
        "name": f"to_{upstream}",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [thresholds]},
        "load_assignment": {"cluster_name": f"to_{upstream}", "endpoints": endpoints},
    }


def caddy(ports: dict[int, int]) -> Json:
    """A server for each port of `ports`, which passes everything on to the upstream port beside it."""
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {"http": {"servers": {f"at_{port}": _server(port, upstream) for port, upstream in ports.items()}}},
    }


def _server(port: int, upstream: int) -> Json:
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{upstream}"}],
        "transport": {"protocol": "http", "versions": ["1.1"], "keep_alive": {"max_idle_conns_per_host": 512}},
    }
    return {
        "listen": [f"127.0.0.1:{port}"],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [proxy]}],
    }
