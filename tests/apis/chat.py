"""What the tests of Chat Completions and of Completions share."""

import json

from msgspec import Raw
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk

from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.wire.call import Call
from weebill.wire.conversation import (
    Conversation,
    Image,
    Text,
    Turn,
)
from weebill.wire.reply import (
    Choice,
    Event,
    Reply,
    Started,
    Usage,
    UsageReported,
)

HI = [{"role": "user", "content": "Hi"}]
USER = Turn("user", (Text("Hi"),))


def call(api: Api = CHAT, **fields: object) -> Call:
    return api.decode(json.dumps({"model": "m", **fields}).encode(), {}, "")


def read(*messages: object, **fields: object) -> Conversation:
    return CHAT.conversation(call(messages=messages or HI, **fields))


PNG = "data:image/png;base64,QUJD"
PICTURE = Image(data="QUJD", media_type="image/png")


def function(name: str, arguments: str = "{}", **more: object) -> dict[str, object]:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def signed(signature: str) -> dict[str, object]:
    return {"extra_content": {"google": {"thought_signature": signature}}}


USED = Usage.reported(11, 9, cached=5, cache_write=3, reasoning=7)
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 9,
    "total_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 7},
}


def reply(*choices: Choice) -> Reply:
    return Reply("chatcmpl-1", "m1", choices, USED, 5)


ENTRY = Raw(b'{"token":"Hi","logprob":-0.5,"bytes":null,"top_logprobs":[{"token":"Hi","logprob":-0.5,"bytes":null}]}')


START = Started("chatcmpl-1", "m1", 5)
END = UsageReported(USED)


def chunks(api: Api, asked: Call, events: list[Event], step: int) -> tuple[list[dict[str, object]], list[object]]:
    """The chunks' choices, one a chunk, and the usages; `step` is how many events are given at once."""
    encoder = api.stream(asked)
    model = ChatCompletionChunk if api is CHAT else Completion
    written = b"".join([encoder.feed(events[at : at + step]) for at in range(0, len(events), step)])
    blocks = (written + encoder.finish()).decode().split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    choices, usages = [], []
    for block in blocks[:-2]:
        assert block.startswith("data: ")
        chunk = json.loads(block[6:])
        if api is CHAT or all(choice["finish_reason"] for choice in chunk["choices"]):
            model.model_validate(chunk)
        assert chunk["id"] == "chatcmpl-1" or api is not CHAT
        assert (chunk["created"], chunk["model"]) == (5, "m1")
        choices += chunk["choices"]
        usages.append(chunk.get("usage", "absent"))
    return choices, usages
