"""`python -m bench.everyday`: prompts of all kinds to `auto`, with the model that `make run` serves as small tier."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import msgspec
import typer

from bench.everyday.report import draw, markdown
from bench.everyday.run import Seen, everyday
from bench.everyday.sets import prompts
from bench.proc import BenchError
from weebill.models.errors import ModelError

_BENCH = Path(__file__).parents[1]
_ROOT = _BENCH.parent
_PUBLISHED = _ROOT / "docs" / "benchmarks"
_PUBLIC, _RAW = ("everyday.md", "everyday.png"), "everyday.json"
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
    """Puts the first prompts of an installation to `auto`, and as many others after them; says what came of it."""
    signal.signal(signal.SIGTERM, _interrupt)
    done = 0

    def tick(seen: Seen) -> None:
        nonlocal done
        done += 1
        words = f"{seen.kind}: {seen.tier} ({seen.why}), {'right' if seen.right else 'wrong'}, {seen.total_ms:.0f} ms"
        typer.echo(f"{done}/{len(_PASSES) * size} {words}")

    try:
        drawn = prompts(data, size, len(_PASSES), seed, xquad, mgsm)
        found = everyday(dict(zip(_PASSES, drawn, strict=True)), seed, models.resolve(), home, tick)
    except (BenchError, ModelError, OSError) as error:
        typer.echo(f"bench: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo("stopped, and so is everything that was started", err=True)
        raise typer.Exit(130) from None
    out.mkdir(parents=True, exist_ok=True)
    page = markdown(found)
    typer.echo(page)
    (out / _RAW).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    (out / "everyday.md").write_text(page)
    draw(found, out / "everyday.png")
    typer.echo(f"written to {out}: {', '.join((*_PUBLIC, _RAW))}")
    if publish:
        for name in _PUBLIC:
            shutil.copyfile(out / name, _PUBLISHED / name)
        typer.echo(f"and copied to {_PUBLISHED}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
