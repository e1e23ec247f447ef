"""What is no ASCII, no UTF-8 or no number where a client says who it is and what it wants: refused, never a 500."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.fixtures.worker import RunningWorker

ODD = (
    b"\xff", b"\xe2\x82\xac", b"\xed\xa0\x80", b"%E2%82%AC", b"%FF", b"%ED%A0%80", b"%00", b"%", b"%zz", b"\xc2\xb2",
    b"%C2%B2", b"%D9%A3", b"1_0", b"+", b"&&;=", b"1e999", b"-1", b"nan", b"99999999999999999999999",
)  # fmt: skip
BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}).encode()
GEMINI = json.dumps({"contents": [{"parts": [{"text": "Hi"}]}]}).encode()

# A method, a target and a body, in whose target `@` stands for the odd bytes.
TARGETS = [
    (b"GET", b"/v1/models?key=@", b""),
    (b"GET", b"/v1/models?limit=@&after_id=@", b""),
    (b"GET", b"/v1beta/models?pageSize=@&pageToken=@", b""),
    (b"GET", b"/v1/models/@", b""),
    (b"GET", b"/v1/responses/@", b""),
    (b"GET", b"/v1/responses/@/input_items?limit=@&after=@&order=@", b""),
    (b"DELETE", b"/v1/responses/@", b""),
    (b"POST", b"/v1/chat/completions?key=@", BODY),
    (b"POST", b"/v1/messages?beta=@", BODY),
    (b"POST", b"/v1beta/models/@:generateContent", GEMINI),
    (b"POST", b"/v1beta/models/gpt-4o-mini:@", GEMINI),
    (b"POST", b"/v1beta/models/gpt-4o-mini:streamGenerateContent?alt=@&key=@", GEMINI),
    (b"POST", b"/v1beta/models/@:countTokens", GEMINI),
    (b"POST", b"/v1beta/models/@:embedContent", GEMINI),
    (b"GET", b"/v1/@", b""),
    (b"PUT", b"/v1/chat/completions?@", BODY),
]
HEADERS = [
    *(b"authorization: Bearer @", b"authorization: @", b"x-api-key: @", b"x-goog-api-key: @", b"api-key: @"),
    *(b"x-weebill-timeout: @", b"x-stainless-timeout: @", b"content-type: @", b"cache-control: max-age=@"),
    *(b"accept-encoding: gzip;q=@", b"content-encoding: @", b"user-agent: @", b"origin: @", b"accept: @"),
    *(b"anthropic-version: @", b"anthropic-beta: @", b"openai-organization: @", b"x-request-id: @", b"cookie: @"),
    *(b"x-forwarded-for: @", b"range: bytes=@", b"if-none-match: @", b"idempotency-key: @", b"te: @", b"prefer: @"),
]


async def ask(worker: RunningWorker, method: bytes, target: bytes, body: bytes, header: bytes = b"") -> tuple[int, str]:
    """The status of the answer, and its error's code."""
    key = b"" if b"key" in header or b"authorization" in header or b"?key=" in target else worker.key.encode()
    lines = [b"%b %b HTTP/1.1" % (method, target), b"host: x", b"connection: close", b"content-length: %d" % len(body)]
    lines += [b"authorization: Bearer " + key] if key else []
    lines += [header] if header else []
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    head, _, text = answer.partition(b"\r\n\r\n")
    if text.startswith(b"{") and head.split()[1] != b"200":
        error = json.loads(text)["error"]
        return int(head.split()[1]), str(error.get("code") or error.get("type"))
    return int(head.split()[1]), ""


@pytest.mark.parametrize(("method", "target", "body"), TARGETS)
async def test_odd_bytes_in_a_target(worker: RunningWorker, method: bytes, target: bytes, body: bytes) -> None:
    for odd in ODD:
        status, code = await ask(worker, method, target.replace(b"@", odd), body)
        assert status < 500, (odd, status, code)
        if b"?key=" in target and status != 400:  # what llhttp takes for no URL
            assert (status, code) == (401, "missing_api_key" if b"&" in odd else "invalid_api_key"), odd


@pytest.mark.parametrize("header", HEADERS)
async def test_odd_bytes_in_a_header(worker: RunningWorker, header: bytes) -> None:
    for odd in ODD:
        status, code = await ask(worker, b"POST", b"/v1/chat/completions", BODY, header.replace(b"@", odd))
        assert status < 500, (odd, status, code)
        if b"key: " in header or b"authorization" in header:
            assert status == 401, odd


async def test_a_key_in_the_query_is_taken(worker: RunningWorker) -> None:
    for quoted in (worker.key.encode(), worker.key.replace("-", "%2D").encode()):
        assert (await ask(worker, b"GET", b"/v1/models?key=" + quoted, b""))[0] == 200
