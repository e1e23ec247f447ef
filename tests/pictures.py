"""Draws what commands print: `make pictures` writes `docs/images/cli-*.svg`.

Every command is run as it is shown, in a new installation with an upstream on loopback.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import httpx
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.e2e.installation import Installation, installation
from tests.fixtures.upstream import complete, running_upstream

_IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"
_WIDEST: Final = 148  # columns
_ASKED: Final = (("web", "gpt-4o-mini", 12), ("web", "gpt-4o", 3), ("nightly", "gpt-4o-mini", 7))
_SETTLED_S: Final = 2.0
_CONFIG: Final = """
[server]
workers = 1
[local]
models = []
[metering]
ingest_interval_s = 0.1
[providers.openai]
base_url = "{base_url}"
api_key = "sk-loopback"
models = ["gpt-4o", "gpt-4o-mini"]
"""
_THEME: Final = TerminalTheme(
    (30, 27, 24),
    (231, 224, 214),
    [(80, 73, 69), (224, 108, 96), (152, 190, 101), (229, 181, 103),
     (126, 171, 206), (199, 146, 190), (114, 190, 175), (231, 224, 214)],
    [(124, 111, 100), (240, 128, 116), (172, 207, 121), (245, 200, 120),
     (146, 191, 226), (215, 166, 206), (134, 208, 195), (250, 245, 238)],
)  # fmt: skip
# A picture in a page may load no font, so none is named but those that a machine has.
_FONT: Final = re.compile(r"@font-face \{.*?\}\s*", re.S)
_SECRET: Final = re.compile(r"(wb-[\w-]{6})[\w-]+")
_FAMILIES: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"


class Picture(NamedTuple):
    """A picture: its file's name, its title, and the commands that it shows with what they print."""

    name: str
    title: str
    commands: tuple[str, ...]


PICTURES: Final = (
    Picture(
        "accounts",
        "Organisations, projects, members and keys",
        (
            "weebill orgs create acme",
            "weebill projects create shop --org acme",
            "weebill users create ada@example.com --name 'Ada Lovelace'",
            "weebill members add ada@example.com --org acme --role admin",
            "weebill members list --org acme",
            "weebill keys create checkout --project shop --model 'gpt-4o*' --expires 30d",
            "weebill keys list",
        ),
    ),
    Picture(
        "limits",
        "Limits",
        (
            "weebill limits set proj_default spend 250 --per month",
            "weebill limits set proj_default tokens 2000000 --per day",
            "weebill limits set web requests 600",
            "weebill limits set web concurrent 16",
            "weebill limits list",
        ),
    ),
    Picture(
        "credits",
        "Credits",
        (
            "weebill credits grant 25 --expires 90d --note Welcome",
            "weebill credits rate +20 --model 'gpt-4o*'",
            "weebill credits show",
            "weebill credits statement",
            "weebill credits verify",
        ),
    ),
    Picture("usage", "Usage", ("weebill usage --by key --by model", "weebill usage --by model --bucket day")),
    Picture("audit", "The log of administrative acts", ("weebill audit list --limit 8", "weebill audit verify")),
)


async def main() -> None:
    """Runs the commands, and writes the pictures."""
    with tempfile.TemporaryDirectory(prefix="weebill-pictures-") as folder:
        async with running_upstream() as upstream:
            upstream.script = complete()
            config = _CONFIG.format(base_url=upstream.base_url)
            with installation(Path(folder, "home"), Path(folder, "models"), config, forked=False) as running:
                keys = {name: running.weebill("keys", "create", name, "--quiet").strip() for name in ("web", "nightly")}
                for picture in PICTURES:
                    (_IMAGES / f"cli-{picture.name}.svg").write_text(_drawn(picture, running))
                    await _ask(running, keys)


async def _ask(running: Installation, keys: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
        for name, model, count in _ASKED:
            for _ in range(count):
                body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
                headers = {"authorization": f"Bearer {keys[name]}"}
                (await client.post("/v1/chat/completions", json=body, headers=headers)).raise_for_status()
    await asyncio.sleep(_SETTLED_S)


def _drawn(picture: Picture, running: Installation) -> str:
    """Returns the picture as SVG."""
    lines = list(_lines(picture, running))
    console = Console(record=True, width=min(_WIDEST, max(map(len, lines)) + 1), file=io.StringIO())
    for line in lines:
        console.print(line, no_wrap=True, overflow="ellipsis")
    return _FONT.sub("", console.export_svg(title=picture.title, theme=_THEME)).replace("Fira Code", _FAMILIES)


def _lines(picture: Picture, running: Installation) -> Iterator[Text]:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = running.env | {"PATH": programs, "FORCE_COLOR": "1", "COLUMNS": str(_WIDEST)}
    for command in picture.commands:
        done = subprocess.run(
            ["bash", "-c", command], env=environment, check=True, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        yield Text.assemble(("$ ", "bright_black"), (command, "bold"))
        yield from (Text.from_ansi(line.rstrip()) for line in _SECRET.sub(r"\1...", done.stdout).splitlines())
        yield Text()


if __name__ == "__main__":
    asyncio.run(main())
