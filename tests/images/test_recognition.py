"""Text that was drawn is read back, if RapidOCR is installed."""

from __future__ import annotations

import importlib.util
from typing import Final

import pytest

from tests.images.pictures import page, plain, written
from weebill.images.bounds import Bounds
from weebill.images.decoding import decoded
from weebill.images.recognition import TextReader

pytestmark = pytest.mark.skipif(importlib.util.find_spec("rapidocr") is None, reason="RapidOCR is not installed")

BOUNDS: Final = Bounds(max_pixels=50_000_000, max_edge=2048)
LINES: Final = ["Meeting with Anna at 14:30", "Room 7b, second floor", "Bring: 3 copies, 12.50 EUR"]


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return TextReader()


@pytest.mark.parametrize("form", [pytest.param("PNG", marks=pytest.mark.slow), "JPEG"])
def test_lines_are_read_as_they_were_drawn(reader: TextReader, form: str) -> None:
    assert reader.lines(decoded(written(page(LINES, 700), form), BOUNDS)) == LINES


def test_a_picture_without_text_has_no_lines(reader: TextReader) -> None:
    assert reader.lines(decoded(written(plain(200, 100)), BOUNDS)) == []
