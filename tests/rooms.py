"""Draws the folders of `weebill` by their layers: `make picture` writes `docs/images/rooms.svg`.

Layers are those of `test_layers.py`, purposes are read from the table in `docs/architecture.md`.
"""

from __future__ import annotations

import re
import textwrap
from html import escape
from pathlib import Path
from typing import Final

from tests.test_layers import LAYERS

DOCS: Final = Path(__file__).parent.parent / "docs"
PICTURE: Final = DOCS / "images" / "rooms.svg"
_PURPOSE: Final = re.compile(r"^\| `(\w+)` \| ([^|]+) \|", re.M)
_WIDTH, _GAP, _MARGIN, _SIDE = 960, 12, 20, 40
_HEAD, _LINE = 34, 15  # the height of a box without its purpose, and of a line of that
_LETTER: Final = 6.9  # the width of one, about
_STYLE: Final = """
    .box { fill: #fff; stroke: #475569; stroke-width: 1.5 }
    .name { font-weight: 600; fill: #0f172a }
    .note { font-size: 11.5px; fill: #475569 }
    .arrow { stroke: #b45309; stroke-width: 2.5; marker-end: url(#down) }
"""


def drawn() -> str:
    """Returns the picture as SVG."""
    purposes = dict(_PURPOSE.findall((DOCS / "architecture.md").read_text()))
    layers = [[name for name in layer if name in purposes] for layer in LAYERS]
    shapes, top = [], _MARGIN
    for row in filter(None, layers):
        width = (_WIDTH - _SIDE - 2 * _MARGIN - (len(row) - 1) * _GAP) / len(row)
        lines = [textwrap.wrap(purposes[name].replace("`", ""), int(width / _LETTER)) for name in row]
        height = _HEAD + _LINE * max(map(len, lines))
        for at, name in enumerate(row):
            shapes += _box(name, lines[at], _SIDE + _MARGIN + at * (width + _GAP), top, width, height)
        top += height + _GAP
    bottom = top - _GAP + _MARGIN
    shapes += [
        f'<line class="arrow" x1="{_SIDE // 2}" y1="{_MARGIN}" x2="{_SIDE // 2}" y2="{bottom - _MARGIN}"/>',
        f'<text class="note" text-anchor="middle" transform="translate({_SIDE // 2 + 14} {bottom // 2}) rotate(90)">'
        "imports point down or to the right, never up and never in a circle</text>",
    ]
    size = f'viewBox="0 0 {_WIDTH} {bottom}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="14" '
            'role="img" aria-label="The folders of Weebill by layers">',
            f"  <style>{_STYLE}  </style>",
            '  <defs><marker id="down" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
            'orient="auto"><path d="M0 0 8 4 0 8z" fill="#b45309"/></marker></defs>',
            f'  <rect width="{_WIDTH}" height="{bottom}" fill="#f8fafc"/>',
            *(f"  {shape}" for shape in shapes),
            "</svg>\n",
        ]
    )


def _box(name: str, lines: list[str], left: float, top: int, width: float, height: int) -> list[str]:
    middle = f'x="{left + width / 2:.0f}"'
    return [
        f'<rect class="box" x="{left:.0f}" y="{top}" width="{width:.0f}" height="{height}" rx="8"/>',
        f'<text class="name" {middle} y="{top + 20}" text-anchor="middle">{name}</text>',
        *(
            f'<text class="note" {middle} y="{top + 38 + _LINE * at}" text-anchor="middle">{escape(line)}</text>'
            for at, line in enumerate(lines)
        ),
    ]


if __name__ == "__main__":
    PICTURE.write_text(drawn())
