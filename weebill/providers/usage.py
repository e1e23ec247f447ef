"""Usage as upstreams report it, and the estimate where they do not."""

from __future__ import annotations

from weebill.wire.call import Call
from weebill.wire.reply import Usage

# About four bytes of English make a token with the vocabularies in use.
# Source: https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them
_BYTES_PER_TOKEN = 4


class Estimate:
    """The likely usage of a call before anything is known of its answer."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def usage(self) -> Usage:
        return estimate(self._call)


def estimate(call: Call, completion_bytes: int = 0, completion_tokens: int = 0) -> Usage:
    """The likely usage of `call`, from the size of its prompt and of its answer."""
    return Usage(
        prompt_tokens=-(-call.prompt_bytes() // _BYTES_PER_TOKEN),
        completion_tokens=completion_tokens + -(-completion_bytes // _BYTES_PER_TOKEN),
    )
