"""One scheme of names: each is read to its source, and what is no name is told by its fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rows import every
from weebill.models.errors import ModelNameError
from weebill.models.names import (
    FileName,
    HubName,
    LmStudioName,
    ModelName,
    OllamaName,
    PackageName,
    PlainName,
    WebName,
    parse,
)

HERE = Path.cwd()
READ: list[tuple[str, ModelName, str]] = [
    ("qwen3:1.7b", PlainName("qwen3:1.7b"), "qwen3:1.7b"),
    ("qwen3", PlainName("qwen3"), "qwen3"),
    ("hf:Owner/re.po", HubName(repo="Owner/re.po"), "hf:Owner/re.po"),
    ("hf:o/r:Q4_K_M", HubName(repo="o/r", quant="Q4_K_M"), "hf:o/r:Q4_K_M"),
    ("hf:o/r:UD-Q4_K_XL@v1.0", HubName(repo="o/r", quant="UD-Q4_K_XL", revision="v1.0"), "hf:o/r:UD-Q4_K_XL@v1.0"),
    (
        "hf:o/r:a/b.gguf@refs/pr/1",
        HubName(repo="o/r", file="a/b.gguf", revision="refs/pr/1"),
        "hf:o/r:a/b.gguf@refs/pr/1",
    ),
    ("hf:o/r@main", HubName(repo="o/r", revision="main"), "hf:o/r@main"),
    ("hf.co/o/r:Q8_0", HubName(repo="o/r", quant="Q8_0"), "hf:o/r:Q8_0"),
    ("huggingface.co/o/r:latest", HubName(repo="o/r"), "hf:o/r"),
    ("https://huggingface.co/o/r", HubName(repo="o/r"), "hf:o/r"),
    (
        "https://huggingface.co/o/r/resolve/main/a%20b.gguf?download=true",
        HubName(repo="o/r", file="a b.gguf", revision="main"),
        "hf:o/r:a b.gguf@main",
    ),
    ("https://hf.co/o/r/blob/main/b.gguf", HubName(repo="o/r", file="b.gguf", revision="main"), "hf:o/r:b.gguf@main"),
    ("https://hf.co/o/r/tree/v2", HubName(repo="o/r", revision="v2"), "hf:o/r@v2"),
    ("pypi:LLM_smol.lm2", PackageName(project="llm-smol-lm2"), "pypi:llm-smol-lm2"),
    ("pypi:p==0.1.2", PackageName(project="p", version="0.1.2"), "pypi:p==0.1.2"),
    ("https://h/p/m.gguf?sig=x#y", WebName(url="https://h/p/m.gguf?sig=x"), "https://h/p/m.gguf"),
    ("http://127.0.0.1:8/m.gguf", WebName(url="http://127.0.0.1:8/m.gguf"), "http://127.0.0.1:8/m.gguf"),
    ("file:/a/m.gguf", FileName(path="/a/m.gguf"), "file:/a/m.gguf"),
    ("file:m.gguf", FileName(path=f"{HERE}/m.gguf"), f"file:{HERE}/m.gguf"),
    ("file:~/m.gguf", FileName(path=str(Path.home() / "m.gguf")), f"file:{Path.home()}/m.gguf"),
    ("ollama:qwen3", OllamaName(model="qwen3"), "ollama:qwen3:latest"),
    ("ollama:library/qwen3:1.7b", OllamaName(model="qwen3", tag="1.7b"), "ollama:qwen3:1.7b"),
    ("ollama:me/m:x", OllamaName(namespace="me", model="m", tag="x"), "ollama:me/m:x"),
    (
        "ollama:hf.co/o/r:Q8_0",
        OllamaName(host="hf.co", namespace="o", model="r", tag="Q8_0"),
        "ollama:hf.co/o/r:Q8_0",
    ),
    ("lmstudio:pub/Model-GGUF", LmStudioName(repo="pub/Model-GGUF"), "lmstudio:pub/Model-GGUF"),
    ("lmstudio:pub/m/a/b.gguf", LmStudioName(repo="pub/m", file="a/b.gguf"), "lmstudio:pub/m/a/b.gguf"),
]

REFUSED = [
    ("", "it is empty", "qwen3:1.7b"),
    ("x" * 101, "at most 100 characters", "qwen3:1.7b"),
    ("x" * 501, "more than 500 characters", "qwen3:1.7b"),
    ("a\nb", "cannot be seen", "qwen3:1.7b"),
    ("Qwen3:1.7B", "lower case", "qwen3:1.7b"),
    ("a:b:c", "at most one ':'", "qwen3:1.7b"),
    (".hidden", "begins with a letter", "qwen3:1.7b"),
    ("a b", "only letters", "qwen3:1.7b"),
    ("a@b", "only letters", "qwen3:1.7b"),
    ("owner/repo", "begins with its source", "hf:owner/repo"),
    ("../x", "named by `file:`", "file:../x"),
    ("M.gguf", "named by `file:`", "file:M.gguf"),
    ("hf:repo", "written owner/repo", "hf:Qwen"),
    ("hf:a/../b", "written owner/repo", "hf:Qwen"),
    ("hf:o/r/s", "written owner/repo", "hf:Qwen"),
    ("hf:o/r:../x.gguf", "no path in a repository", "hf:owner/repo:model.gguf"),
    ("hf:o/r:a//x.gguf", "no path in a repository", "hf:owner/repo:model.gguf"),
    ("hf:o/r:", "neither a file nor a quantization", "hf:Qwen"),
    ("hf:o/r:a b", "neither a file nor a quantization", "hf:Qwen"),
    ("hf:o/r@", "no revision", "@main"),
    ("hf:o/r@../x", "no revision", "@main"),
    ("https://huggingface.co/docs", "no model", "https://huggingface.co/owner/repo"),
    ("pypi:", "no package", "pypi:llm"),
    ("pypi:-e", "no package", "pypi:llm"),
    ("pypi:p== --index-url=x", "no version", "pypi:llm"),
    ("https://", "names no server", "https://example.com"),
    ("https://h/", "names no file", "https://example.com"),
    ("https://[h/x", "no URL", "https://example.com"),
    ("http://h/x.gguf?token=hush", "changed on its way", "https://h/x.gguf"),
    ("https://me:hush@h/x", "no password", "https://example.com"),
    ("file:", "names no file", "file:models"),
    ("ollama:", "no name ''", "ollama:qwen3"),
    ("ollama:a/b/c/d", "no name", "ollama:qwen3"),
    ("ollama:a/..:b", "no name", "ollama:qwen3"),
    ("lmstudio:x", "publisher and folder", "lmstudio:lmstudio-community"),
    ("lmstudio:x/../y", "publisher and folder", "lmstudio:lmstudio-community"),
]


@every(("text", "expected", "canonical"), READ)
def test_a_name_is_read_and_written_one_way(text: str, expected: ModelName, canonical: str) -> None:
    assert parse(text) == expected
    assert str(expected) == canonical
    if not isinstance(expected, WebName):  # its query is left out on purpose
        assert parse(canonical) == expected


@every(("text", "fault", "example"), REFUSED)
def test_what_is_no_name_is_told_by_its_fault_with_an_example(text: str, fault: str, example: str) -> None:
    with pytest.raises(ModelNameError) as raised:
        parse(text)
    assert fault in str(raised.value)
    assert example in str(raised.value)
    assert "hush" not in str(raised.value)


@settings(max_examples=60)
@given(st.tuples(st.sampled_from(["", *(text for text, _, _ in READ)]), st.text(max_size=9)).map("".join))
def test_any_text_is_a_name_or_is_refused(text: str) -> None:
    try:
        name = parse(text)
    except ModelNameError:
        return
    assert "\n" not in str(name)
    if isinstance(name, HubName | LmStudioName):
        assert ".." not in name.repo.split("/")
        assert ".." not in name.file.split("/")
