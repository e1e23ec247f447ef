"""Calls in a streamed answer of which it is not known yet who runs them: the client, or the provider itself.

Agents behind the Responses API run functions of their own and tell of them as of any other, but what such a call gave
comes in the same answer. So a call of a function that the client has offered is the client's from its first piece on,
and any other call waits until it is whole and what comes next is not its result.

Sources: https://mlflow.org/docs/latest/genai/flavors/responses-agent-intro (agents that stream a `function_call_output`
item after each call) and https://learn.microsoft.com/dotnet/api/azure.ai.agentserver.responses
"""

from __future__ import annotations

from weebill.wire.arguments import made_arguments
from weebill.wire.responses_calls import MadeCall


class Undecided:
    """The calls of one answer that wait, each with the output index that it has.

    `offered` are the functions that the client has; None where that is not known, and every function may be one.
    """

    __slots__ = ("_begun", "_offered", "run", "waiting")

    def __init__(self, offered: frozenset[str] | None) -> None:
        self._offered = offered
        # By output index, calls that are not whole, and the pieces of their arguments.
        self._begun: dict[int, tuple[MadeCall, list[str]]] = {}
        self.waiting: list[tuple[int, MadeCall]] = []
        """The calls that are whole, in the order in which they became so."""
        self.run: set[str] = set()
        """The ids of all calls that the provider runs."""

    def is_clients(self, function: str) -> bool:
        """Tells whether nobody but the client can run `function`."""
        return self._offered is None or function in self._offered

    def begin(self, at: int, call: MadeCall) -> None:
        """A call has begun."""
        self._begun.setdefault(at, (call, []))

    def piece(self, at: int, arguments: str) -> None:
        """A piece of its arguments, if it is a call of these that is at `at`."""
        begun = self._begun.get(at)
        if begun is not None:
            begun[1].append(arguments)

    def whole(self, at: int, arguments: str) -> None:
        """All of its arguments, if it is a call of these that is at `at`."""
        begun = self._begun.get(at)
        if begun is not None:
            begun[1][:] = [arguments]

    def end(self, at: int, call: MadeCall, *, given: bool) -> None:
        """A call is over. One whose arguments nobody has `given` is not whole: the end of the answer may have them."""
        _, pieces = self._begun.pop(at, (call, []))
        if given:
            self.waiting.append((at, call))
        elif pieces:
            self.waiting.append((at, call._replace(arguments=made_arguments("".join(pieces)))))
        else:
            self._begun[at] = (call, pieces)

    def provider_runs(self, call_id: str) -> bool:
        """The provider runs a call. True if it is one of those that waited, which does so no more."""
        self.run.add(call_id)
        known = len(self.waiting) + len(self._begun)
        self.waiting = [each for each in self.waiting if each[1].id != call_id]
        self._begun = {at: each for at, each in self._begun.items() if each[0].id != call_id}
        return len(self.waiting) + len(self._begun) < known

    def taken(self) -> list[tuple[int, MadeCall]]:
        """The calls that are whole, which wait no more: they have no results, so they are for the client."""
        waiting, self.waiting = self.waiting, []
        return waiting

    def rest(self) -> list[tuple[int, MadeCall]]:
        """The events of the calls that never became whole."""
        begun, self._begun = self._begun, {}
        return [
            (at, call._replace(arguments=made_arguments("".join(pieces))) if pieces else call)
            for at, (call, pieces) in begun.items()
        ]
