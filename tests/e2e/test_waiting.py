"""Requests that wait for a slot of the real engine: another key's are not kept waiting, and who leaves makes room."""

from __future__ import annotations

import json
import select
import socket
from contextlib import ExitStack

from tests.e2e.installation import Installation

# Longer than any of these is waited for.
LONG = {"max_tokens": 6000, "ignore_eos": True}
WAIT_S = 60.0


def ask(weebill: Installation, key: str, **fields: object) -> socket.socket:
    """A connection on which a stream has been asked for."""
    asked = {"model": "mini", "stream": True, "messages": [{"role": "user", "content": "Count."}], **fields}
    body = json.dumps(asked).encode()
    connection = socket.create_connection(("127.0.0.1", weebill.port), timeout=WAIT_S)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}"
    head += "\r\nContent-Type: application/json"
    connection.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def begin(*connections: socket.socket) -> socket.socket:
    """Wait until one of them has been given a slot, and something has been written for it; that one."""
    ready, _, _ = select.select(connections, [], [], WAIT_S)
    seen = b""
    while b'"content":"' not in seen:
        more = ready[0].recv(65536)
        assert more, seen
        seen += more
    return ready[0]


def test_a_key_that_asks_for_much_leaves_others_their_share(weebill: Installation) -> None:
    other = weebill.weebill("keys", "create", "greedy", "--quiet").strip()
    with ask(weebill, weebill.key, max_tokens=4) as before:
        begin(before)
    with ExitStack() as stay:
        greedy = [stay.enter_context(ask(weebill, other, **LONG)) for _ in range(6)]
        begin(*greedy)
        with ask(weebill, weebill.key, max_tokens=4) as ordinary:
            begin(ordinary)
    # Those that were answered and those that waited have all left.
    with ask(weebill, other, max_tokens=4) as left, ask(weebill, weebill.key, max_tokens=4) as right:
        begin(left)
        begin(right)
