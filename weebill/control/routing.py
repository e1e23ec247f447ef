"""The routes of the management API: a table of methods and paths, as in `PERMITS`, with their handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import APIRouter

# Returns an answer, or awaits it; its annotation says which.
Handler = Callable[..., object]


def routes_of(handlers: Mapping[str, Handler]) -> APIRouter:
    """Returns routes, by method and path; the first part of the path is their group in the OpenAPI document."""
    router = APIRouter()
    for named, handler in handlers.items():
        method, _, path = named.partition(" ")
        # Without a model, FastAPI leaves an answer as it is.
        router.add_api_route(path, handler, methods=[method], tags=[path.split("/")[1]], response_model=None)
    return router
