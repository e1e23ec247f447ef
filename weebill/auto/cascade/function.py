"""A check of the user's own: any function that can be imported.

It is called with the request (`weebill.wire.conversation.Conversation`) and the answer (`weebill.wire.reply.Reply`),
and says True for one that will do, False or, in words, why not for one that will not. One that is no coroutine runs in
a thread. One that raises or takes too long has not judged, which the log says; the answer then goes to the client.
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
    """There is no such function; its cause is what its module did when it was imported."""


def load_function(reference: str) -> UserCheck:
    """The function named "package.module:name". Raises UnusableFunctionError."""
    module, _, name = reference.partition(":")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # whatever the user's module does when it is imported
        raise UnusableFunctionError(f"`{reference}` cannot be loaded") from error
    if not callable(found):
        raise UnusableFunctionError(f"`{reference}` is not a function")
    check: UserCheck = found
    return check


async def ask_function(check: UserCheck, asked: Conversation, reply: Reply, timeout_s: float) -> Verdict:
    """Its word on an answer."""
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
