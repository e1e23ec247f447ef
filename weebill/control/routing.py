"""The routes of the control process: tables of methods and paths, as in `PERMITS`, with their handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from fastapi.params import Depends
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from weebill.control.storable import StorableTexts

# Returns an answer, or awaits it; its annotation says which.
Handler = Callable[..., object]
Routes = Mapping[str, Handler]


class LateRoute(Route):
    """A route whose handler FastAPI looks at for the first request to it: to look at all takes a third of a second.

    `named` are its methods and its path, as its table has them.
    """

    def __init__(self, named: str, handler: Handler, prefix: str, dependencies: Sequence[Depends]) -> None:
        methods, _, path = named.partition(" ")
        super().__init__(f"{prefix}{path}", handler)
        self.named = named
        self.methods = {*methods.split(",")}
        self._group = path.split("/")[1]
        self._dependencies = dependencies

    @cached_property
    def prepared(self) -> StorableTexts:
        """FastAPI's own; the first part of the path is its group in the OpenAPI document."""
        # Without a model, FastAPI leaves an answer as it is.
        return StorableTexts(
            self.path,
            self.endpoint,
            methods=self.methods,
            tags=[self._group],
            dependencies=self._dependencies,
            response_model=None,
        )

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        return match, {**found, "route": self} if found else found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.prepared.handle(scope, receive, send)


def routes_of(handlers: Routes, prefix: str = "", dependencies: Sequence[Depends] = ()) -> Iterator[LateRoute]:
    """Yields the routes of a table below `prefix`, for which the dependencies are called first."""
    for named, handler in handlers.items():
        yield LateRoute(named, handler, prefix, dependencies)


def methods_at(routes: Iterable[BaseRoute], scope: Scope) -> list[str]:
    """Returns the methods that the path of a request has: each has a route of its own."""
    found: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            found.update(route.methods or ())
    return sorted(found)
