"""The engines by kind. Each is imported only in a host that runs it, as its packages are large or not installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from weebill.engine.interface import Engine
from weebill.models.engines import EngineKind


class Kind(NamedTuple):
    """An engine: a function that imports it, and the extra of this package that installs what it needs."""

    load: Callable[[], type[Engine]]
    extra: str


def _llama_cpp() -> type[Engine]:
    from weebill.engine.llama import LlamaServer

    return LlamaServer


def _llama_server() -> type[Engine]:
    from weebill.engine.llama_program import LlamaProgram

    return LlamaProgram


def _openvino() -> type[Engine]:
    from weebill.engine.openvino.server import OpenVinoServer

    return OpenVinoServer


def _static() -> type[Engine]:
    from weebill.engine.static.server import StaticServer

    return StaticServer


KINDS: Final[Mapping[EngineKind, Kind]] = {
    "llama.cpp": Kind(_llama_cpp, "local"),
    "llama-server": Kind(_llama_server, ""),
    "openvino": Kind(_openvino, "openvino"),
    "static": Kind(_static, "local"),
}
