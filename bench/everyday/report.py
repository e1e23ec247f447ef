"""The figures of a run as Markdown, and as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from matplotlib.figure import Figure as Canvas

from bench.everyday.run import Everyday, Pass, Quality, Seen
from weebill.auto.intervals import Interval, proportion

GOAL: Final = 0.95
_OWN, _GREY, _GOLD = "#0b7a75", "#9aa3ad", "#d1913c"
_NANO: Final = 1e9
_NOTHING: Final = "–"


def share(seen: Sequence[Seen]) -> Interval | None:
    """Returns the right answers as a share of the large tier's, which are all right, with a 95 % interval."""
    return proportion(sum(each.right for each in seen), len(seen))


def by_tier(seen: Sequence[Seen]) -> dict[str, list[Seen]]:
    """Returns the answers of each tier; those made anew by the large tier, after a check, are apart."""
    tiers: dict[str, list[Seen]] = {}
    for each in seen:
        tiers.setdefault("large, after a small answer failed" if each.check else each.tier, []).append(each)
    return tiers


def markdown(found: Everyday) -> str:
    """Returns the whole report."""
    return "\n".join([*_head(found), *_kinds(found), *_told(found), *_reasons(found), *_speed(found)]) + "\n"


def _head(found: Everyday) -> Iterator[str]:
    yield "# Everyday requests"
    yield ""
    yield (
        f"`auto` with default settings, the small tier `{found.small}`, the large one an emulated `{found.large}` that "
        f"is always right; seed {found.seed}."
    )
    yield ""
    yield from _table(
        (
            "prompts",
            "right, of the large tier's (95 %)",
            f"at least {GOAL:g}",
            "stay small",
            "beyond the small model",
            "spend",
            "audits' part",
        ),
        (_pass_cells(name, passes) for name, passes in _rows(found)),
    )


def _rows(found: Everyday) -> Iterator[tuple[str, Sequence[Pass]]]:
    for each in found.passes:
        yield f"{each.name}: {len(each.seen)}", [each]
    yield "all", found.passes


def _pass_cells(name: str, passes: Sequence[Pass]) -> tuple[str, ...]:
    seen = _seen(passes)
    large, audits = sum(each.large_nano for each in seen), sum(each.audits_nano for each in passes)
    right, spent = share(seen), sum(each.spent_nano for each in passes) + audits
    met = "✓" if right is not None and right.value >= GOAL else "✗"
    beyond = f"{sum(not each.learns for each in seen) / len(seen):.0%}"
    return name, _interval(right), met, _small(seen), beyond, _part(spent, large), _part(audits, large)


def _kinds(found: Everyday) -> Iterator[str]:
    yield from ("", "By kind. Of the audits: *as good* is the small answers' score, *right* the truth by keys.", "")
    headings = ["kind"]
    for each in found.passes:
        headings += [f"{each.name}: prompts", "stay small", "small right", "right (95 %)"]
    yield from _table((*headings, "audits", "as good", "right"), _kind_rows(found, lambda each: each.kind))
    for kind in sorted({each.kind for each in _seen(found.passes) if each.part and each.kind.startswith("everyday")}):
        yield from ("", f"{kind[0].upper()}{kind[1:]}:", "")
        yield from _table((*headings, "audits", "as good", "right"), _kind_rows(found, lambda each: each.part, kind))


def _kind_rows(found: Everyday, group: Callable[[Seen], str], only: str = "") -> Iterator[tuple[str, ...]]:
    def of(seen: Sequence[Seen]) -> list[Seen]:
        return [each for each in seen if only in ("", each.kind)]

    for name in sorted({group(each) for each in of(_seen(found.passes))}):
        cells = [name]
        for each in found.passes:
            seen = [one for one in of(each.seen) if group(one) == name]
            kept = [one for one in seen if one.tier == "small"]
            cells += [f"{len(seen)}", _small(seen), _count(kept), _interval(share(seen))]
        ids = {one.request_id for one in of(_seen(found.passes)) if group(one) == name}
        audits = [scored for each in found.passes for one, scored in each.audited.items() if one in ids]
        yield (*cells, f"{len(audits)}", _mean(each.small for each in audits), _mean(each.right for each in audits))


def _told(found: Everyday) -> Iterator[str]:
    yield from (
        "",
        "What `weebill auto status` told, of the requests that no ability decided, and the truth by keys:",
        "",
    )
    rows, seen = [], list[Seen]()
    for each in found.passes:
        seen += [one for one in each.seen if one.learns]
        told = each.told
        if told is None:
            continue
        rows.append(
            (
                f"after {each.name}",
                f"{told.decisions} ({len(seen)} asked)",
                f"{told.audits} judged, {told.unjudged} not",
                "not yet known" if told.quality is None else _interval(told.quality),
                _interval(share(seen)),
                f"{told.large_share:.0%}",
                _NOTHING if told.spend is None else f"{told.spend:.0%}",
            )
        )
    headings = ("", "decisions", "audits", "quality told", "true quality", "to large", "spend told")
    yield from _table(headings, rows)
    judged = Counter(scored.by for each in found.passes for scored in each.audited.values())
    ways = ", ".join(f"{by} {count}" for by, count in judged.most_common())
    asked = ", ".join(f"{count} {what}" for what, count in sorted(found.asked_large.items()))
    yield from ("", f"Audits compared by: {ways or _NOTHING}. The large tier was asked for: {asked}.")
    known = [
        (scored.small, scored.right)
        for each in found.passes
        for scored in each.audited.values()
        if scored.small is not None and scored.right is not None
    ]
    agreed = sum(score == told for score, told in known)
    high = sum(score > told for score, told in known)
    yield f"In {agreed} of {len(known)} audits whose texts are known, score and key agree; {high} scores are too high."
    unjudged = [scored.right for each in found.passes for scored in each.audited.values() if scored.small is None]
    yield f"Of the {len(unjudged)} audits that could not be judged, {sum(map(bool, unjudged))} small answers are right."
    yield from ("", *_ceiling(found))


