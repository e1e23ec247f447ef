"""`python -m bench.everyday`: prompts of all kinds to `auto`, with the model that `make run` serves as small tier."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from bench.everyday.report import draw, markdown
from bench.everyday.run import Seen, everyday
from bench.everyday.sets import prompts
from bench.proc import BenchError

_BENCH = Path(__file__).parents[1]
_ROOT = _BENCH.parent
_PUBLISHED = _ROOT / "docs" / "benchmarks"
_NAMES = ("everyday.md", "everyday.json", "everyday.png")
_PASSES = ("cold", "warm")


def main(
    size: Annotated[int, typer.Option("--limit", min=1, help="Prompts of each pass.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the prompts and their order.")] = 1,
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Has evals/ and intents/.")] = Path("../shared/data"),
    xquad: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Has xquad.LANGUAGE.json.")] = None,
    mgsm: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Has mgsm_LANGUAGE.tsv.")] = None,
    models: Annotated[Path, typer.Option(metavar="FOLDER", help="Local models.")] = _ROOT / ".cache" / "models",
    home: Annotated[Path | None, typer.Option(metavar="FOLDER", help="A new installation, which is kept.")] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = _BENCH / "results",
    publish: Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")] = False,
) -> None:
    """What `auto` is worth: the first prompts of an installation, and as many others after them."""
    console = Console()
    done = 0

    def tick(seen: Seen) -> None:
        nonlocal done
        done += 1
        words = f"{seen.kind}: {seen.tier} ({seen.why}), {'right' if seen.right else 'wrong'}, {seen.total_ms:.0f} ms"
        console.print(f"{done}/{len(_PASSES) * size} {escape(words)}", highlight=False)

    try:
        drawn = prompts(data, size, len(_PASSES), seed, xquad, mgsm)
        found = everyday(dict(zip(_PASSES, drawn, strict=True)), seed, models.resolve(), home, tick)
    except BenchError as error:
        console.print(f"[red]bench:[/red] {escape(str(error))}")
        raise typer.Exit(1) from error
    out.mkdir(parents=True, exist_ok=True)
    page = markdown(found)
    console.print(page, markup=False, highlight=False)
    (out / "everyday.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    (out / "everyday.md").write_text(page)
    draw(found, out / "everyday.png")
    console.print(f"written to {out}: {', '.join(_NAMES)}")
    if publish:
        for name in _NAMES:
            shutil.copyfile(out / name, _PUBLISHED / name)
        console.print(f"and copied to {_PUBLISHED}")


if __name__ == "__main__":
    typer.run(main)
