"""A check that an answer was not cut before the client's limit: the context was full, or the model's own limit met."""

from __future__ import annotations

from typing import Final

from weebill.auto.cascade.verdicts import Verdict
from weebill.wire.conversation import Conversation
from weebill.wire.reply import Reply

# Upstreams count the token that ends an answer, or do not.
_SLACK: Final = 2


def check_truncation(asked: Conversation, reply: Reply) -> Verdict:
    """Checks an answer. The part of a stream that has come is not cut."""
    cut = sum(choice.finish == "length" for choice in reply.choices)
    if not cut:
        return Verdict("truncation", True)
    if asked.max_tokens is None:
        return Verdict("truncation", False, "it is cut, and the client set no limit")
    if not reply.usage.measured:
        return Verdict("truncation", None, "it is not known how long it is")
    # All that were cut by the client's limit are that long.
    if reply.usage.completion_tokens < cut * (asked.max_tokens - _SLACK):
        return Verdict("truncation", False, f"it is cut before the client's limit of {asked.max_tokens} tokens")
    return Verdict("truncation", True)
