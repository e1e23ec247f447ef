"""Prompts of other people's sets, read from files that are there or not, and the draw of a run's prompts.

Sources: MMLU (hendrycks/test, MIT), GSM8K (openai/grade-school-math, MIT), Banking77 (PolyAI-LDN, CC-BY-4.0); where a
path is given, XQuAD (google-deepmind/xquad, CC-BY-SA-4.0) and MGSM (google-research/url-nlp, CC-BY-4.0).
"""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.everyday.items import (
    BANKING77,
    ENGLISH,
    FOLLOW_UPS,
    GSM8K,
    JSON,
    MGSM,
    MMLU,
    OTHERS,
    TOOLS,
    XQUAD,
    Item,
    answer_of,
    checked,
    own_tasks,
    said,
    talk,
)  # fmt: skip
from bench.everyday.written import written
from bench.proc import BenchError
from weebill.factory.checkers import Answer, Letter, Number, Says

# So many of 500 prompts are of each kind.
MIXTURE: Final[Mapping[str, int]] = {
    MMLU: 90, GSM8K: 60, BANKING77: 80, ENGLISH: 120, OTHERS: 60, FOLLOW_UPS: 40, TOOLS: 25, JSON: 25,
}  # fmt: skip
GIVEN_BY_PATH: Final[Mapping[str, int]] = {XQUAD: 40, MGSM: 20}
# Of each set, so many rows are drawn from: enough for two passes, and other ones for follow-ups.
_POOL, _FOLLOWED = 200, 15
_LETTERS: Final = "ABCD"
_INTENTS: Final = 6
_WORKING: Final = re.compile(r"<<[^>]*>>")
_LANGUAGES: Final = ("ar", "bn", "de", "el", "es", "fr", "hi", "ja", "ro", "ru", "sw", "te", "th", "tr", "vi", "zh")


def prompts(
    data: Path, size: int, passes: int, seed: int, xquad: Path | None = None, mgsm: Path | None = None
) -> list[list[Item]]:
    """Returns so many prompts for each pass, no prompt twice, in random order. Raises BenchError."""
    chance = random.Random(seed)
    found: dict[str, list[Item]] = {}
    for item in checked([*own_tasks(), *written(), *_shared(data, chance), *_given(xquad, mgsm, chance)]):
        found.setdefault(item.kind, []).append(item)
    for items in found.values():
        chance.shuffle(items)
    weights = {kind: weight for kind, weight in (*MIXTURE.items(), *GIVEN_BY_PATH.items()) if kind in found}
    counts = quotas(weights, size)
    drawn = []
    for number in range(passes):
        items = []
        for kind, count in counts.items():
            if len(found[kind]) < passes * count:
                raise BenchError(f"there are {len(found[kind])} prompts of {kind}, and {passes * count} are needed")
            items += found[kind][number * count : (number + 1) * count]
        chance.shuffle(items)
        drawn.append(items)
    return drawn


def quotas(weights: Mapping[str, int], size: int) -> dict[str, int]:
    """Returns how many of `size` each has by its weight; what is left goes to the largest remainders."""
    total = sum(weights.values())
    exact = {name: size * weight / total for name, weight in weights.items()}
    counts = {name: int(share) for name, share in exact.items()}
    last = sorted(exact, key=lambda name: counts[name] - exact[name])[: size - sum(counts.values())]
    return {name: count + (name in last) for name, count in counts.items()}


def _shared(data: Path, chance: random.Random) -> list[Item]:
    """Returns items of MMLU, GSM8K and Banking77, and follow-ups to others of their rows."""
    try:
        with gzip.open(data / "evals" / "mmlu_test.jsonl.gz", "rt") as file:
            mmlu = [json.loads(line) for line in file]
        gsm8k = [json.loads(line) for line in (data / "evals" / "gsm8k_test.jsonl").open()]
        with (data / "intents" / "banking77_test.csv").open(newline="") as file:
            banking = [(row["text"], row["category"].strip("?").replace("_", " ")) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError) as error:
        raise BenchError(f"MMLU, GSM8K and Banking77 are needed, and cannot be read from {data}: {error!r}") from error
    intents = sorted({intent for _, intent in banking})
    questions = _draw(chance, mmlu, _POOL + _FOLLOWED)
    sums = _draw(chance, gsm8k, _POOL + _FOLLOWED)
    messages = _draw(chance, banking, _POOL + 2 * _FOLLOWED)
    items = [_option(f"mmlu-{at}", row) for at, row in enumerate(questions[:_POOL])]
    items += [_sum(f"gsm8k-{at}", row) for at, row in enumerate(sums[:_POOL])]
    items += [_intent(f"banking77-{at}", row, intents, chance) for at, row in enumerate(messages[:_POOL])]
    items += [_sure(f"follow-mmlu-{at}", row) for at, row in enumerate(questions[_POOL:])]
    items += [_half(f"follow-gsm8k-{at}", row) for at, row in enumerate(sums[_POOL:])]
    pairs = zip(messages[_POOL::2], messages[_POOL + 1 :: 2], strict=True)
    return items + [_next(f"follow-banking77-{at}", *pair, intents, chance) for at, pair in enumerate(pairs)]


def _draw(chance: random.Random, rows: Sequence[Any], count: int) -> list[Any]:
    return chance.sample(rows, min(count, len(rows)))