def _ceiling(found: Everyday) -> Iterator[str]:
    seen = _seen(found.passes)
    truths = [scored.right for each in found.passes for scored in each.audited.values() if scored.right is not None]
    if truths:
        open_to = sum(each.learns for each in seen) / len(seen)
        right = sum(truths) / len(truths)
        yield (
            f"Somebody who knew when the small answer is right would keep {open_to * right:.1%} of all prompts small: "
            f"{open_to:.1%} are within what the small model is known to do, and it is right in {right:.0%} of the "
            "audited ones."
        )


def _reasons(found: Everyday) -> Iterator[str]:
    yield from ("", "Why a tier answered:", "")
    why = Counter((each.tier, _reason(each)) for each in _seen(found.passes))
    yield from _table(("tier", "reason", "prompts"), ((*key, f"{count}") for key, count in why.most_common()))
    checks = Counter(each.check for each in _seen(found.passes) if each.check)
    small = sum(each.tier == "small" for each in _seen(found.passes)) + checks.total()
    told = ", ".join(f"`{check}` {count}" for check, count in checks.most_common())
    yield from ("", f"Escalations, of {small} small answers, by check: {told or 'none'}.")


def _reason(seen: Seen) -> str:
    return "gain" if seen.why.startswith("gain ") else seen.why


def _speed(found: Everyday) -> Iterator[str]:
    yield from (
        "",
        "Times of streams on this machine, which other work shares; the large tier's latency is emulated:",
        "",
    )
    rows = []
    for tier, seen in sorted(by_tier(_seen(found.passes)).items()):
        times = sorted(each.first_ms for each in seen if each.first_ms is not None)
        if times:
            totals = [each.total_ms for each in seen if each.first_ms is not None]
            late = times[min(len(times) - 1, int(0.95 * len(times)))]
            rows.append((tier, f"{len(times)}", f"{median(times):,.0f}", f"{late:,.0f}", f"{median(totals):,.0f}"))
    headings = ("tier", "streams", "first text, p50, ms", "p95, ms", "to the end, p50, ms")
    yield from _table(headings, rows)
    small = [each for one in found.passes for each in one.small_ms]
    took = f"{median(small):,.0f} ms (median of {len(small)})" if small else _NOTHING
    minutes = ", ".join(f"{each.name} {each.seconds / 60:.0f}" for each in found.passes)
    yield from ("", f"Small answers for audits took {took}. Minutes of each pass: {minutes}.")


def draw(found: Everyday, path: Path) -> None:
    """Writes the share that stays small, and the right answers, by kind and pass, as PNG."""
    kinds = sorted({each.kind for each in _seen(found.passes)}, reverse=True)
    canvas = Canvas(figsize=(12, 0.55 * len(kinds) + 1.6), dpi=130, facecolor="white", layout="constrained")
    small, right = canvas.subplots(1, 2, sharey=True)
    height = 0.8 / len(found.passes)
    for at, (each, colour) in enumerate(zip(found.passes, (_GREY, _OWN, _GOLD), strict=False)):
        for place, kind in enumerate(kinds):
            seen = [one for one in each.seen if one.kind == kind]
            y = place + 0.4 - height * (at + 0.5)
            label = each.name if place == 0 else None
            stays = sum(one.tier == "small" for one in seen) / max(1, len(seen))
            small.barh(y, stays, height=height * 0.9, color=colour, label=label)
            interval = share(seen)
            if interval is not None:
                error = [[interval.value - interval.low], [interval.high - interval.value]]
                right.errorbar(interval.value, y, xerr=error, fmt="o", color=colour, capsize=3, markersize=5)
    right.axvline(GOAL, color=_GOLD, linestyle="--", linewidth=1)
    small.set_title("share that stays small", loc="left", fontsize=11)
    right.set_title("right answers, of the large tier's (95 %)", loc="left", fontsize=11)
    small.set_yticks(range(len(kinds)), kinds)
    small.set_xlim(0, 1)
    for axes in (small, right):
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="x", color="#e3e6ea")
        axes.spines[["top", "right"]].set_visible(False)
    small.legend(frameon=False, loc="upper right")
    canvas.savefig(path)


def _seen(passes: Sequence[Pass]) -> list[Seen]:
    return [one for each in passes for one in each.seen]


def _small(seen: Sequence[Seen]) -> str:
    return f"{sum(each.tier == 'small' for each in seen) / len(seen):.0%}" if seen else _NOTHING


def _mean(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.0%} of {len(known)}" if known else _NOTHING


def _count(seen: Sequence[Seen]) -> str:
    return f"{sum(each.right for each in seen)} of {len(seen)}" if seen else _NOTHING


def _part(nano: int, of: int) -> str:
    return f"{nano / of:.0%} (${nano / _NANO:.3f})" if of else _NOTHING


def _interval(found: Interval | Quality | None) -> str:
    return _NOTHING if found is None else f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _table(headings: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"| --- |{' ---: |' * (len(headings) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
