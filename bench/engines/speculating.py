"""`python -m bench.engines.speculating FILE none|ngram PORT`: an engine that guesses its answers from what it has read.

Weebill has no such setting (docs/models.md says why), so this runs xllamacpp's server with its parameters changed.
"""

from __future__ import annotations

import signal
import sys
from typing import Final

from weebill.engine.role import EngineBoot, HostSettings
from weebill.engine.spinning import limit_spinning

KEY: Final = "sk-bench-speculating"
# The last four tokens are looked up, and the eight that followed them are guessed: longer guesses cost more than they
# gain on processors.
_KNOWN: Final = 4
_GUESSED: Final = 8


def main(file: str, how: str, port: str) -> None:
    """Serves until the process is ended."""
    limit_spinning()
    import xllamacpp

    from weebill.engine.llama import parameters_of

    settings = HostSettings(context=4096, parallel=1, max_waiting=1)
    parameters = parameters_of(EngineBoot(model="speculating", api_key=KEY, path=file, engine=settings))
    parameters.port = int(port)
    # A step must have room for the guess, or llama.cpp ends the process.
    parameters.n_batch = parameters.n_ubatch = max(parameters.n_batch, 1 + _GUESSED)
    if how == "ngram":
        parameters.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
        parameters.speculative.ngram_simple.size_n = _KNOWN
        parameters.speculative.ngram_simple.size_m = _GUESSED
    server = xllamacpp.Server(parameters)  # answers for as long as it is referred to
    signal.pause()
    del server


if __name__ == "__main__":
    main(*sys.argv[1:])
