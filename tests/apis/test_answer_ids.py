"""Ids of answers: in the shape of the API that answers, whoever made the answer, and one for all of a stream."""

import json
import re

import pytest

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.gemini.api import GEMINI
from weebill.apis.responses.api import RESPONSES
from weebill.wire.call import Call
from weebill.wire.conversation import Text
from weebill.wire.reply import Choice, Finished, Reply, Started, TextDelta, Usage

HI = [{"role": "user", "content": "Hi"}]
# Of each API a request, the shape of its ids, and one of those.
APIS: dict[str, tuple[Api, dict[str, object], str, str]] = {
    "chat": (CHAT, {"model": "m", "messages": HI}, r"chatcmpl-\w+", "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT"),
    "completions": (COMPLETIONS, {"model": "m", "prompt": "Hi"}, r"cmpl-\w+", "cmpl-uqkvlQyYK7bGYrRHQ0eXlWi7"),
    "anthropic": (
        ANTHROPIC,
        {"model": "m", "max_tokens": 9, "messages": HI},
        r"msg_\w+",
        "msg_01XFDUDYJgAACzvnptvVoY",
    ),
    "responses": (RESPONSES, {"model": "m", "input": "Hi"}, r"resp_\w+", "resp_67ccd2bed1ec8190b14f964abc054267"),
    "gemini": (GEMINI, {"contents": [{"parts": [{"text": "Hi"}]}]}, r"[\w-]{16,28}", "KnTqaKqFJ9qRvdIP4dW7oQ8"),
}
FOREIGN = ["", "gen-1735317796-EcEvJUOwvsZMoYnv", "c14c80c3-18eb-4519-9460-6c92edd8cfb4", "0", "a/b ?\n"]
GIVEN = [*FOREIGN, *(own for _, _, _, own in APIS.values())]


def call(api: Api, body: dict[str, object], *, stream: bool) -> Call:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    asked = body | {"stream": True} if stream and api is not GEMINI else body
    return api.decode(json.dumps(asked).encode(), {}, f"m:{method}" if api is GEMINI else "")


def ids(data: str) -> set[str]:
    """Those of the answer itself: a Responses item has an id of its own."""
    found = re.findall(r'"(?:id|responseId)":"([^"]+)"', data)
    return {each for each in found if not (each.startswith("msg_") and "resp_" in data)}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("name", APIS)
def test_an_answers_id_has_the_shape_of_the_api_that_answers(name: str, given: str) -> None:
    api, body, shape, own = APIS[name]
    whole = api.answer(
        call(api, body, stream=False), Reply(given, "m", (Choice((Text("Ho"),), "stop"),), Usage(1, 0, 1))
    )
    encoder = api.stream(call(api, body, stream=True))
    fed = [encoder.feed([event]) for event in (Started(given, "m"), TextDelta("H"), Started("x", "m"), TextDelta("o"))]
    streamed = b"".join([*fed, encoder.feed([Finished("stop")]), encoder.finish()])
    for data in (whole, streamed):
        [only] = ids(data.decode())
        assert re.fullmatch(shape, only)
        assert not re.match("chatcmpl-|cmpl-|msg_|resp_|gen-", only) or only.startswith(own[:4])
        assert (only == given) == (given == own)
