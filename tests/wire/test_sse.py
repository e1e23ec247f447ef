"""Server-sent events taken out of bytes, wherever reads are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.gateway.failures import client_error
from weebill.wire.failure import UpstreamFailure
from weebill.wire.sse import MAX_EVENT_BYTES, EventSplitter, event_data, event_name, is_streamed

BLOCKS = [b"event: a\ndata: 1", b": comment", b"data: {}\ndata:more", b"id: 7\ndata: \xc3\xa9"]
STREAM = b"".join(block + b"\n\n" for block in BLOCKS)


def split(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = EventSplitter()
    return [block for piece in pieces for block in splitter.feed(piece)], splitter.rest()


@pytest.mark.parametrize("data", [STREAM, STREAM.replace(b"\n", b"\r\n"), STREAM.replace(b"\n", b"\r")])
def test_cut_at_every_byte(data: bytes) -> None:
    for cut in range(len(data) + 1):
        assert split([data[:cut], data[cut:]]) == (BLOCKS, b"")
    assert split([data[at : at + 1] for at in range(len(data))]) == (BLOCKS, b"")


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=10).map(sorted))
def test_cut_anywhere(cuts: list[int]) -> None:
    edges = [0, *cuts, len(STREAM)]
    assert split([STREAM[a:b] for a, b in itertools.pairwise(edges)]) == (BLOCKS, b"")


def test_what_has_no_blank_line_is_left() -> None:
    assert split([b"data: 1\n\ndata: 2\n"]) == ([b"data: 1"], b"data: 2")


def test_an_event_is_bounded() -> None:
    splitter = EventSplitter()
    for _ in range(MAX_EVENT_BYTES // 65536):
        assert splitter.feed(b"x" * 65536) == []
    with pytest.raises(UpstreamFailure) as caught:
        splitter.feed(b"x")
    assert (client_error(caught.value).status, client_error(caught.value).detail.code) == (
        502,
        "upstream_invalid_answer",
    )


@pytest.mark.parametrize(
    ("block", "name", "data"),
    [
        (BLOCKS[0], b"a", b"1"),
        (BLOCKS[1], b"", b""),
        (BLOCKS[2], b"", b"{}\nmore"),
        (b"data: x", b"", b"x"),
        (b"data:x\nevent:  b ", b"b", b"x"),
    ],
)
def test_name_and_data(block: bytes, name: bytes, data: bytes) -> None:
    assert (event_name(block), event_data(block)) == (name, data)


@pytest.mark.parametrize(
    ("body", "streamed"),
    [
        (b"data: {}\n\n", True),
        (b"\xef\xbb\xbf\nevent: a\r\ndata: {}\r\n\r\n", True),
        (b": well\n\ndata: {}\n\n", True),
        (b'{"done":false}\n{"done":true}\n', True),
        (b'{"a":{\n"b":1\n}\n}\n', False),
        (b"[{}]", False),
        (b"Bad gateway", False),
        (b"", False),
    ],
)
def test_what_is_the_events_of_a_stream(body: bytes, streamed: bool) -> None:
    assert is_streamed(body) is streamed
