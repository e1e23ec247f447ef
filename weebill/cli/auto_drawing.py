"""The curve of `auto` as a picture in SVG, for light and for dark pages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import ceil, floor
from textwrap import wrap
from typing import Final, NamedTuple

from weebill.auto.tradeoff import Point, Tradeoff, sentence

_WIDTH, _PANEL, _HEAD, _FOOT = 640, 280, 104, 34
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 26, 26, 44  # of a panel
_STYLE: Final = """
    .page { fill: #ffffff } text { fill: #334155; font-size: 13px }
    .title { fill: #0f172a; font-size: 15px; font-weight: 600 } .small { font-size: 12px }
    .grid { stroke: #e2e8f0 } .axis { stroke: #94a3b8 }
    .band { fill: #0b7a75; fill-opacity: .16 } .curve { stroke: #0b7a75; stroke-width: 2; fill: none }
    .dot { fill: #0b7a75 } .target { stroke: #b45309; stroke-width: 1.5; stroke-dasharray: 5 4 }
    .aimed { fill: #b45309 } .kept { stroke: #6d28d9; stroke-width: 2 } .held { fill: #6d28d9 }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0f172a } text { fill: #cbd5e1 } .title { fill: #f1f5f9 }
      .grid { stroke: #1e293b } .axis { stroke: #64748b }
      .band { fill: #2dd4bf; fill-opacity: .2 } .curve { stroke: #2dd4bf }
      .dot { fill: #2dd4bf } .target { stroke: #fbbf24 } .aimed { fill: #fbbf24 }
      .kept { stroke: #c4b5fd } .held { fill: #c4b5fd }
    }
"""
_RADIUS: Final = 4.5
_NAME: Final = 32  # letters of a model's name, at most
_LETTERS: Final = 92  # in a line of small text, at most
_FEWEST_LINES: Final = 4
_Mark = Callable[[float, float, float, float], Iterator[str]]


class Axis(NamedTuple):
    """An axis of a panel: its title, the target that it is about, and the place of a point on it, None if unknown."""

    title: str
    target: str
    place: Callable[[Point], float | None]


_SHARE: Final = Axis("share of requests for the large model", "share", lambda point: point.large_share)
_SPEND: Final = Axis("spend, as a share of the large model alone", "spend", lambda point: point.spend)


class _Scale(NamedTuple):
    """The place of a value between `low` and `high` in a picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def lines(self) -> list[float]:
        """Returns round values, some of which are within."""
        span = self.high - self.low
        step = next((each for each in (0.2, 0.1, 0.05, 0.02, 0.01) if span / each >= _FEWEST_LINES), 0.005)
        return [step * at for at in range(ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9) + 1)]


def drawn(tradeoff: Tradeoff) -> str:
    """Returns the picture of a curve that has points: a panel by spend if that is known, and one by share."""
    axes = [each for each in (_SPEND, _SHARE) if all(each.place(point) is not None for point in tradeoff.points)]
    height = _HEAD + _PANEL * len(axes) + _FOOT
    low = _lowest(tradeoff)
    panels = [
        f'<g transform="translate(0 {_HEAD + _PANEL * at})">{"".join(_panel(tradeoff, axis, low))}</g>'
        for at, axis in enumerate(axes)
    ]
    pair = " before ".join(map(_short, (tradeoff.pair.small, tradeoff.pair.large)))
    priced = "" if _SPEND in axes else " Without prices, no spend."
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'font-family="system-ui, sans-serif" role="img" aria-label="{escape(sentence(tradeoff))}">',
            f"  <style>{_STYLE}  </style>",
            f'  <rect class="page" width="{_WIDTH}" height="{height}"/>',
            f'  <text class="title" x="16" y="26">{escape(pair)}</text>',
            *(
                f"  {_text(16, 46 + 17 * at, line)}"
                for at, line in enumerate(wrap(_capital(sentence(tradeoff)), _LETTERS))
            ),
            *(f"  {each}" for each in _legend(tradeoff)),
            *(f"  {each}" for each in panels),
            f'  <text class="small" x="16" y="{height - 12}">By {tradeoff.audits:,} audits that weigh as much as '
            f"{tradeoff.effective:,.0f} new ones; 95 % intervals.{priced}</text>",
            "</svg>\n",
        ]
    )


def _panel(tradeoff: Tradeoff, axis: Axis, low: float) -> Iterator[str]:
    points = [(place, point) for point in tradeoff.points if (place := axis.place(point)) is not None]
    across = _Scale(0, max(1.0, *(place for place, _ in points)), _LEFT, _WIDTH - _RIGHT)
    up = _Scale(low, 1.0, _PANEL - _BOTTOM, _TOP)
    yield from _grid(across, up, axis.title)
    yield from _band(across, up, points)
    yield from _target(tradeoff, axis, across, up)
    marks: tuple[tuple[Point | None, _Mark], ...] = (tradeoff.kept, _diamond), (tradeoff.present, _dot)
    for point, mark in marks:
        place = None if point is None else axis.place(point)
        if point is not None and place is not None and point.quality is not None:
            value, low, high = (up(min(1.0, each)) for each in point.quality)
            yield from mark(across(min(place, across.high)), value, low, high)


def _grid(across: _Scale, up: _Scale, title: str) -> Iterator[str]:
    for value in up.lines():
        y = up(value)
        yield _line("grid", across.start, y, across.end, y)
        yield _text(across.start - 8, y + 4, f"{value:.2f}", anchor="end")
    for value in across.lines():
        x = across(value)
        yield _text(x, up.start + 18, f"{value:.0%}", anchor="middle")
    yield _line("axis", across.start, up.start, across.end, up.start)
    yield _text(across.end, up.start + 37, title, anchor="end")
    yield _text(16, up.end - 12, "quality, as a share of the large model's")


def _band(across: _Scale, up: _Scale, points: Sequence[tuple[float, Point]]) -> Iterator[str]:
    known = [(across(place), point.quality) for place, point in points if point.quality is not None]
    high = [f"{x:.1f},{up(min(1.0, quality.high)):.1f}" for x, quality in known]
    low = [f"{x:.1f},{up(quality.low):.1f}" for x, quality in reversed(known)]
    yield f'<polygon class="band" points="{" ".join([*high, *low])}"/>'
    line = " ".join(f"{x:.1f},{up(min(1.0, quality.value)):.1f}" for x, quality in known)
    yield f'<polyline class="curve" points="{line}"/>'


def _target(tradeoff: Tradeoff, axis: Axis, across: _Scale, up: _Scale) -> Iterator[str]:
    text = f"target {tradeoff.value:g}"
    if tradeoff.target == "quality" and tradeoff.value >= up.low:
        y = up(tradeoff.value)
        yield _line("target", across.start, y, across.end, y)
        yield _text(across.start + 6, y - 5, text, "aimed")
    elif tradeoff.target == axis.target:
        x = across(tradeoff.value)
        yield _line("target", x, up.start, x, up.end)
        anchor, away = ("end", -6) if tradeoff.value > across.high / 2 else ("start", 6)
        yield _text(x + away, up.start - 8, text, "aimed", anchor)


def _legend(tradeoff: Tradeoff) -> Iterator[str]:
    x, y = 16, 86
    yield f'<rect class="band" x="{x}" y="{y - 11}" width="22" height="14"/>'
    yield f'<line class="curve" x1="{x}" y1="{y - 4}" x2="{x + 22}" y2="{y - 4}"/>'
    yield _text(x + 28, y, "every threshold")
    marks: list[tuple[_Mark, str, bool]] = [(_diamond, "kept so far, with checks", tradeoff.kept.quality is not None)]
    marks.append((_dot, "the present threshold", tradeoff.present is not None))
    x += 150
    for mark, said, there in marks:
        if there:
            yield from mark(x, y - 4, y + 3, y - 11)
            yield _text(x + 12, y, said)
            x += 180


def _dot(x: float, value: float, low: float, high: float) -> Iterator[str]:
    yield _line("curve", x, low, x, high)
    yield f'<circle class="dot" cx="{x:.1f}" cy="{value:.1f}" r="{_RADIUS}"/>'


def _diamond(x: float, value: float, low: float, high: float) -> Iterator[str]:
    yield _line("kept", x, low, x, high)
    far = _RADIUS + 1.5
    yield f'<path class="held" d="M{x:.1f} {value - far:.1f}l{far} {far}l{-far} {far}l{-far} {-far}z"/>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text class="{f"small {kind}".strip()}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'
    )


def _lowest(tradeoff: Tradeoff) -> float:
    """Returns the least value of a picture: a tenth below all that is to be seen, and below the target."""
    shown = [each.quality.low for each in (*tradeoff.points, tradeoff.kept) if each.quality is not None]
    aimed = [tradeoff.value] if tradeoff.target == "quality" else []
    return max(0.0, min(0.9, floor(min([*shown, *aimed]) * 20) / 20))


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
