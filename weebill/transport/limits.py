"""Bounds that are not settings: each keeps one connection's memory or time finite."""

from __future__ import annotations

from typing import Final

# Received but not yet consumed, per direction; beyond it the socket is not read.
READ_HIGH_WATER: Final = 65_536
# Written but not yet taken by the kernel; beyond it `drain()` waits.
WRITE_HIGH_WATER: Final = 65_536
# Pipelined requests waiting for the one being answered.
PIPELINE_BYTES: Final = 65_536
# Header fields of one message; each costs an allocation or two.
MAX_HEADER_FIELDS: Final = 256
# Head of an upstream's response, interim responses included.
MAX_RESPONSE_HEAD_BYTES: Final = 65_536
# A body buys this much time per byte beyond `body_timeout_s`, so that large uploads pass and drips do not; within
# `body_total_s` in all.
MIN_BODY_BYTES_PER_S: Final = 16_384
# After an early answer the rest of the request is read and thrown away, so that the client sees the answer
# and not a reset: at most this long in all, and this long without a byte.
LINGER_S: Final = 10.0
LINGER_IDLE_S: Final = 2.0
# Connections over `max_connections` that are being told so; beyond it they are cut without a word.
MAX_REFUSALS: Final = 256
# Requests waiting for a connection of one origin's pool.
MAX_WAITERS: Final = 1024
# How often an upstream connection's timeouts are looked at.
CLIENT_SWEEP_S: Final = 0.1
# An answer of which nobody needs the rest gets this long to end by itself, so that its connection can be used again.
RELEASE_S: Final = 0.5
# A handler that was cut off gets this long to record what was used.
CANCEL_GRACE_S: Final = 2.0
