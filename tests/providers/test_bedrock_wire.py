"""What Bedrock needs below its dialect: frames and signatures, held against botocore's and AWS's own."""

from __future__ import annotations

import importlib
import random
import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vectors.eventstream import encode_frame, frame_of, header
from weebill.providers.bedrock import signing as aws_signing
from weebill.providers.bedrock.signing import Credentials, SigningUnavailableError, sign
from weebill.wire.eventstream import FrameDecoder, read_headers
from weebill.wire.failure import UpstreamFailure
from weebill.wire.sse import MAX_EVENT_BYTES

UUID = bytes(range(16))
ALL_TYPES = b"".join(
    [
        header("yes", b"\x00"),
        header("no", b"\x01"),
        header("byte", b"\x02\xff"),
        header("short", b"\x03" + struct.pack(">h", -300)),
        header("int", b"\x04" + struct.pack(">i", 70000)),
        header("long", b"\x05" + struct.pack(">q", -(2**40))),
        header("bytes", b"\x06\x00\x03abc"),
        header("text", b"\x07\x00\x03d\xc3\xa9"),
        header("time", b"\x08" + struct.pack(">q", 1700000000000)),
        header("uuid", b"\x09" + UUID),
    ]
)
VALUES = {
    "yes": True, "no": False, "byte": -1, "short": -300, "int": 70000, "long": -(2**40), "bytes": b"abc",
    "text": "dé", "time": 1700000000000, "uuid": UUID,
}  # fmt: skip
frames = st.lists(
    st.builds(
        encode_frame,
        st.dictionaries(st.text("abc:-", min_size=1, max_size=9), st.text(max_size=9), max_size=4),
        st.binary(max_size=60),
    ),
    max_size=5,
)


def decoded(*pieces):
    decoder = FrameDecoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)]


def test_headers_of_all_types_are_read():
    assert decoded(frame_of(ALL_TYPES, b"{}")) == [(VALUES, b"{}")]


def test_frames_are_the_same_wherever_they_are_split():
    data = frame_of(ALL_TYPES, b"{}") + encode_frame({}, b"") + encode_frame({":event-type": "x"}, b"hello")
    whole = decoded(data)
    assert len(whole) == 3
    for at in range(len(data)):
        assert decoded(data[:at], data[at:]) == whole
    assert decoded(*(data[at : at + 1] for at in range(len(data)))) == whole


@settings(max_examples=50, deadline=None)
@given(frames, st.integers(0, 2**32))
def test_frames_are_those_that_botocore_reads(encoded, seed):
    eventstream = pytest.importorskip("botocore.eventstream")
    data = b"".join(encoded)
    theirs = eventstream.EventStreamBuffer()
    theirs.add_data(data)
    cut = random.Random(seed).randrange(len(data) + 1)
    ours = decoded(data[:cut], data[cut:])
    assert ours == [(message.headers, message.payload) for message in theirs]
    assert len(ours) == len(encoded)


@pytest.mark.parametrize("at", range(len(encode_frame({":event-type": "x"}, b"hello"))))
def test_a_frame_with_a_wrong_byte_is_refused(at):
    damaged = bytearray(encode_frame({":event-type": "x"}, b"hello"))
    damaged[at] ^= 0x10
    with pytest.raises(UpstreamFailure) as caught:
        decoded(bytes(damaged))
    assert caught.value.failure.kind == "invalid_answer"


@pytest.mark.parametrize(
    ("length", "header_length"),
    [(MAX_EVENT_BYTES + 1, 0), (15, 0), (0, 0), (100, 85), (MAX_EVENT_BYTES, 200_000)],
)
def test_lengths_are_bounded_before_anything_is_kept(length, header_length):
    prelude = struct.pack(">II", length, header_length)
    with pytest.raises(UpstreamFailure, match=r"damaged"):
        decoded(prelude + struct.pack(">I", crc32(prelude)))


@pytest.mark.parametrize(
    "block", [b"\x05ab", b"\x01a", b"\x01a\x0a", b"\x01a\x04\x00", b"\x01a\x07\x00\x05abc", b"\x01a\x07\x00\x01\xff"]
)
def test_headers_that_end_early_are_refused(block):
    with pytest.raises(UpstreamFailure) as caught:
        read_headers(block)
    assert caught.value.failure.kind == "invalid_answer"


def test_an_unfinished_frame_is_pending():
    decoder = FrameDecoder()
    data = encode_frame({}, b"hello")
    decoder.feed(data + data[:7])
    assert decoder.pending == 7


# The published test suite for Signature Version 4: get-vanilla, post-vanilla, get-vanilla-query-order-key-case and
# post-x-www-form-urlencoded.
# Source: https://docs.aws.amazon.com/general/latest/gr/signature-v4-test-suite.html
KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
FORM = b"content-type: application/x-www-form-urlencoded\r\n"


@pytest.mark.parametrize(
    ("method", "query", "headers", "body", "signed", "signature"),
    [
        ("GET", b"", b"", b"", "host;x-amz-date",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", b"", b"", b"", "host;x-amz-date",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", b"Param2=value2&Param1=value1", b"", b"", "host;x-amz-date",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ("POST", b"", FORM, b"Param1=value1", "content-type;host;x-amz-date",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ],
)  # fmt: skip
def test_signatures_are_those_that_aws_published(method, query, headers, body, signed, signature):
    pytest.importorskip("botocore")
    lines = sign(method, "example.amazonaws.com", b"/", query, headers, body, KEY, "us-east-1", "service", NOW)
    assert lines.decode() == (
        "x-amz-date: 20150830T123600Z\r\n"
        "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={signed}, Signature={signature}\r\n"
    )


def test_a_request_to_bedrock_is_signed_as_botocore_does(monkeypatch):
    auth = pytest.importorskip("botocore.auth")
    awsrequest = importlib.import_module("botocore.awsrequest")
    monkeypatch.setattr(auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    key = Credentials("AKIDEXAMPLE", "secret", "session//token==")
    host, path = (
        "bedrock-runtime.eu-west-1.amazonaws.com",
        "/model/eu.anthropic.claude-3-haiku-20240307-v1%3A0/converse",
    )
    request = awsrequest.AWSRequest(
        method="POST", url=f"https://{host}{path}", headers={"Content-Type": "application/json"}, data=b'{"a":1}'
    )
    auth.SigV4Auth(key, "bedrock", "eu-west-1").add_auth(request)
    zone = timezone(timedelta(hours=2))
    lines = sign(
        "POST", host, path.encode(), b"", b"content-type: application/json\r\n", b'{"a":1}', key, "eu-west-1",
        "bedrock", NOW.astimezone(zone),
    )  # fmt: skip
    ours = dict(line.split(": ", 1) for line in lines.decode().splitlines())
    assert ours == {
        "x-amz-date": request.headers["X-Amz-Date"],
        "x-amz-security-token": "session//token==",
        "authorization": request.headers["Authorization"],
    }


def test_without_botocore_it_says_what_to_install(monkeypatch):
    aws_signing.load.cache_clear()
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(SigningUnavailableError, match=r"pip install 'weebill\[bedrock\]'"):
        sign("POST", "host", b"/", b"", b"", b"", KEY, "eu-west-1", "bedrock", NOW)
    aws_signing.load.cache_clear()


def test_botocore_is_not_loaded_with_the_dialect():
    modules = "weebill.providers.bedrock.dialect, weebill.providers.bedrock.signing"
    program = f"import sys, {modules}\nassert 'botocore' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
