"""The documentation of this release, as pages of the console, for installations without internet access."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.metadata import PackageNotFoundError, files
from itertools import pairwise
from pathlib import Path
from typing import Final

from fastapi import Response
from markdown_it import MarkdownIt

from weebill.wire.errors import ApiError

_TYPES: Final = {".md": "text/html", ".png": "image/png", ".svg": "image/svg+xml", ".json": "application/json"}
_FIRST: Final = "index.md"
_ASIDE: Final = "benchmarks/"  # tables that a page links to
_INSTALLED: Final = "share/doc/weebill/index.md"
# The syntax in `mkdocs.yml` beyond CommonMark: a tab's title, and its content indented by four spaces.
_TAB: Final = re.compile(r'^=== "(.+)"\n((?:\n| {4}.*\n?)*)', re.MULTILINE)
_TITLE: Final = re.compile(r"^# (.+)$", re.MULTILINE)
_STYLE: Final = """
:root { --ground: #f7f6ef; --card: #fff; --line: #e3e1d3; --ink: #1f2316; --soft: #666b58; --brand: #66741a;
  --sunk: #f1f0e6; --mono: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
@media (prefers-color-scheme: dark) { :root { --ground: #12140d; --card: #1b1e14; --line: #313625; --ink: #eceddd;
  --soft: #a0a58c; --brand: #c5d14a; --sunk: #23271a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.6 ui-sans-serif, system-ui, sans-serif; }
main, nav { width: min(900px, 100% - 32px); margin-inline: auto; }
nav { padding: 20px 0 0; font-size: 14px; line-height: 2; }
nav a { margin-right: 14px; white-space: nowrap; }
nav a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none; }
main { padding-bottom: 60px; overflow-wrap: break-word; }
a { color: var(--brand); text-underline-offset: 3px; }
h1, h2, h3 { line-height: 1.2; letter-spacing: -.02em; margin: 1.6em 0 .6em; }
code { font: .88em var(--mono); background: var(--sunk); border-radius: 5px; padding: 2px 5px; }
pre { background: var(--sunk); border: 1px solid var(--line); border-radius: 12px; padding: 14px; }
pre code { background: none; padding: 0; }
pre, .scroll { overflow-x: auto; scrollbar-width: thin; scrollbar-color: var(--soft) transparent; }
table { border-collapse: collapse; font-size: 14.5px; }
th, td { text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th, td { padding: 7px 16px 7px 0; min-width: 6em; }
img { max-width: 100%; background: #fff; border-radius: 12px; }
"""
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


class Manual:
    """The pages of a folder with Markdown; None for an installation without them."""

    def __init__(self, folder: Path | None) -> None:
        self._files = {} if folder is None else dict(_files(folder))
        self._pages: dict[str, bytes] = {}
        self._markdown = MarkdownIt("commonmark", {"html": False}).enable("table")

    @property
    def names(self) -> list[str]:
        """Returns the names of the pages, in order."""
        return sorted((name for name in self._files if name.endswith(".md")), key=lambda name: (name != _FIRST, name))

    def response(self, name: str) -> Response:
        """Returns the answer to `GET /docs/{name}`, "" for the first page. Raises ApiError 404."""
        name = name or _FIRST
        file = self._files.get(name)  # a look-up, so no path leads out of the folder
        if file is None:
            raise ApiError(404, f"There is no page {name!r}; /docs/ is the first one.", code="unknown_url")
        if file.suffix == ".md":
            if name not in self._pages:
                self._pages[name] = self._page(name, file.read_text()).encode()
            return Response(self._pages[name], 200, {"content-security-policy": _POLICY}, _TYPES[".md"])
        return Response(file.read_bytes(), 200, {"cache-control": "max-age=3600"}, _TYPES[file.suffix])

    def _page(self, name: str, text: str) -> str:
        title = escape(_title(text) or name)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
            f"<title>{title} · Weebill</title><style>{_STYLE}</style>"
            f"</head><body><nav>{self._links(name)}</nav><main>{self._rendered(text)}</main></body></html>\n"
        )

    def _links(self, current: str) -> str:
        links = ['<a href="/">Weebill</a>']
        for name in self.names:
            if name.startswith(_ASIDE) and name != current:
                continue
            title = escape(_title(self._files[name].read_text()) or name)
            here = ' aria-current="page"' if name == current else ""
            links.append(f'<a href="/docs/{escape(name)}"{here}>{title}</a>')
        return " ".join(links)

    def _rendered(self, text: str) -> str:
        tokens = self._markdown.parse(_without_tabs(text))
        for heading, inline in pairwise(tokens):
            if heading.type == "heading_open":
                heading.attrSet("id", _anchor(inline.content))
        html: str = self._markdown.renderer.render(tokens, self._markdown.options, {})
        html = html.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace("</table>", "</table></div>")
        return html.replace("<pre>", '<pre tabindex="0">').replace("&lt;br&gt;", "<br>")


def documentation() -> Path | None:
    """Returns the folder of the documentation: beside the sources, or as a wheel installs it."""
    sources = Path(__file__).parents[2]
    if (sources / "pyproject.toml").is_file() and (sources / "docs" / _FIRST).is_file():
        return sources / "docs"
    try:
        installed = files("weebill") or ()
    except PackageNotFoundError:
        return None
    found = (Path(str(file.locate())).parent for file in installed if file.as_posix().endswith(_INSTALLED))
    return next((folder.resolve() for folder in found), None)


def _files(folder: Path) -> list[tuple[str, Path]]:
    return [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.suffix in _TYPES]


def _title(text: str) -> str:
    found = _TITLE.search(text)
    return found[1].replace("`", "") if found else ""


def _without_tabs(text: str) -> str:
    """Puts the contents of tabs one below the other."""
    return _TAB.sub(lambda tab: f"**{tab[1]}**\n\n{re.sub(r'(?m)^ {4}', '', tab[2])}\n", text)


def _anchor(heading: str) -> str:
    """Returns the id of a heading, as links between the pages have it."""
    words = re.sub(r"[^\w\s-]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)).strip().lower()
    return re.sub(r"[\s-]+", "-", words)
