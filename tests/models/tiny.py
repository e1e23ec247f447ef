"""A small repository of the hub, and pulls that do not wait long."""

from __future__ import annotations

import random

from weebill.models.curated import Role
from weebill.models.download import Patience
from weebill.models.progress import SILENT, Progress
from weebill.models.pull import Accept, pull, refuse
from weebill.models.store import InstalledModel, ModelStore

REPO = "maker/Tiny-GGUF"
TOKEN = "hf_a-token-of-the-test"
HURRIED = Patience(tries=3, first_s=0.001, longest_s=0.01, silence_s=5.0)
SMALL = b"GGUF" + random.Random(1).randbytes(50_000)
LARGE = b"GGUF" + random.Random(2).randbytes(90_000)
EYES = b"GGUF" + random.Random(3).randbytes(9_000)
FILES = {
    "Tiny-Q4_K_M.gguf": SMALL,
    "Tiny-Q8_0.gguf": LARGE,
    "README.md": b"# Tiny",
    "imatrix.gguf": b"GGUF no model",
}


def fetch(models: ModelStore, name: str, progress: Progress = SILENT, accept: Accept = refuse) -> InstalledModel:
    """Pulls a model, and gives up soon."""
    return pull(models, name, progress, accept, HURRIED)


def contents(model: InstalledModel, role: Role = "model") -> list[bytes]:
    """The contents of a model's files of a role."""
    return [path.read_bytes() for _, path in model.paths(role)]
