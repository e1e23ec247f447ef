"""Errors of Google's, cuts, and what is no answer."""

import msgspec
import pytest

from tests.providers.test_gemini import ANSWERS, FAILED, READ, body, collected, feed, stream
from weebill.gateway.failures import client_error
from weebill.providers.gemini.dialect import GEMINI_DIALECT
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import (
    Failed,
    Finished,
    Started,
    TextDelta,
    UsageReported,
)

ERRORS = {
    "error-400": (400, None, "generation_config.temperature", None),
    "error-context": (400, "context_length_exceeded", None, None),
    "error-key": (502, "upstream_credential_refused", None, None),
    "error-401": (502, "upstream_credential_refused", None, None),
    "error-403": (502, "upstream_credential_refused", None, None),
    "error-404": (404, "model_not_found", None, None),
    "error-429": (429, "rate_limit_exceeded", None, 34.074824224),
    "error-500": (500, "upstream_error", None, None),
    "error-overloaded": (503, "upstream_overloaded", None, None),
    "error-504": (504, "upstream_timeout", None, None),
}


@pytest.mark.parametrize("name", FAILED)
def test_an_answer_that_is_an_error(name: str) -> None:
    status, code = FAILED[name]
    with pytest.raises(UpstreamFailure) as raised:
        GEMINI_DIALECT.decode(body(name))
    assert (client_error(raised.value).status, client_error(raised.value).detail.code) == (status, code)
    events = feed([stream(name)])
    assert isinstance(events[-1], Failed)
    assert (client_error(events[-1].error).status, client_error(events[-1].error).detail.code) == (status, code)
    assert not any(isinstance(event, Finished) for event in events)


def test_what_google_says_of_a_failed_call_is_told() -> None:
    with pytest.raises(UpstreamFailure, match=r"MALFORMED_FUNCTION_CALL.*Malformed function call: print"):
        GEMINI_DIALECT.decode(body("finish-malformed-function-call"))


def test_an_error_that_is_no_event_is_still_one() -> None:
    data = stream("error-mid-stream-bare")
    for at in range(len(data)):
        events = feed([data[:at], data[at:]])
        assert [type(event) for event in events] == [Started, TextDelta, UsageReported, Failed]
        assert events[-1].error.message == "The model is overloaded. Please try again later."


@pytest.mark.parametrize("data", [stream("cut"), b"", b": comment\n\n", stream("several").rpartition(b"data:")[0]])
def test_a_cut_is_never_a_clean_end(data: bytes) -> None:
    with pytest.raises(UpstreamFailure) as raised:
        feed([data])
    assert raised.value.code == "upstream_cut"


def test_a_last_event_without_its_blank_line_counts() -> None:
    assert collected(feed([stream("text").rstrip()])) == READ["text"]


@pytest.mark.parametrize("data", [b"", b"<html>", b"{}", b"[]", b'{"candidates": "none"}', b'"text"', b"\xff"])
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(UpstreamFailure) as raised:
        GEMINI_DIALECT.decode(data)
    assert (client_error(raised.value).status, client_error(raised.value).detail.code) == (
        502,
        "upstream_invalid_answer",
    )


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(UpstreamFailure) as raised:
        GEMINI_DIALECT.stream().feed(b"data: {]\n\n")
    assert (client_error(raised.value).status, client_error(raised.value).detail.code) == (
        502,
        "upstream_invalid_answer",
    )


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    answer = ANSWERS[name]
    status, code, param, retry_after = ERRORS[name]
    message = answer["body"]["error"]["message"]
    for whole in (answer["body"], [answer["body"]]):
        error = client_error(GEMINI_DIALECT.error(answer["status"], msgspec.json.encode(whole), "google"))
        assert (error.status, error.detail.code, error.detail.param) == (status, code, param)
        assert error.retry_after == retry_after
        assert message in error.detail.message


@pytest.mark.parametrize("data", [b"", b"<html>Bad Gateway</html>", b"[]", b'{"error": "text"}'])
def test_an_error_of_another_shape(data: bytes) -> None:
    error = client_error(GEMINI_DIALECT.error(502, data, "google"))
    assert (error.status, error.detail.code) == (502, "upstream_error")
    assert error.detail.message
