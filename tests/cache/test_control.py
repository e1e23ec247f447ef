"""What a request may say about the cache."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from weebill.cache.control import Control, take_control
from weebill.wire.errors import ApiError

NONE = Control(find=False, keep=False)


def control(cache: object = None, header: bytes | None = None) -> Control:
    fields = {"model": Raw(b'"m"')}
    if cache is not None:
        fields["cache"] = Raw(msgspec.json.encode(cache))
    found = take_control(fields, header)
    assert set(fields) == {"model"}
    return found


@pytest.mark.parametrize(
    ("cache", "header", "expected"),
    [
        (None, None, Control()),
        (True, None, Control()),
        (False, None, NONE),
        ({}, None, Control()),
        ({"no_cache": True}, None, Control(find=False)),
        ({"no_store": True}, None, Control(keep=False)),
        ({"no_store": True, "no_cache": True, "ttl": 60}, None, Control(False, False, 60)),
        ({"ttl": 0.5}, None, Control(ttl_s=0.5)),
        (None, b"no-cache", Control(find=False)),
        (None, b"No-Store", Control(keep=False)),
        (None, b"max-age=0, no-store ,no-cache", NONE),
        (None, b"max-age=0", Control()),
        (True, b"no-store", Control(keep=False)),
        ({"no_cache": False}, b"no-cache", Control(find=False)),
    ],
)
def test_what_it_says(cache: object, header: bytes | None, expected: Control) -> None:
    assert control(cache, header) == expected


@pytest.mark.parametrize(
    ("cache", "param"),
    [
        ("no", "cache"),
        (1, "cache"),
        ([], "cache"),
        ({"no-cache": True}, "cache"),
        ({"ttl": 0}, "cache.ttl"),
        ({"ttl": "60"}, "cache.ttl"),
        ({"no_store": 1}, "cache.no_store"),
    ],
)
def test_what_it_may_not_say(cache: Any, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        control(cache)
    assert (refused.value.status, refused.value.detail.param) == (400, param)
