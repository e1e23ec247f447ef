"""One worker's turns at hosts that several workers share, and that work with one set of adapters at a time.

llama.cpp would go on with the adapters of the first of its slots, and stop the requests of all other workers for as
long as that has one. So a worker sends requests with some adapters in its turn alone, which the supervisor gives
(`supervisor.turns`). A turn is kept while nobody wants another one: most requests find it there.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from weebill.process.messages import Adapters, FromChild
from weebill.process.messages import Turn as TurnMessage


class Turn:
    """The turn of this worker at one host. `on_change` is called when requests may begin, or no longer."""

    __slots__ = ("_ends", "_had", "_host", "_number", "_turns", "_wanted", "on_change")

    def __init__(self, host: str, turns: Turns) -> None:
        self.on_change: Callable[[], None] = _nothing
        self._host = host
        self._turns = turns
        self._number = 0
        self._had: str | None = None
        self._wanted: str | None = None
        self._ends = False

    def allows(self, adapters: str, idle: bool) -> bool:
        """Tells whether a request with these adapters may begin. If not, asks for it unless others are at work; `idle`
        says that none is.
        """
        if self._had == adapters and not self._ends:
            return True
        if idle and self._wanted != adapters:
            self._say(adapters)
        return False

    def rest(self) -> None:
        """Ends a turn for which another worker waits; to be called when no request is at work."""
        if self._ends:
            self._say(None)

    def close(self) -> None:
        """Gives up what there is of it."""
        if self._had is not None or self._wanted is not None:
            self._say(None)

    def hear(self, number: int, begins: bool) -> None:
        """Takes over what the supervisor says to the latest of this worker's messages."""
        if number != self._number:
            return  # it has not read the latest one yet
        if begins:
            self._had, self._wanted = self._wanted, None
        else:
            self._ends = True
        self.on_change()

    def _say(self, adapters: str | None) -> None:
        self._had, self._wanted, self._ends = None, adapters, False
        self._number = self._turns.say(self._host, adapters)


class Turns:
    """The turns of this worker by host."""

    def __init__(self) -> None:
        self._send: Callable[[FromChild], None] | None = None
        self._numbers = count(1)
        self._turns: dict[str, Turn] = {}

    def follow(self, send: Callable[[FromChild], None]) -> None:
        """Asks the supervisor by `send` from now on."""
        self._send = send

    def at(self, host: str) -> Turn:
        """Returns the turn at a host."""
        turn = self._turns.get(host)
        if turn is None:
            turn = self._turns[host] = Turn(host, self)
        return turn

    def forget(self, host: str) -> None:
        """Gives up the turn at a host that no request uses."""
        if (turn := self._turns.pop(host, None)) is not None:
            turn.close()

    def hear(self, message: TurnMessage) -> None:
        """Takes over what the supervisor says."""
        if (turn := self._turns.get(message.host)) is not None:
            turn.hear(message.number, message.begins)

    def say(self, host: str, adapters: str | None) -> int:
        """Tells the supervisor what is wanted at a host; returns the number of the message."""
        number = next(self._numbers)
        if self._send is not None:
            self._send(Adapters(host=host, adapters=adapters, number=number))
        return number


def _nothing() -> None:
    """Stands for a queue that is not there yet."""
