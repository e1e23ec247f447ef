"""Questions to a model in the real engine, in this process."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from tests.decoders import tiny
from weebill.engine.llama import LlamaServer
from weebill.engine.role import EngineBoot, HostSettings
from weebill.models.convert.conversion import Conversion, conversion
from weebill.models.plan import Precision
from weebill.models.templating import Beginning

KEY = "of-the-test"


def converted(folder: Path, precision: Precision | None = None) -> tuple[Path, Conversion]:
    """Converts the model in a folder."""
    made = conversion("tiny", sorted(folder.glob("*.safetensors")), described(folder), precision=precision)
    path = folder / f"{made.precision}.gguf"
    with path.open("wb") as file:
        made.write(file, lambda done: None)
    return path, made


def described(folder: Path) -> list[Path]:
    """What lies beside the weights."""
    return [*folder.glob("*.json"), *folder.glob("*.jinja")]


class Engine:
    """A model that is loaded."""

    def __init__(
        self,
        path: Path,
        chat_template: str | None = None,
        beginnings: Mapping[str, Beginning] = MappingProxyType({}),
        adapters: tuple[Path, ...] = (),
        parallel: int = 1,
    ) -> None:
        told = EngineBoot(
            model="tiny",
            api_key=KEY,
            path=str(path),
            engine=HostSettings(context=tiny.CONTEXT, parallel=parallel, threads=1),
            chat_template=chat_template,
            beginnings=dict(beginnings),
            adapters=tuple(map(str, adapters)),
        )
        self._server = LlamaServer.start(told)

    @property
    def url(self) -> str:
        """Its origin."""
        return self._server.base_url

    def ask(self, path: str, **body: object) -> Any:
        """Asks llama.cpp's server."""
        address = urlsplit(self._server.base_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        try:
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            answer = response.read()
            assert response.status == 200, answer
            return json.loads(answer)
        finally:
            connection.close()

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, with those around it."""
        found: list[int] = self.ask("/tokenize", content=text, add_special=True)["tokens"]
        return found

    def likeliest(self, tokens: list[int], shown: int, **more: object) -> dict[int, float]:
        """The likeliest next tokens, each with the logarithm of its probability; `more` are fields of the request.

        A token that shows is chosen: llama.cpp tells nothing of one that is a part of a character.
        """
        plain = self.ask("/tokenize", content="a")["tokens"][-1]
        answer = self.ask(
            "/completion",
            prompt=tokens,
            n_predict=1,
            temperature=0,
            n_probs=shown,
            logit_bias=[[plain, 1000.0]],
            **{"cache_prompt": False, **more},
        )
        return {each["id"]: each["logprob"] for each in answer["completion_probabilities"][0]["top_logprobs"]}
