"""What goes with a request so that an upstream accepts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.fixtures.upstream import answer, running_upstream, send
from tests.transport.proxy import RunningProxy
from weebill.config.schema import ProviderSettings
from weebill.providers.base import UpstreamRequest
from weebill.routing.credentials import AwsSigner, GoogleSigner, key_lines, signer
from weebill.wire.errors import ApiError


@pytest.mark.parametrize(
    ("dialect", "options", "line"),
    [
        ("openai", {}, "authorization: Bearer k"),
        ("cohere", {}, "authorization: Bearer k"),
        ("bedrock", {}, "authorization: Bearer k"),
        ("anthropic", {}, "x-api-key: k"),
        ("anthropic", {"auth": "bearer"}, "authorization: Bearer k"),
        ("azure", {}, "api-key: k"),
        ("azure", {"auth": "bearer"}, "authorization: Bearer k"),
        ("gemini", {}, "x-goog-api-key: k"),
        ("vertex", {}, "x-goog-api-key: k"),
    ],
)
def test_each_dialect_has_its_header(dialect: str, options: dict[str, str], line: str) -> None:
    assert key_lines(dialect, ProviderSettings(api_key="k", options=options)) == [("k", line)]


def test_without_a_key_there_is_no_header() -> None:
    assert key_lines("openai", ProviderSettings()) == [("", "")]


async def test_an_access_key_signs_each_request() -> None:
    provider = ProviderSettings(access_key_id="AKIA", secret_access_key="s", session_token="t", options={"region": "r"})
    found = signer("bedrock", provider, "host.test")
    assert isinstance(found, AwsSigner)
    lines = [
        await found.lines(b"/model/m/converse", UpstreamRequest(b"/model/m/converse", body)) for body in (b"a", b"b")
    ]
    assert all(b"Credential=AKIA/" in each and b"/r/bedrock/aws4_request" in each for each in lines)
    assert b"x-amz-security-token: t\r\n" in lines[0]
    assert lines[0] != lines[1]


async def test_signing_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from weebill.providers.bedrock import signing as aws_signing

    aws_signing.load.cache_clear()
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    found = signer("bedrock", ProviderSettings(access_key_id="A", secret_access_key="s"), "host.test")
    assert found is not None
    with pytest.raises(ApiError, match=r"weebill\[bedrock\]"):
        await found.lines(b"/", UpstreamRequest(b"/", b""))
    aws_signing.load.cache_clear()


async def test_a_credentials_file_that_is_none_is_the_operators_fault(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps({"type": "service_account"}))
    provider = ProviderSettings(api_key=str(file))
    assert key_lines("vertex", provider) == [(str(file), "")]
    found = signer("vertex", provider, "host.test")
    assert isinstance(found, GoogleSigner)
    with pytest.raises(ApiError) as caught:
        await found.lines(b"/", UpstreamRequest(b"/", b""))
    assert (caught.value.status, caught.value.detail.code) == (502, "upstream_credential_refused")


@pytest.mark.parametrize("proxied", [True, False])
async def test_googles_tokens_are_fetched_through_the_providers_proxy(
    proxied: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not through the environment's, which a worker does not go by."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with running_upstream() as google, RunningProxy("me:pass") as proxy:
        google.script = send(answer(200, b'{"access_token":"ya29.x","expires_in":3600,"token_type":"Bearer"}'), True)
        proxy.resolved["oauth.test"] = "127.0.0.1"
        token_uri = f"http://{'oauth.test' if proxied else '127.0.0.1'}:{google.port}/token"
        account = {"type": "service_account", "client_email": "a@b.c", "private_key": pem, "token_uri": token_uri}
        file = tmp_path / "key.json"
        file.write_text(json.dumps(account))
        provider = ProviderSettings(api_key=str(file), proxy=proxy.url("me:pass") if proxied else "")
        found = signer("vertex", provider, "host.test")
        assert found is not None
        assert await found.lines(b"/", UpstreamRequest(b"/", b"")) == b"authorization: Bearer ya29.x\r\n"
        assert len(proxy.heads) == proxied
        assert [request.path for request in google.requests] == ["/token"]
