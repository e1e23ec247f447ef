"""What clients are not told of a failure is logged, once a second for each upstream."""

from __future__ import annotations

import pytest

from weebill.gateway.attempting import log_what_is_not_told
from weebill.gateway.rate_limited_log import RateLimitedLog
from weebill.transport.errors import UpstreamError


def test_once_a_second_for_each_and_only_the_last_are_remembered(caplog: pytest.LogCaptureFixture) -> None:
    failure = UpstreamError("refused by 10.0.0.1:443", "refused")
    assert failure.public_message != str(failure)
    limited_log = RateLimitedLog()
    for now, upstream in ((100.0, "a"), (100.5, "a"), (100.5, "b"), (101.2, "a"), (102.5, "c")):
        log_what_is_not_told(failure, upstream, now, limited_log)
    assert [record.args[0] for record in caplog.records] == ["a", "b", "a", "c"]
    assert limited_log.remembered == ("c",)
    for number in range(1000):
        assert limited_log.is_due(f"u{number}", 103.0)
    assert len(limited_log.remembered) == 256
    assert not limited_log.is_due("u999", 103.5)
