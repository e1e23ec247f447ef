"""The picture of the curve: what is in it, and that what is not known is not drawn."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import msgspec
import pytest

from weebill.auto.intervals import Interval
from weebill.auto.learning import Pair
from weebill.auto.tradeoff import Point, Tradeoff
from weebill.cli.auto_drawing import drawn

SVG = "{http://www.w3.org/2000/svg}"


def point(share: float, value: float, spend: float | None) -> Point:
    return Point(threshold=1 - share, large_share=share, spend=spend, quality=Interval(value, value - 0.1, 1.0))


def tradeoff(*, priced: bool = True) -> Tradeoff:
    spends = (1.0, 0.6, 0.1) if priced else (None, None, None)
    points = [point(*each) for each in zip((1.0, 0.5, 0.0), (1.0, 0.97, 0.8), spends, strict=True)]
    return Tradeoff(
        pair=Pair("s/<small>&", "l/large", "place-1"), target="quality", value=0.95, audits=120, effective=80.4,
        fewest=20, points=tuple(points), present=points[1], kept=point(0.75, 0.98, 0.8 if priced else None),
    )  # fmt: skip


def texts(picture: str) -> str:
    return "\n".join(each.text or "" for each in ElementTree.fromstring(picture).iter(f"{SVG}text"))


def count(picture: str, kind: str) -> int:
    return picture.count(f'class="{kind}"')


def test_it_has_a_panel_by_spend_and_one_by_share() -> None:
    picture = drawn(tradeoff())
    assert count(picture, "small aimed") == 2
    assert [len(each.split()) for each in re.findall(r'polyline class="curve" points="([^"]+)"', picture)] == [3, 3]
    assert count(picture, "dot") == count(picture, "held") == 3  # and in the legend
    said = texts(picture)
    assert "s/<small>& before l/large" in said
    assert "At the threshold, 50% of requests for the large model: 0.970 of its quality" in said
    assert "By 120 audits that weigh as much as 80 new ones; 95 % intervals." in said
    assert "@media (prefers-color-scheme: dark)" in picture


def test_without_prices_it_has_one_panel_and_says_so() -> None:
    picture = drawn(tradeoff(priced=False))
    assert picture.count("<polyline") == 1
    assert "Without prices, no spend." in texts(picture)
    assert "as a share of the large model alone" not in texts(picture)


@pytest.mark.parametrize(("target", "lines"), [("spend", 1), ("share", 1)])
def test_a_target_of_one_axis_is_a_line_in_its_panel(target: str, lines: int) -> None:
    picture = drawn(msgspec.structs.replace(tradeoff(), target=target, value=0.3, present=None))
    [line] = re.findall(r'class="target" x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)"', picture)
    assert line[0] == line[1]
    assert count(picture, "small aimed") == lines
    assert count(picture, "dot") == 0


def test_nothing_is_drawn_outside() -> None:
    """Not even a spend above that of the large model alone, or a quality above its."""
    high = point(1.0, 1.2, 1.4)
    beyond = msgspec.structs.replace(tradeoff(), kept=high, pair=Pair("s/" + "x" * 200, "l/" + "y" * 200, "place-1"))
    picture = drawn(beyond)
    [width] = {float(each) for each in re.findall(r'viewBox="0 0 (\d+) ', picture)}
    places = [float(each) for each in re.findall(r'(?:cx|x1|x2|x)="([\d.-]+)"', picture)]
    assert 0 <= min(places) <= max(places) <= width
    assert min(float(each) for each in re.findall(r'(?:cy|y1|y2)="([\d.-]+)"', picture)) >= 0
    assert max(map(len, texts(picture).splitlines())) <= 92


def test_what_was_kept_is_left_out_while_it_is_not_known() -> None:
    unknown = msgspec.structs.replace(tradeoff().kept, quality=None)
    assert count(drawn(msgspec.structs.replace(tradeoff(), kept=unknown)), "held") == 0
