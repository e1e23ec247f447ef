"""Plots quality against spend, one panel for each set of rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weebill.factory.evaluation import Result
from weebill.factory.measures import curve

_COLOURS = ("#0b7a75", "#d1913c", "#b65a7a", "#4a6fa5", "#7a5ea8", "#5f8a3c")
_GREY = "#7d8896"
_COLUMNS = 3
_LEGEND = {"fontsize": 8, "frameon": False, "loc": "lower right"}


def draw(results: Sequence[Result], path: Path) -> None:
    """Writes the plot in the format of the file's suffix, such as PNG."""
    routed = list(dict.fromkeys(each.routed for each in results))
    columns = min(len(routed), _COLUMNS)
    rows = -(-len(routed) // columns)
    canvas = Figure(figsize=(4.6 * columns, 4 * rows), dpi=130, facecolor="white", layout="constrained")
    panels = list(canvas.subplots(rows, columns, squeeze=False).flat)
    for axes, name in zip(panels, routed, strict=False):
        _draw_panel(axes, name, [each for each in results if each.routed == name])
    for axes in panels[len(routed) :]:
        axes.set_visible(False)
    canvas.savefig(path)


def _draw_panel(axes: Axes, name: str, results: Sequence[Result]) -> None:
    first = results[0]
    weak, strong = first.weak.mean(), first.strong.mean()
    oracle = curve(first.strong - first.weak, first.weak, first.strong)
    axes.plot(_shares(oracle), oracle, color=_GREY, linestyle=":", label="oracle")
    axes.plot((0, 100), (weak, strong), color=_GREY, linestyle="--", label="random, 0.500")
    for each, colour in zip(results, _COLOURS, strict=False):
        quality = curve(each.gain, each.weak, each.strong)
        label = f"from {each.learned_from}, {each.measures.apgr.value:.3f}"
        axes.plot(_shares(quality), quality, color=colour, label=label, linewidth=1.4)
    axes.set_title(f"{name} ({first.measures.rows} rows); APGR in the legend", loc="left", fontsize=9)
    axes.set_xlabel("share to the large tier, %", fontsize=8)
    axes.set_ylabel("mean quality", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(**_LEGEND)


def _shares(quality: np.ndarray) -> np.ndarray:
    return np.linspace(0, 100, len(quality))
