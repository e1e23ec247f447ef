"""The time that `auto` takes to know a request: its traits and its features, of prompts of 200 words.

    python -m bench.decision

Warm: prompts that were seen before, so that the words' vectors are in the cache. Cold: each prompt once, by an
embedder that has seen none. A prediction from the features takes some 15 microseconds more.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

from weebill.auto.estimator.embedding import Embedder
from weebill.auto.learnt import Learnt
from weebill.auto.traits import traits
from weebill.wire.conversation import Conversation, Text, Turn

_DOCS = Path(__file__).parents[1] / "docs"
_PROMPTS = 200
_WORDS = 200


def prompts() -> list[Conversation]:
    """Returns prompts whose words are drawn from the documentation."""
    words = " ".join(path.read_text() for path in sorted(_DOCS.glob("*.md"))).split()
    rng = random.Random(1)
    texts = (" ".join(rng.sample(words, _WORDS)) for _ in range(_PROMPTS))
    return [Conversation(turns=(Turn("user", (Text(text),)),)) for text in texts]


def microseconds(work: Callable[[Conversation], object], asked: Sequence[Conversation]) -> list[float]:
    """Returns the time of each."""
    found = []
    for each in asked:
        begun = perf_counter()
        work(each)
        found.append((perf_counter() - begun) * 1e6)
    return found


def main() -> None:
    """Prints a row for each part as Markdown."""
    asked = prompts()
    learnt = Learnt.load(Embedder.load())
    gc.disable()
    cold = microseconds(learnt.describe, asked)
    print("| part | median | least |\n| --- | ---: | ---: |")
    for name, found in (
        ("traits", microseconds(traits, asked)),
        ("features, cold", cold),
        ("features, warm", microseconds(learnt.describe, asked)),
    ):
        print(f"| {name} | {median(found):.0f} µs | {min(found):.0f} µs |")


if __name__ == "__main__":
    main()