def _option(name: str, row: Mapping[str, Any]) -> Item:
    check = Letter(_LETTERS[row["answer"]])
    return Item(
        id=name,
        kind=MMLU,
        part=row["subject"],
        messages=said(_asked(row)),
        checks=(check,),
        answer=Answer(check.value),
        max_tokens=32,
    )


def _asked(row: Mapping[str, Any]) -> str:
    options = "\n".join(f"{letter}. {choice}" for letter, choice in zip(_LETTERS, row["choices"], strict=True))
    return f"{row['question']}\n{options}\nAnswer with the letter alone."


def _sure(name: str, row: Mapping[str, Any]) -> Item:
    check = Letter(_LETTERS[row["answer"]])
    messages = talk(_asked(row), check.value, "Are you sure? Say the letter again.")
    return Item(id=name, kind=FOLLOW_UPS, messages=messages, checks=(check,), answer=Answer(check.value), max_tokens=32)


def _solution(row: Mapping[str, Any]) -> tuple[str, float]:
    """Returns the steps of a solution, and its number."""
    steps, _, number = row["answer"].partition("####")
    return _WORKING.sub("", steps).strip(), float(number.replace(",", ""))


def _sum(name: str, row: Mapping[str, Any]) -> Item:
    steps, number = _solution(row)
    answer = Answer(f"{steps}\nThe answer is {number:.10g}.")
    return Item(
        id=name, kind=GSM8K, messages=said(row["question"]), checks=(Number(number),), answer=answer, max_tokens=256
    )


def _half(name: str, row: Mapping[str, Any]) -> Item:
    steps, number = _solution(row)
    check = Number(number / 2, 0.011)
    messages = talk(row["question"], f"{steps}\nThe answer is {number:.10g}.", "And what is half of that?")
    answer = Answer(f"Half of {number:.10g} is {number / 2:.10g}.")
    return Item(id=name, kind=FOLLOW_UPS, messages=messages, checks=(check,), answer=answer, max_tokens=64)


def _choices(intent: str, intents: Sequence[str], chance: random.Random) -> list[str]:
    others = chance.sample([each for each in intents if each != intent], _INTENTS - 1)
    return chance.sample([intent, *others], _INTENTS)


def _classified(text: str, choices: Sequence[str]) -> str:
    return (
        f"A customer of a bank writes: '{text}'\nWhich of these is it about: {', '.join(choices)}?\n"
        "Answer with one of these and nothing else."
    )


def _chooses(intent: str, choices: Sequence[str]) -> Says:
    """Returns the check of an answer that names one intent; those whose names are part of one another go together."""
    lower = intent.lower()
    return Says((intent,), tuple(each for each in choices if each.lower() not in lower and lower not in each.lower()))


def _intent(name: str, row: tuple[str, str], intents: Sequence[str], chance: random.Random) -> Item:
    text, intent = row
    choices = _choices(intent, intents, chance)
    return Item(
        id=name,
        kind=BANKING77,
        messages=said(_classified(text, choices)),
        checks=(_chooses(intent, choices),),
        answer=Answer(intent),
        max_tokens=24,
    )


def _next(
    name: str, first: tuple[str, str], second: tuple[str, str], intents: Sequence[str], chance: random.Random
) -> Item:
    choices = _choices(second[1], intents, chance)
    choices = choices if first[1] in choices else [first[1], *choices]
    return Item(
        id=name,
        kind=FOLLOW_UPS,
        messages=talk(_classified(first[0], choices), first[1], f"And this one: '{second[0]}'"),
        checks=(_chooses(second[1], choices),),
        answer=Answer(second[1]),
        max_tokens=24,
    )


def _given(xquad: Path | None, mgsm: Path | None, chance: random.Random) -> list[Item]:
    """Returns items of the sets whose folders were given."""
    items: list[Item] = []
    try:
        for language in _LANGUAGES:
            if xquad is not None and (file := xquad / f"xquad.{language}.json").exists():
                items += _read_xquad(file, language, chance)
            if mgsm is not None and (file := mgsm / f"mgsm_{language}.tsv").exists():
                items += _read_mgsm(file, language, chance)
    except (OSError, KeyError, ValueError) as error:
        raise BenchError(f"a set that was given cannot be read: {error!r}") from error
    return items


def _read_xquad(file: Path, language: str, chance: random.Random) -> list[Item]:
    rows = [
        (paragraph["context"], asked["question"], asked["answers"][0]["text"])
        for article in json.loads(file.read_text())["data"]
        for paragraph in article["paragraphs"]
        for asked in paragraph["qas"]
    ]
    return [
        Item(
            id=f"xquad-{language}-{at}",
            kind=XQUAD,
            part=language,
            messages=said(f"{context}\n\n{question}"),
            checks=(Says((answer,)),),
            answer=Answer(answer),
            max_tokens=64,
        )
        for at, (context, question, answer) in enumerate(_draw(chance, rows, _FOLLOWED))
    ]


def _read_mgsm(file: Path, language: str, chance: random.Random) -> list[Item]:
    rows = [line.split("\t") for line in file.read_text().splitlines()]
    items = []
    for at, (question, number) in enumerate(_draw(chance, rows, _FOLLOWED)):
        check = Number(float(number.replace(",", "")))
        answer = answer_of((check,), language) or Answer()
        items.append(
            Item(
                id=f"mgsm-{language}-{at}",
                kind=MGSM,
                part=language,
                messages=said(question),
                checks=(check,),
                answer=answer,
                max_tokens=256,
            )
        )
    return items
