"""A check by the user's own function, which can be any that can be imported.

It is called with the request (`weebill.wire.conversation.Conversation`) and the answer (`weebill.wire.reply.Reply`). It
returns True if the answer will do, and False or a reason if not. A function that is no coroutine runs in a thread. One
that raises or takes too long gives no verdict, which is logged; the answer then goes to the client.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from importlib import import_module

from weebill.auto.cascade.verdicts import Verdict
from weebill.wire.conversation import Conversation
from weebill.wire.reply import Reply

UserCheck = Callable[[Conversation, Reply], bool | str | Awaitable[bool | str]]

log = logging.getLogger(__name__)


class UnusableFunctionError(Exception):
    """The function cannot be loaded; the cause is the error of importing its module."""


def load_function(reference: str) -> UserCheck:
    """Returns the function named "package.module:name". Raises UnusableFunctionError."""
    module, _, name = reference.partition(":")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # a user's module may raise anything
        raise UnusableFunctionError(f"`{reference}` cannot be loaded") from error
    if not callable(found):
        raise UnusableFunctionError(f"`{reference}` is not a function")
    check: UserCheck = found
    return check


async def ask_function(check: UserCheck, asked: Conversation, reply: Reply, timeout_s: float) -> Verdict:
    """Returns the function's verdict on an answer."""
    try:
        async with asyncio.timeout(timeout_s):
            if inspect.iscoroutinefunction(check):
                said: object = await check(asked, reply)
            else:
                said = await asyncio.to_thread(check, asked, reply)
    except Exception as error:
        what = f"did not answer within {timeout_s} s" if isinstance(error, TimeoutError) else f"failed: {error!r}"
        log.error("the function of `auto.cascade` %s", what)
        return Verdict("function", None, what)
    if isinstance(said, str):
        return Verdict("function", not said, said)
    if isinstance(said, bool):
        return Verdict("function", said, "" if said else "it said no")
    what = f"must say True, False or why not, and said {type(said).__name__}"
    log.error("the function of `auto.cascade` %s", what)
    return Verdict("function", None, what)
