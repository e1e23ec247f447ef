"""nginx, as the upstream with a fixed answer and as the reverse proxy to compare with: one worker each."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from bench.proc import Service, require
from bench.upstream import COMPLETION

_MANY = 1_000_000_000

_CONFIG = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
worker_rlimit_nofile {fds};
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_requests {many};
    keepalive_timeout 600s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{servers}
}}
"""

_FIXED = """\
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        default_type application/json;
        location / {{ return 200 '{body}'; }}
    }}
"""

_PROXY = """\
    upstream to_{upstream} {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests {many}; }}
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        location / {{
            proxy_pass http://to_{upstream};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering {buffering};
        }}
    }}
"""


def version() -> str:
    printed = subprocess.run([require("nginx", "nginx"), "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/(\S+)", printed)
    return found[1] if found else printed.strip()


def fixed_answer(port: int, answer: bytes = COMPLETION) -> str:
    """A server that answers everything with the same JSON, a chat completion unless another is given."""
    body = answer.decode()
    if "'" in body or "$" in body:
        raise ValueError("the answer must not contain what nginx would expand")
    return _FIXED.format(port=port, body=body)


def proxy(port: int, upstream: int, *, buffering: bool) -> str:
    """A server that passes everything on, over connections that it keeps open."""
    return _PROXY.format(port=port, upstream=upstream, many=_MANY, buffering="on" if buffering else "off")


def start(folder: Path, servers: list[str], *, core: int, fds: int) -> Service:
    """nginx with these servers and its files in `folder`."""
    folder.mkdir(parents=True)
    config = folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            user="user root;" if os.geteuid() == 0 else "",
            fds=fds,
            connections=fds - 100,
            many=_MANY,
            servers="".join(servers),
        )
    )
    return Service([require("nginx", "nginx"), "-c", str(config)], log=folder / "log", core=core)
