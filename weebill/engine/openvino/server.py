"""The engine: it loads a GGUF with OpenVINO GenAI, and serves it as llama.cpp's server would."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from weebill.engine import memory
from weebill.engine.errors import EngineError
from weebill.engine.openvino.library import Model, Terms
from weebill.engine.openvino.prompt import Prompts
from weebill.engine.openvino.request import Choice
from weebill.engine.openvino.schema import json_rules
from weebill.engine.openvino.vocabulary import Vocabulary, read_vocabulary
from weebill.engine.openvino.worker import OpenVinoWorker, Window
from weebill.engine.role import EngineBoot, HostSettings
from weebill.engine.serving.server import PythonServer
from weebill.models.errors import ModelFormatError
from weebill.models.gguf import read_facts
from weebill.models.openvino import refusal
from weebill.models.templating import with_beginnings

_SUFFIX: Final = ".gguf"
# The library's threads, beside those of any engine in Python.
_THREADS: Final = 64
# What a step of the model takes beside the cache, and grammars.
_WORKING_BYTES: Final = 256 << 20


class OpenVinoServer(PythonServer):
    """OpenVINO GenAI at `base_url`, until this process ends."""

    @classmethod
    def start(cls, told: EngineBoot) -> Self:
        """Loads the model and serves it. Raises EngineError, or ImportError if the library is not installed."""
        path = Path(told.path)
        try:
            facts, vocabulary = read_facts(path), read_vocabulary(path)
        except (ModelFormatError, OSError) as error:
            raise EngineError(str(error)) from error
        if why := refusal(facts, told.task, bool(told.adapters) or told.projector is not None):
            raise EngineError(f"OpenVINO does not serve it: {why}")
        template = facts.chat_template if told.chat_template is None else told.chat_template
        prompts = Prompts(with_beginnings(template, told.beginnings), vocabulary, told.engine.context)
        with _named_as_gguf(path) as named:
            model = Model(named, told.engine)
        model.warm(_first_terms(vocabulary))
        window = Window(told.engine.context, told.engine.parallel)
        worker = OpenVinoWorker(model, vocabulary, prompts, told.model, window)
        return cls(worker, told, window.context)

    @staticmethod
    def room(settings: HostSettings) -> int | None:
        """Returns the bytes that this process may use once it has loaded; None if unknown."""
        return memory.with_room(_THREADS, _WORKING_BYTES)


def _first_terms(vocabulary: Vocabulary) -> Terms:
    """Returns the terms of what is written before anybody asks."""
    choice = Choice(
        temperature=0,
        top_k=0,
        top_p=1,
        min_p=0,
        presence_penalty=0,
        frequency_penalty=0,
        repetition_penalty=1,
        seed=0,
    )
    return Terms(
        choice=choice,
        number=0,
        grammar=json_rules({"type": "boolean"}),
        most_tokens=2,
        endings=vocabulary.endings,
        last=vocabulary.last,
        ignores_end=False,
        logprobs=False,
    )


@contextmanager
def _named_as_gguf(path: Path) -> Iterator[Path]:
    """A path to the file by which the library takes it for a GGUF."""
    if path.suffix == _SUFFIX:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="weebill-") as folder:
        link = Path(folder, f"model{_SUFFIX}")
        link.symlink_to(path.resolve())
        yield link
