"""The documentation as the control serves it: every page, every link of it, and nothing else."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import pytest

from weebill.control.manual import Manual, documentation
from weebill.wire.errors import ApiError

FOLDER = documentation()
MANUAL = Manual(FOLDER)
LINKS = re.compile(r'(?:href|src)="([^"]*)"')


def html(name: str) -> str:
    return bytes(MANUAL.response(name).body).decode()


def test_all_pages_are_there() -> None:
    assert FOLDER is not None
    assert MANUAL.names[0] == "index.md"
    assert {"operations.md", "apis/index.md"} <= set(MANUAL.names)
    assert len(MANUAL.names) == len(list(FOLDER.rglob("*.md")))


@pytest.mark.parametrize("name", MANUAL.names)
def test_every_link_leads_somewhere(name: str) -> None:
    page = html(name)
    assert "<h1 id=" in page
    for link in LINKS.findall(page):
        if link == "/" or link.startswith(("http://", "https://", "data:")):
            continue
        path, _, anchor = link.partition("#")
        if path.startswith("/"):
            there = path.removeprefix("/docs/")
        else:
            there = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
        assert MANUAL.response(there).status_code == 200, link
        if anchor:
            assert f'id="{anchor}"' in html(there), link


@pytest.mark.parametrize(
    "name", ["../pyproject.toml", "/etc/passwd", "nonesuch.md", "apis", "apis/", "..", "%2e%2e/README.md", "benchmarks"]
)
def test_nothing_else_is_served(name: str) -> None:
    with pytest.raises(ApiError) as raised:
        MANUAL.response(name)
    assert raised.value.status == 404


def test_markdown_is_rendered_and_html_in_it_is_text(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text(
        '# Hello `you`\n\n<script>alert(1)</script>\n\n=== "Tab"\n\n    ```py\n    a = 1\n    ```\n\n'
        "| a | b |\n| - | - |\n| 1<br>2 | 3 |\n\n[x](javascript:alert(1))\n"
    )
    manual = Manual(tmp_path)
    response = manual.response("")
    page = bytes(response.body).decode()
    assert '<h1 id="hello-you">Hello <code>you</code></h1>' in page
    assert "<script" not in page
    assert 'href="javascript' not in page
    assert "<strong>Tab</strong>" in page
    assert '<pre tabindex="0"><code class="language-py">a = 1\n</code></pre>' in page
    assert "<td>1<br>2</td>" in page
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_without_documentation_there_is_none() -> None:
    with pytest.raises(ApiError):
        Manual(None).response("")
