"""The bodies of Ollama's requests that change which models a machine has.

Source: https://docs.ollama.com/api and the structs `CreateRequest`, `CopyRequest`, `DeleteRequest` and `PullRequest` in
https://github.com/ollama/ollama/blob/main/api/types.go. Ollama ignores unknown fields; here they are refused by their
name, as a model made without them would be another one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

_Text = Annotated[str, Meta(min_length=1, max_length=500)]
_Digest = Annotated[str, Meta(pattern="^sha256[:-][0-9a-f]{64}$")]
_Scalar = bool | int | float | str
# Many a model is in some hundred files.
_Files = Annotated[dict[str, _Digest], Meta(max_length=1000)]


class Named(Struct, forbid_unknown_fields=True):
    """Names a model: the newer field, or the older."""

    model: str = ""
    name: str = ""


class PullBody(Named, forbid_unknown_fields=True):
    """The body of `/api/pull`. `insecure` is for registries without TLS, of which there are none here."""

    stream: bool = True
    insecure: bool = False
    username: str = ""
    password: str = ""


class CopyBody(Struct, forbid_unknown_fields=True):
    """The body of `/api/copy`."""

    source: _Text
    destination: _Text


class FirstMessage(Struct, forbid_unknown_fields=True):
    """A message that each conversation begins with."""

    role: Literal["system", "user", "assistant"]
    content: str


class CreateBody(Named, forbid_unknown_fields=True):
    """The body of `/api/create`."""

    base: str = field(name="from", default="")
    files: _Files = {}
    adapters: _Files = {}
    system: str | None = None
    template: str | None = None
    license: str | list[str] | None = None
    parameters: dict[str, _Scalar | list[str]] | None = None
    messages: list[FirstMessage] | None = None
    quantize: str | None = None
    quantization: str | None = None
    stream: bool = True
