"""The settings that a model was created with, in its requests: models that share a host differ in nothing else."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.base import Target
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object

# Of these, one is as good as the other.
_LENGTHS: Final = ("max_tokens", "max_completion_tokens", "n_predict")
_NULL: Final = b"null"
_KWARGS: Final = "chat_template_kwargs"
# As the templates of `models/templating` have it.
_BEGINNING: Final = "weebill_beginning"
_encode: Final = msgspec.json.encode


def add_defaults(fields: Json, target: Target) -> None:
    """Adds the model's own sampling to a request that does not say its own."""
    for name, value in target.defaults.items():
        said = _LENGTHS if name in _LENGTHS else (name,)
        if all(bytes(fields.get(each, _NULL)) == _NULL for each in said):
            fields[name] = value


def name_beginning(fields: Json, target: Target) -> None:
    """Names the beginning of the model's conversations to its template; no client names that of another model."""
    given = fields.get(_KWARGS)
    if given is None and not target.begins:
        return
    kwargs = {} if given is None or bytes(given) == _NULL else decode_object(given)
    kwargs.pop(_BEGINNING, None)
    if target.begins:
        kwargs[_BEGINNING] = Raw(_encode(target.model))
    fields[_KWARGS] = Raw(_encode(kwargs))
