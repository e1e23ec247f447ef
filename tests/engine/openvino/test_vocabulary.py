"""The vocabulary of a real file, beside the `gguf` package's own reading of it."""

from pathlib import Path
from typing import Final

import pytest
from gguf import GGUFReader

from tests.fixtures.model import MODEL
from weebill.engine.openvino.vocabulary import read_vocabulary
from weebill.models.errors import ModelFormatError
from weebill.models.gguf import read_facts, read_first_facts
from weebill.models.openvino import refusal
from weebill.models.store import ModelStore

# What the `gguf` package reads, which takes it five seconds.
NUMBERS: Final = {"<|endoftext|>": 0, "<|im_end|>": 2, "Ã©": 2756, "Ġcapital": 3575}
TOKENS: Final = 49_152


@pytest.mark.slow
def test_the_package_reads_the_same_numbers(compact_model: Path):
    texts = GGUFReader(ModelStore(compact_model).find(MODEL).path).fields["tokenizer.ggml.tokens"].contents()
    assert len(texts) == TOKENS
    assert {text: texts.index(text) for text in NUMBERS} == NUMBERS


def test_the_tokens_of_a_real_model(compact_model: Path):
    found = read_vocabulary(ModelStore(compact_model).find(MODEL).path)
    assert len(found.pieces) == TOKENS
    assert found.pieces[NUMBERS["Ġcapital"]] == b" capital"
    assert found.pieces[NUMBERS["Ã©"]] == "é".encode()
    assert b"".join(found.pieces[token] for token in (504, 3575, 282)) == b"The capital of"
    assert found.pieces[NUMBERS["<|im_end|>"]] == b""
    assert found.endings == {NUMBERS["<|im_end|>"], NUMBERS["<|endoftext|>"]}
    assert {"<|im_start|>", "<|im_end|>"} <= set(found.specials)
    assert (found.end, found.first) == ("<|im_end|>", None)


def test_a_file_tells_soon_whether_it_is_served(compact_model: Path):
    path = ModelStore(compact_model).find(MODEL).path
    facts = read_first_facts(path)
    assert (facts.vocabulary, facts.splitting) == ("gpt2", "smollm")
    assert refusal(facts) == refusal(read_facts(path)) == ""


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no model"])
def test_what_has_no_vocabulary_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError):
        read_vocabulary(path)
