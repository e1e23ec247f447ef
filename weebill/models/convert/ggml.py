"""ggml's own quantization, from the library that the engine brings.

xllamacpp has no function for it, but its library exports `ggml_quantize_chunk`
(https://github.com/ggml-org/ggml/blob/master/include/ggml.h). It only computes, so that nothing else of the engine is
loaded or started. It ends the process where values are no numbers, so these are refused before.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from weebill.models.convert.safetensors import Floats
from weebill.models.errors import LibraryMissingError, ModelFormatError
from weebill.models.needs import usable_cores

_PACKAGE: Final = "xllamacpp"
_LIBRARY: Final = "xllamacpp*.so"
# A thread for fewer values costs more than it saves.
_LEAST_VALUES: Final = 1 << 16
_MOST_THREADS: Final = 16

_Chunk = Callable[[int, int, int, int, int, int, None], int]


def quantize(kind: int, block: int, block_bytes: int, values: Floats, row: int) -> bytes:
    """Returns rows of values in the format `kind` (a `ggml_type`). Raises ModelFormatError or LibraryMissingError."""
    if not np.isfinite(values).all():
        raise ModelFormatError("it has values that are no numbers.")
    chunk = _chunk()
    source = np.ascontiguousarray(values, np.float32)
    rows = source.size // row
    target = np.empty(source.size // block * block_bytes, np.uint8)

    def part(first: int, count: int) -> None:
        chunk(kind, source.ctypes.data, target.ctypes.data, first * row, count, row, None)

    threads = min(_MOST_THREADS, usable_cores(), max(1, source.size // _LEAST_VALUES), rows)
    bounds = [rows * number // threads for number in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(part, first, end - first) for first, end in itertools.pairwise(bounds)]:
            done.result()
    return target.tobytes()


@cache
def _chunk() -> _Chunk:
    """Returns `ggml_quantize_chunk`."""
    found = find_spec(_PACKAGE)
    folders = found.submodule_search_locations if found is not None else None
    libraries = [path for folder in folders or () for path in Path(folder).glob(_LIBRARY)]
    if not libraries:
        raise LibraryMissingError(_PACKAGE)
    function = ctypes.CDLL(str(libraries[0])).ggml_quantize_chunk
    function.restype = ctypes.c_size_t
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = [ctypes.c_int, pointer, pointer, number, number, number, pointer]
    called: _Chunk = function
    return called
