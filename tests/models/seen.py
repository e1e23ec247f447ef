"""A progress that keeps all it is told, and looks whether it only grows."""

from __future__ import annotations

from weebill.models.progress import Phase, Progress


class Seen(Progress):
    """`steps` are all steps, `said` all words; a step back is an error at once."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, Phase, int, int]] = []
        self.said: list[str] = []
        self._most: dict[tuple[str, Phase], int] = {}

    def step(self, file: str, phase: Phase, done: int, total: int) -> None:
        assert done >= self._most.get((file, phase), 0), f"{phase} {file} went back to {done}"
        assert not total or done <= total
        self._most[file, phase] = done
        self.steps.append((file, phase, done, total))

    def say(self, text: str) -> None:
        self.said.append(text)

    @property
    def phases(self) -> set[Phase]:
        return {phase for _, phase, _, _ in self.steps}
