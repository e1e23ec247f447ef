"""Reads the text in an image with RapidOCR (Apache-2.0), whose weights are in its wheel: nothing is fetched.

Source: https://rapidai.github.io/RapidOCRDocs/
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Boxes are of one row if they share half of the height of the lower one.
_SHARED: Final = 0.5
_GAP: Final = "  "


class Found(NamedTuple):
    """A piece of text, and the box around it in pixels."""

    text: str
    left: float
    top: float
    bottom: float


class _Read(Protocol):
    """The output of RapidOCR where it both finds and reads text: boxes of four corners (N, 4, 2)."""

    txts: Sequence[str] | None
    boxes: NDArray[np.float32] | None


class TextReader:
    """The models that find and read text. Loading them takes a second."""

    def __init__(self) -> None:
        """Raises ImportError if RapidOCR is not installed."""
        from rapidocr import RapidOCR

        # Half of the cores, as a model's host has the other half to write with.
        threads = max(1, (os.cpu_count() or 1) // 2)
        self._read = RapidOCR(
            params={
                "Global.log_level": "error",
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def lines(self, image: Image.Image) -> list[str]:
        """Returns the lines of text in an image in RGB, from the top down."""
        read = cast("_Read", self._read(image))
        if read.txts is None or read.boxes is None:
            return []
        found: list[Found] = []
        for text, box in zip(read.txts, read.boxes.tolist(), strict=True):
            xs, ys = zip(*box, strict=True)
            found.append(Found(text, min(xs), min(ys), max(ys)))
        return in_rows(found)


def in_rows(found: Sequence[Found]) -> list[str]:
    """Returns the rows of what was found, each from left to right.

    >>> in_rows([Found("12.50", 300, 11, 29), Found("Total", 10, 10, 30), Found("Thanks", 10, 50, 70)])
    ['Total  12.50', 'Thanks']
    """
    rows: list[list[Found]] = []
    for each in sorted(found, key=lambda piece: (piece.top + piece.bottom) / 2):
        if rows and _in_row(each, rows[-1][0]):
            rows[-1].append(each)
        else:
            rows.append([each])
    return [_GAP.join(each.text for each in sorted(row, key=lambda piece: piece.left)) for row in rows]


def _in_row(each: Found, first: Found) -> bool:
    shared = min(each.bottom, first.bottom) - max(each.top, first.top)
    return shared >= _SHARED * min(each.bottom - each.top, first.bottom - first.top)
