"""A head that repeats the one before is not parsed again; it must be understood as if it had been."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.transport.parser import RequestParser
from weebill.wire.errors import ApiError

HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nContent-Length: 5\r\nX-One: 1\r\n\r\n"
)
LIMIT = 400

Seen = tuple[object, ...]


def read(parser: RequestParser, data: bytes) -> Seen:
    """All that is known after one request, and what follows its body."""
    try:
        rest = parser.read_head(data, LIMIT)
        if rest is None:
            return ("unfinished",)
        head = parser.head
        length = head.length
        whole = 0 <= length <= len(rest)
        parser.end_body(rest[:length] if whole else None)
    except ApiError as error:
        return (error.status, error.detail.code)
    return (
        head.method, head.target, head.path, head.query, head.minor, length, head.keep_alive,
        sorted(head.headers), head.fields, rest[length:] if whole else rest,
    )  # fmt: skip


def primed(head: bytes = HEAD, body: bytes = b"12345") -> RequestParser:
    parser = RequestParser()
    assert len(read(parser, head + body)) > 2
    return parser


def with_length(length: bytes) -> bytes:
    return HEAD.replace(b": 5\r", b": %b\r" % length)


@pytest.mark.parametrize(
    "second",
    [
        HEAD + b"12345",
        HEAD + b"123",
        HEAD + b"12345" + HEAD,
        with_length(b"0"),
        with_length(b"11") + b"hello there",
        with_length(b"007") + b"hello there",
        with_length(b"99999999999999999999999"),
        with_length(b"1000000000000000"),
        with_length(b"5 ") + b"12345",
        with_length(b" 5") + b"12345",
        with_length(b"+5"),
        with_length(b"5, 5"),
        with_length(b"5\r\nContent-Length: 6"),
        with_length(b"5\r\nTransfer-Encoding: chunked"),
        with_length(b""),
        with_length(b"5").replace(b"X-One: 1", b"X-One: 2") + b"12345",
        HEAD.replace(b"X-One: 1\r\n", b"X-One: 1\r\nX-Two: 2\r\n") + b"12345",
        HEAD.replace(b"x\r\n", b"y\r\n") + b"12345",
        HEAD[:-2],
        HEAD[:60],
        b"\r\n" + HEAD + b"12345",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_a_request_after_another_is_read_as_the_first_would_be(second: bytes) -> None:
    parser, fresh = primed(), RequestParser()
    assert read(parser, second) == read(fresh, second)
    # And whatever it was, the one after it.
    if len(read(RequestParser(), second)) > 2:
        assert read(parser, HEAD + b"12345") == read(RequestParser(), HEAD + b"12345")


def test_a_head_of_the_same_beginning_is_still_bounded() -> None:
    room = LIMIT - len(HEAD)
    parser = primed(HEAD.replace(b"X-One: 1", b"X-One: " + b"1" * (room + 1)))
    longer = HEAD.replace(b": 5\r", b": 12\r").replace(b"X-One: 1", b"X-One: " + b"1" * (room + 1)) + b"hello there!"
    assert read(parser, longer) == (431, "headers_too_large")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([HEAD, with_length(b"3"), with_length(b"0005"), HEAD.replace(b"1.1", b"1.0")]),
            st.integers(0, len(HEAD)),
            st.binary(max_size=3),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_no_mutation_is_understood_differently(requests: list[tuple[bytes, int, bytes, int]]) -> None:
    parser = primed()
    for head, at, inserted, removed in requests:
        data = head[:at] + inserted + head[at + removed :] + b"12345"
        expected = read(RequestParser(), data)
        assert read(parser, data) == expected
        if len(expected) <= 2 or not expected[6]:  # the server closes the connection
            return
