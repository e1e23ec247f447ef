"""The hold of one request on its key's limits: the fast way, by arithmetic alone."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from time import time
from typing import Final, Protocol

from weebill.limits.counting import REFUSED
from weebill.limits.headers import OPENAI
from weebill.limits.limit import MOST
from weebill.limits.slices import Grant, Slice, Tally, tightest

_UNBOUNDED: Final = 4 * MOST  # more than is left of anything


class Lender(Protocol):
    """The source of more of a slice."""

    async def take(self, needs: Sequence[tuple[Slice, int]]) -> None:
        """Takes so much of each slice, or nothing; waits for what can be borrowed. Raises Short, Unanswered."""


class Hold:
    """The hold of one request on its key's limits; the request began at `began_us`, in Unix microseconds.

    Belongs to its worker's event loop. Its client has asked the `endpoint` of this name, and reads what is left in
    the `form` of the header lines.
    """

    _fewest: int  # of `_requests_of`
    _least: int  # of `_tokens_of`

    __slots__ = (
        "_fewest", "_least", "_lender", "_nano", "_requests_of", "_tokens", "_tokens_of", "began_us", "endpoint",
        "form", "grant",
    )  # fmt: skip

    def __init__(self, lender: Lender, grant: Grant, began_us: int) -> None:
        self._lender = lender
        self.grant = grant
        self.began_us = began_us
        self._tokens = 0
        self._nano = 0
        self._requests_of: Slice | None = None
        self._tokens_of: Slice | None = None
        self.form = OPENAI
        self.endpoint = ""

    @property
    def held(self) -> str:
        """The ids of the limits, for the record."""
        return self.grant.held

    def lines(self) -> bytes:
        """Returns the header lines: what was left once this request had taken its part, and its first call its own."""
        if self._tokens_of is None:  # refused before its first call, or answered without one
            self._note_tokens()
        form, requests, tokens, now = self.form, self._requests_of, self._tokens_of, int(time())
        if tokens is None:
            if requests is None:
                return b""
            return form.requests % (requests.amount, self._fewest, form.until(requests.end, now))
        until = form.until(tokens.end, now)
        if requests is None:
            return form.tokens % (tokens.amount, self._least, until)
        other = until if requests.end == tokens.end else form.until(requests.end, now)
        return form.both % (requests.amount, self._fewest, other, tokens.amount, self._least, until)

    def enter(self) -> Coroutine[None, None, None] | None:
        """Takes a request of each limit of requests; returns what is to be awaited if there are too few here.

        That raises Short, Unanswered.
        """
        grant = self.grant
        short = False
        nearest, least = None, _UNBOUNDED
        for each in grant.requests:
            each.taken = taken = each.taken + 1
            if taken > each.most:
                short = True
            left = each.left - taken
            if left < least:
                nearest, least = each, left
        for each in grant.concurrent:
            each.taken = taken = each.taken + 1
            if taken > each.most:
                short = True
        if short:
            return self._enter_slowly()
        if nearest is not None:
            self._requests_of, self._fewest = nearest.tightest, least
        return None

    def cover(self, tokens: int, nano: int) -> Coroutine[None, None, None] | None:
        """Reserves the most that one more call may take; returns what is to be awaited if there is too little here.

        A request's record has the tokens of one call, and the costs of all. What is to be awaited raises Short,
        Unanswered.
        """
        grant = self.grant
        more = tokens - self._tokens
        if more < 0 or not grant.tokens:
            more = 0
        self._tokens += more
        self._nano += nano
        short = False
        nearest, least = None, _UNBOUNDED
        if more:
            for each in grant.tokens:
                each.taken = taken = each.taken + more
                if taken > each.most:
                    short = True
                left = each.left - taken
                if left < least:
                    nearest, least = each, left
        if nano:
            for each in grant.spend:
                each.taken = taken = each.taken + nano
                if taken > each.most:
                    short = True
        if short:
            return self._cover_slowly(more, nano)
        if nearest is not None and self._tokens_of is None:
            self._tokens_of, self._least = nearest.tightest, least
        return None

    def uncover(self, nano: int) -> None:
        """Frees what was reserved for a call that costs nothing after all."""
        self._uncover(0, nano)

    def exceeded(self, tokens: int, nano: int) -> bool:
        """True if the request has used more than was reserved for its calls."""
        grant = self.grant
        return (0 < self._tokens < tokens and bool(grant.tokens)) or (self._nano < nano and bool(grant.spend))

    def settle(self, outcome: str, tokens: int, nano: int) -> None:
        """Frees what the request has not used, once its record is written; after `enter` alone."""
        grant = self.grant
        for each in grant.concurrent:
            each.taken -= 1
            if each.most < 0:
                each.close()
        if outcome == REFUSED:
            _free(grant.requests, 1)
        rest = self._tokens - tokens
        if rest:
            for each in grant.tokens:
                each.taken -= rest
                if each.most < 0:
                    each.close()
        rest = self._nano - nano
        if rest:
            for each in grant.spend:
                each.taken -= rest
                if each.most < 0:
                    each.close()
        self._tokens = self._nano = 0

    def _enter_slowly(self) -> Coroutine[None, None, None] | None:
        once = (*self.grant.requests, *self.grant.concurrent)
        if _fit(once):
            self._note_requests()
            return None
        _free(once, 1)
        return self._wait_to_enter(_needs(once, 1))

    async def _wait_to_enter(self, needs: Sequence[tuple[Slice, int]]) -> None:
        try:
            await self._lender.take(needs)
        finally:
            self._note_requests()

    def _cover_slowly(self, tokens: int, nano: int) -> Coroutine[None, None, None] | None:
        grant = self.grant
        if (not tokens or _fit(grant.tokens)) and (not nano or _fit(grant.spend)):
            self._note_tokens()
            return None
        self._uncover(tokens, nano)
        return self._wait_to_cover(tokens, nano)

    async def _wait_to_cover(self, tokens: int, nano: int) -> None:
        grant = self.grant
        needs = _needs(grant.tokens, tokens) if tokens else []
        needs += _needs(grant.spend, nano) if nano else []
        try:
            await self._lender.take(needs)
        finally:
            self._note_tokens()
        self._tokens += tokens
        self._nano += nano

    def _note_requests(self) -> None:
        if self.grant.requests:
            self._requests_of, self._fewest = tightest(self.grant.requests)

    def _note_tokens(self) -> None:
        if self._tokens_of is None and self.grant.tokens:
            self._tokens_of, self._least = tightest(self.grant.tokens)

    def _uncover(self, tokens: int, nano: int) -> None:
        grant = self.grant
        if tokens:
            _free(grant.tokens, tokens)
        if nano:
            _free(grant.spend, nano)
        self._tokens -= tokens
        self._nano -= nano


def _fit(tallies: Iterable[Tally]) -> bool:
    return all(each.taken <= each.most or each.fits() for each in tallies)


def _free(tallies: Iterable[Tally], amount: int) -> None:
    """Frees an amount of all."""
    for each in tallies:
        each.taken -= amount
        if each.most < 0:
            each.close()


def _needs(tallies: Iterable[Tally], amount: int) -> list[tuple[Slice, int]]:
    return [(slice_, amount) for each in tallies for slice_ in each.slices]
