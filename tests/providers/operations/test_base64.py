"""Embeddings as numbers and as base64."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.providers.operations.vectors import from_base64, to_base64

FLOATS = st.lists(st.floats(width=32, allow_nan=False), max_size=50)


@given(FLOATS)
def test_there_and_back(values: list[float]) -> None:
    assert from_base64(to_base64(values)) == values


@given(FLOATS)
def test_the_bytes_are_little_endian_32_bit_floats(values: list[float]) -> None:
    assert base64.b64decode(to_base64(values)) == struct.pack(f"<{len(values)}f", *values)


@pytest.mark.parametrize("text", ["?", "AAA", "AAAA", "AACAPw==AACAPw=="])
def test_what_is_no_vector(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64|data|length|padding|multiple"):
        from_base64(text)
