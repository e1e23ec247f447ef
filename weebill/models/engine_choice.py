"""The choice of the engine that serves a model: the configured one, or the one that was faster here. Pure.

"auto" goes by what `weebill engines` has measured with this file on this machine, and otherwise takes llama.cpp, which
runs everywhere and does all that the APIs ask for.
"""

from __future__ import annotations

import math
from collections.abc import Set
from typing import Final, Literal, NamedTuple

import msgspec

from weebill.models import openvino
from weebill.models.curated import Sampling
from weebill.models.engines import DEFAULT_ENGINE, EngineKind
from weebill.models.store import ServedModel

Wish = Literal["auto", "llama.cpp", "llama-server", "openvino"]
_OPENVINO: Final[EngineKind] = "openvino"
USUAL_MIX: Final = (500, 200)
"""The tokens of the prompt and of the answer by whose time engines are compared."""


class Figures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The speed of a model with an engine: tokens a second of a prompt of 500 and of one answer, and the seconds to the
    first token after a prompt of 50. `failure` says why there are none.
    """

    prompt: float = 0.0
    answer: float = 0.0
    first_token_s: float = 0.0
    failure: str = ""

    def seconds(self, mix: tuple[int, int]) -> float:
        """Returns the time of a request with so many tokens of a prompt and of an answer; infinite if it fails."""
        if self.failure or self.prompt <= 0 or self.answer <= 0:
            return math.inf
        return mix[0] / self.prompt + mix[1] / self.answer


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the engines with one file on one machine, `at` some Unix time, for a `mix` of tokens."""

    figures: dict[EngineKind, Figures]
    mix: tuple[int, int] = USUAL_MIX
    at: int = 0

    @property
    def is_answered(self) -> bool:
        """True if there is an engine that answers a request of the mix."""
        return any(each.seconds(self.mix) < math.inf for each in self.figures.values())

    def fastest(self, among: Set[EngineKind]) -> EngineKind:
        """Returns the engine with which a request of the mix is answered first; llama.cpp if nothing tells."""
        best: EngineKind = DEFAULT_ENGINE
        shortest = math.inf
        for kind, each in self.figures.items():
            if kind in among and (seconds := each.seconds(self.mix)) < shortest:
                best, shortest = kind, seconds
        return best


class Chosen(NamedTuple):
    """A model with its engine, and the reason why it is not the one that was wished for, if it is not."""

    model: ServedModel
    instead: str = ""


def chosen(model: ServedModel, wish: Wish, comparison: Comparison | None, installed: Set[EngineKind]) -> Chosen:
    """Returns a model with the engine that serves it."""
    if model.kind != DEFAULT_ENGINE:
        return Chosen(model)
    if wish != "auto":
        why = refusal_by(wish, model)
        return Chosen(model, f"{wish} does not serve it: {why}") if why else Chosen(_with(wish, model))
    if comparison is None:
        return Chosen(model)
    able = {kind for kind in installed if not refusal_by(kind, model) and not objections(kind, model)}
    return Chosen(_with(comparison.fastest(able | {DEFAULT_ENGINE}), model))


def refusal_by(kind: EngineKind, model: ServedModel) -> str:
    """Returns why an engine does not serve a model that llama.cpp does; "" if it does."""
    if kind != _OPENVINO or model.openvino is not None:
        return ""
    return model.openvino_refusal or "it is not known to be one of those that it reads"


def objections(kind: EngineKind, model: ServedModel) -> tuple[str, ...]:
    """Returns why a model answers less well by an engine: "auto" does not take that for speed."""
    if kind != _OPENVINO:
        return ()
    names = unserved(kind, model.sampling)
    lacks = (f"it is set to {', '.join(names)}, which OpenVINO does not have",) if names else ()
    rounds = ("OpenVINO rounds weights of its format anew",) if model.openvino_rounds else ()
    return lacks + rounds


def unserved(kind: EngineKind, sampling: Sampling) -> tuple[str, ...]:
    """Returns the names of a model's own settings that ask for what an engine does not have, and would refuse."""
    return openvino.unserved(sampling) if kind == _OPENVINO else ()


def _with(kind: EngineKind, model: ServedModel) -> ServedModel:
    costs = model.openvino if kind == _OPENVINO and model.openvino is not None else model.costs
    return msgspec.structs.replace(model, kind=kind, costs=costs)
