"""The permissions of an API key, by its limits: endpoints, names of models, and entries of lists of models."""

from __future__ import annotations

from collections.abc import Sequence

from weebill.accounts.api_key import ApiKey
from weebill.accounts.known_key import Limits
from weebill.gateway.authentication import Caller
from weebill.routing.directory import SUFFIXES, Directory
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.models import ModelCard


def require_endpoint(caller: Caller, name: str) -> None:
    """Raises ApiError 403 if the key may not be used at an endpoint."""
    limits = caller.limits
    if limits is not None and not limits.allow_endpoint(name):
        message = f"The API key {caller.key.name!r} may not be used at the endpoint '{name}'."
        raise ApiError(403, message, code="endpoint_not_allowed")


def require_models(caller: Caller, call: Call, directory: Directory) -> None:
    """Raises ApiError 403 if the key may not ask for a model of the call, or none of them may serve it.

    Raises ApiError 404 for an unknown model, if the key is for models of this machine alone.
    """
    limits = caller.limits
    if limits is None:
        return
    own = call.own.models
    _require(limits, caller.key, call.model, "model")
    for name in own:
        _require(limits, caller.key, name, "models")
    if limits.local_only and not _is_local(directory, call.model, own):
        raise _not_local(caller.key, call.model)


def require_model(caller: Caller, name: str, directory: Directory) -> None:
    """Raises ApiError 403 if the key may not ask for a model by this name, 404 as `require_models` does."""
    limits = caller.limits
    if limits is None:
        return
    _require(limits, caller.key, name, "model")
    if limits.local_only and not _is_local(directory, name):
        raise _not_local(caller.key, name)


def permitted(caller: Caller, directory: Directory) -> tuple[ModelCard, ...]:
    """Returns the list of models that the key may ask for."""
    cards, limits = directory.cards(), caller.limits
    if limits is None:
        return cards
    return tuple([card for card in cards if _is_permitted(limits, card.id, directory)])


def _is_permitted(limits: Limits, name: str, directory: Directory) -> bool:
    return _is_named(limits, name) and (not limits.local_only or _is_local(directory, name))


def _is_named(limits: Limits, name: str) -> bool:
    """True if the key may ask for the name, whose suffix only says how deployments are sorted."""
    if limits.allow_model(name):
        return True
    base, _, suffix = name.rpartition(":")
    return suffix in SUFFIXES and limits.allow_model(base)


def _is_local(directory: Directory, name: str, fallbacks: Sequence[str] = ()) -> bool:
    """True if anything on this machine may serve the name. Raises ApiError 404 for an unknown one."""
    return any(each.deployment.capabilities.local for each in directory.route(name, fallbacks).candidates)


def _require(limits: Limits, key: ApiKey, name: str, param: str) -> None:
    if not _is_named(limits, name):
        message = f"The API key {key.name!r} may not use the model '{name}'. GET /v1/models lists those that it may."
        raise ApiError(403, message, code="model_not_allowed", param=param)


def _not_local(key: ApiKey, name: str) -> ApiError:
    message = (
        f"The API key {key.name!r} is for models of this machine alone, and nothing here serves the model '{name}'."
    )
    return ApiError(403, message, code="model_not_allowed", param="model")
