"""The packaged verifier of small answers, and how well it tells right ones from wrong ones.

    python -m bench.verifier ask QUESTIONS.jsonl --url http://127.0.0.1:8080 --model smollm2:135m --out ANSWERS.jsonl
    python -m bench.verifier fit ANSWERS.jsonl ... --model smollm2:135m --out weebill/auto/data/verifier.json
    python -m bench.verifier report ANSWERS.jsonl ... [--verifier weebill/auto/data/verifier.json]

`ask` puts questions to a model of a running gateway ($WEEBILL_API_KEY is the key) and grades the answers; a question
is a line {"source", "question", "max_tokens", "any": [answers that it must contain one of]}. `report` prints the areas
under the ROC curve as Markdown; without a verifier, each source is judged by one that is fitted to all others.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import openai

from weebill.auto.trust import Verifier
from weebill.cli.router_progress import show_progress
from weebill.factory.checkers import Answer, Says
from weebill.factory.verifying import Graded, first_verifier, measure, read_graded


class Question(msgspec.Struct, frozen=True):
    source: str
    question: str
    any: tuple[str, ...]
    max_tokens: int = 48


class Packaged(msgspec.Struct, frozen=True, kw_only=True):
    """The file of the packaged verifier: what it was fitted to, and the verifier."""

    made: str
    model: str
    recipe: str
    answers: dict[str, int]
    verifier: Verifier


def ask(questions: list[Question], client: openai.OpenAI, model: str, out: Path) -> None:
    """Asks all questions, and writes each answer as soon as it is graded."""
    with out.open("wb") as file, show_progress() as report:
        for number, asked in enumerate(questions):
            report("Asking", number, len(questions))
            reply = client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": asked.question}],
                max_tokens=asked.max_tokens,
                temperature=0,
                logprobs=True,
            )
            [choice] = reply.choices
            right = float(Says(asked.any).holds(Answer(choice.message.content or "")))
            tokens = [] if choice.logprobs is None else choice.logprobs.content or []
            entries = tuple(msgspec.Raw(each.model_dump_json(include={"token", "logprob"}).encode()) for each in tokens)
            file.write(msgspec.json.encode(Graded(asked.source, asked.question, right, entries)) + b"\n")
            file.flush()


def fit(paths: list[Path], model: str, out: Path) -> None:
    """Writes the verifier that fits all answers."""
    sources = read_graded(paths)
    packaged = Packaged(
        made=datetime.now(UTC).date().isoformat(),
        model=model,
        recipe=shlex.join(["python", "-m", "bench.verifier", "fit", *(path.name for path in paths), "--model", model]),
        answers={each.source: len(each.scores) for each in sources},
        verifier=first_verifier(sources),
    )
    out.write_bytes(msgspec.json.format(msgspec.json.encode(packaged), indent=1) + b"\n")


def report(paths: list[Path], verifier: Path | None) -> None:
    """Prints the figures of every source."""
    taken = None if verifier is None else msgspec.json.decode(verifier.read_bytes(), type=Packaged).verifier
    print("| source | answers | right | AUC | after audits | AUC on the rest |\n| --- | --- | --- | --- | --- | --- |")
    for found in measure(read_graded(paths), taken):
        value, low, high = found.alone
        area, answers = f"{value:.2f} ({low:.2f} to {high:.2f})", f"{found.answers} | {found.right:.0%}"
        print(f"| {found.source} | {answers} | {area} | {found.audits} | {found.adapted:.2f} |")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.verifier", description=__doc__)
    parser.add_argument("command", choices=("ask", "fit", "report"))
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", default="smollm2:135m")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--verifier", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.command == "report":
        report(chosen.files, chosen.verifier)
        return
    if chosen.out is None:
        parser.error("--out is needed")
    if chosen.command == "fit":
        fit(chosen.files, chosen.model, chosen.out)
        return
    decode = msgspec.json.Decoder(Question).decode
    questions = [decode(line) for path in chosen.files for line in path.read_bytes().splitlines()]
    client = openai.OpenAI(base_url=f"{chosen.url}/v1", api_key=os.environ["WEEBILL_API_KEY"])
    ask(questions, client, chosen.model, chosen.out)


if __name__ == "__main__":
    main(sys.argv[1:])
