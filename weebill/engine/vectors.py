"""`python -m weebill.engine.vectors FILE [THREADS]`: the vectors of short texts by an embedding model, not made to have
the length 1.

Standard input is a JSON list of texts, each a list of tokens; standard output the vectors in 32-bit floats, one after
the other. A process of its own: native code that crashes takes nobody with it, and nothing stays in memory.
"""

from __future__ import annotations

import secrets
import sys
from base64 import b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from weebill.engine.llama_http import LlamaHttp
from weebill.engine.role import EngineBoot, HostSettings
from weebill.engine.spinning import limit_spinning
from weebill.models.gguf import read_first_facts

_TIMEOUT_S: Final = 120.0
# Tokens of a text, and texts that are read side by side.
_CONTEXT: Final = 128
_PARALLEL: Final = 32
# Texts of a request: more is no faster.
_TEXTS: Final = 256
# Of `embd_normalize`, https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md: as they are.
_AS_THEY_ARE: Final = -1


class _Item(msgspec.Struct):
    embedding: str


class _Answer(msgspec.Struct):
    data: list[_Item]


_decode: Final = msgspec.json.Decoder(_Answer).decode


def vectors(file: Path, texts: Sequence[Sequence[int]], threads: int) -> Iterator[bytes]:
    """Yields the vectors of some texts at a time. Raises as `LlamaHttp.ask`."""
    limit_spinning()
    from weebill.engine.llama import LlamaServer

    key = secrets.token_urlsafe(16)
    settings = HostSettings(context=_CONTEXT, parallel=_PARALLEL, threads=threads)
    is_pooled = bool(read_first_facts(file).pooling)
    told = EngineBoot(model="vectors", api_key=key, path=str(file), task="embed", engine=settings, is_pooled=is_pooled)
    server = LlamaServer.start(told)
    engine = LlamaHttp(server.base_url, key, _TIMEOUT_S)
    for first in range(0, len(texts), _TEXTS):
        body = {"input": texts[first : first + _TEXTS], "encoding_format": "base64", "embd_normalize": _AS_THEY_ARE}
        answer = _decode(engine.ask("/v1/embeddings", msgspec.json.encode(body)))
        yield b"".join(b64decode(item.embedding) for item in answer.data)


if __name__ == "__main__":
    path, *rest = sys.argv[1:]
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=list[list[int]])
    for part in vectors(Path(path), given, int(rest[0]) if rest else 0):
        sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
