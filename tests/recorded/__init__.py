"""The shapes of public recordings: what real providers answered and what real clients asked.

Written by us after public recordings of many projects: which members there are, of which types, in which order, with
which empty, odd and repeated values. All words, names, ids, addresses and keys are our own. One recording a line:

`answers/PROVIDER.jsonl` holds `body` (whole) or `events` (a stream); `reports.jsonl` what public reports say of several
providers. An event is an object (`data:`), a pair of the event's name and an object, or text as it was (comments,
`[DONE]`). `style` says how it was written: "crlf", "bom", "ascii" (characters escaped), "spaced" and "pretty" JSON,
"tight" (no space after `data:`), "lines" (one JSON a line), "frames" (Amazon's binary event stream). `want` is what a
client must get of it, read by hand or by a reader that is not Weebill's: `text`, `reasoning`, `calls`, `finish`,
`usage` (prompt, completion), `opaque` (what the provider wants back in the next turn) and `also` (what the answer
holds besides, by the provider's name for it).

`requests/API.jsonl` holds `body`, for Gemini also `tail`, and `want`: words, names of tools and data that must reach
every target. `demands` are the kinds of what the request asks for that not every target can do.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.vectors.eventstream import encode_entry

FOLDER: Final = Path(__file__).parent
Json = dict[str, Any]


class Want(msgspec.Struct, frozen=True):
    """What must come out of an answer; what is absent is not there.

    `carried` are calls of a kind that the provider's own API alone knows, as (name, some words of what is asked): tools
    of the client's in every other. `refusal` are words about a refusal that are no part of the answer: an API without a
    place for them may say them as text. `error` is what a stream that fails says.
    """

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, Any]] = []
    carried: list[tuple[str, str]] = []
    finish: str | None = None
    usage: tuple[int, int] | None = None
    refusal: str = ""
    error: str = ""
    opaque: list[str] = []
    also: list[str] = []


class Answer(msgspec.Struct, frozen=True):
    """A provider's answer."""

    name: str
    dialect: str
    want: Want
    provider: str = ""
    style: list[str] = []
    body: Any = None
    events: list[Any] = []

    @property
    def streamed(self) -> bool:
        return bool(self.events)

    @property
    def id(self) -> str:
        return f"{self.provider}/{self.dialect}/{self.name}"

    def data(self) -> bytes:
        """The bytes that the provider sent."""
        if "frames" in self.style:
            frames = ({"event": name, "payload": payload} for event in self.events for name, payload in event.items())
            return b"".join(map(encode_entry, frames))
        if "lines" in self.style:
            return "".join(self._json(event) + "\n" for event in self.events).encode()
        text = "".join(map(self._event, self.events)) if self.streamed else self._json(self.body)
        return ("\ufeff" * ("bom" in self.style) + text).encode("utf-8", "surrogatepass")

    def _event(self, event: Any) -> str:
        end = "\r\n" if "crlf" in self.style else "\n"
        if isinstance(event, str):
            return event.replace("\n", end) + end * 2
        name, data = event if isinstance(event, list) else (None, event)
        head = f"event: {name}{end}" if name is not None else ""
        return f"{head}data:{'' if 'tight' in self.style else ' '}{self._json(data)}{end * 2}"

    def _json(self, value: Any) -> str:
        separators = (", ", ": ") if {"spaced", "pretty"} & set(self.style) else (",", ":")
        if "pretty" in self.style and not self.streamed:
            return json.dumps(value, indent=2, ensure_ascii="ascii" in self.style)
        return json.dumps(value, separators=separators, ensure_ascii="ascii" in self.style)


class Request(msgspec.Struct, frozen=True):
    """A client's request; `client` is who asked."""

    name: str
    client: str
    body: Json
    want: list[str]
    demands: list[str] = []
    api: str = ""
    tail: str = ""
    headers: dict[str, str] = {}

    @property
    def id(self) -> str:
        return f"{self.api}/{self.client}/{self.name}"


@cache
def answers() -> dict[str, Answer]:
    """All answers by id."""
    found = {}
    for path in sorted((FOLDER / "answers").glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            answer = msgspec.structs.replace(msgspec.json.decode(line, type=Answer), provider=path.stem)
            assert answer.id not in found, answer.id
            found[answer.id] = answer
    return found


@cache
def requests() -> dict[str, Request]:
    """All requests by id."""
    found = {}
    for path in sorted((FOLDER / "requests").glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            request = msgspec.structs.replace(msgspec.json.decode(line, type=Request), api=path.stem)
            assert request.id not in found, request.id
            found[request.id] = request
    return found
