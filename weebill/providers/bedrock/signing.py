"""Signature Version 4 for requests to AWS, computed by botocore, which is imported with the first signature.

Only deployments with an access key need it: a Bedrock API key goes as a bearer token, unsigned.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from typing import NamedTuple, Protocol, cast

_TIMESTAMP = "%Y%m%dT%H%M%SZ"


class Credentials(NamedTuple):
    """An access key; `token` is the session's where the key is temporary."""

    access_key: str
    secret_key: str
    token: str | None = None


class SigningUnavailableError(RuntimeError):
    """botocore is not installed."""

    def __init__(self) -> None:
        super().__init__("signing requests to AWS needs botocore: pip install 'weebill[bedrock]'")


class _Request(Protocol):
    context: dict[str, str]
    headers: MutableMapping[str, str]


class _Signer(Protocol):
    """The methods that are used of botocore.auth.SigV4Auth; its `add_auth` is not, as that reads the clock."""

    def canonical_request(self, request: _Request) -> str: ...

    def string_to_sign(self, request: _Request, canonical_request: str) -> str: ...

    def signature(self, string_to_sign: str, request: _Request) -> str: ...

    def scope(self, request: _Request) -> str: ...

    def headers_to_sign(self, request: _Request) -> object: ...

    def signed_headers(self, headers_to_sign: object) -> str: ...


class _SignerType(Protocol):
    def __call__(self, credentials: Credentials, service_name: str, region_name: str) -> _Signer: ...


class _RequestType(Protocol):
    def __call__(self, *, method: str, url: str, headers: dict[str, str], data: bytes) -> _Request: ...


@cache
def load() -> tuple[_SignerType, _RequestType]:
    """Imports botocore, which takes some 200 ms the first time. Raises SigningUnavailableError without it."""
    try:
        auth, awsrequest = import_module("botocore.auth"), import_module("botocore.awsrequest")
    except ImportError as error:
        raise SigningUnavailableError from error
    return cast(_SignerType, auth.SigV4Auth), cast(_RequestType, awsrequest.AWSRequest)


def sign(
    method: str,
    host: str,
    path: bytes,
    query: bytes,
    headers: bytes,
    body: bytes,
    credentials: Credentials,
    region: str,
    service: str,
    now: datetime,
) -> bytes:
    """The header lines to add to a request, each ended by CRLF: its date, the session's token, the signature.

    `host` is the Host header as it is sent, with a port that is not the default; `path` and `query` are encoded as
    they are sent; `headers` are lines of the request, all of which are signed. `now` has a time zone. Raises
    SigningUnavailableError without botocore.
    """
    signer_type, request_type = load()
    timestamp = now.astimezone(UTC).strftime(_TIMESTAMP)
    added = {"x-amz-date": timestamp}
    if credentials.token:
        added["x-amz-security-token"] = credentials.token
    lines = (line.partition(":") for line in headers.decode("latin-1").split("\r\n") if line)
    given = {name.lower(): value.strip() for name, _, value in lines}
    url = f"https://{host}{path.decode()}" + (f"?{query.decode()}" if query else "")
    request = request_type(method=method, url=url, headers={**given, **added, "host": host}, data=body)
    request.context["timestamp"] = timestamp
    signer = signer_type(credentials, service, region)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    signed = signer.signed_headers(signer.headers_to_sign(request))
    added["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signed}, Signature={signature}"
    )
    return "".join(f"{name}: {value}\r\n" for name, value in added.items()).encode("latin-1")
