"""Bounds that are not settings: each limits one connection's memory or time."""

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
# The head of an upstream's response, interim responses included.
MAX_RESPONSE_HEAD_BYTES: Final = 65_536
# A body extends its deadline beyond `body_timeout_s` by this rate, so that large uploads pass and drips do not; at most
# to `body_total_s`.
MIN_BODY_BYTES_PER_S: Final = 16_384
# After an early answer the rest of the request is read and dropped, so that the client sees the answer and not a reset:
# at most this many seconds in all, and this many without a byte.
LINGER_S: Final = 10.0
LINGER_IDLE_S: Final = 2.0
# Connections over `max_connections` that get a refusal; further ones are cut.
MAX_REFUSALS: Final = 256
# Requests waiting for a connection of one origin's pool.
MAX_WAITERS: Final = 1024
# Seconds between two looks at an upstream connection's timeouts.
CLIENT_SWEEP_S: Final = 0.25
# Seconds for the unneeded rest of an answer to end by itself, so that its connection can be reused.
RELEASE_S: Final = 0.5
# Seconds for a cancelled handler to record usage.
CANCEL_GRACE_S: Final = 2.0
