"""The files of a model among many: its parts, its quantization, its projector."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from weebill.models.curated import Role
from weebill.models.errors import ModelChoiceError, ModelFormatError, NotFoundError

_PART: Final = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.I | re.S)
# As llama.cpp's quantizations are written in the names of files, with Unsloth's prefix; the last one counts.
_QUANT: Final = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|FP16|F32))(?![A-Za-z0-9])",
    re.I,
)
_DEFAULT: Final = "Q4_K_M"
_PROJECTOR: Final = "mmproj"
# Of several projectors: small ones lose what a picture shows, and all are small beside the model.
_PROJECTOR_ORDER: Final = ("F16", "BF16", "Q8_0", "F32")
_MOST_PARTS: Final = 1000
_MOST_LISTED: Final = 30


class Chosen(NamedTuple):
    """A file of a repository or folder, and its role."""

    role: Role
    path: str


def parts_of(path: str) -> tuple[str, ...]:
    """Returns the names of all parts of a split model, of which `path` is one; `path` alone if it is not split."""
    found = _PART.fullmatch(path)
    if found is None or not 1 <= int(found["count"]) <= _MOST_PARTS:
        return (path,)
    return tuple(
        f"{found['stem']}-{number:05}-of-{found['count']}.gguf" for number in range(1, int(found["count"]) + 1)
    )


def quant_of(path: str) -> str:
    """Returns the quantization that a file's name tells, in upper case; "" if it tells none."""
    found = _QUANT.findall(path.rpartition("/")[2]) or _QUANT.findall(path)
    return "" if not found else str(found[-1]).upper().replace("FP16", "F16")


def choose(where: str, paths: Iterable[str], file: str, quant: str) -> tuple[Chosen, ...]:
    """Returns the files of the model that is meant: `file`, or the one of `quant`, or the usual quantization.

    A projector comes with them. Raises NotFoundError, ModelChoiceError or ModelFormatError, which list what is there;
    `where` is shown in them.
    """
    there = sorted(paths)
    ggufs = [path for path in there if path.lower().endswith(".gguf") and "imatrix" not in path.lower()]
    projectors = [path for path in ggufs if _PROJECTOR in path.rpartition("/")[2].lower()]
    models = {parts_of(path)[0]: parts_of(path) for path in ggufs if path not in projectors}
    if file:
        if file not in there:
            raise NotFoundError(f"{where} has no file {file}. It has: {_listed(ggufs or there)}")
        parts = parts_of(file)
    else:
        parts = models[_one(where, list(models), quant, there)]
    missing = [part for part in parts if part not in there]
    if missing:
        raise NotFoundError(f"{where} lacks {_listed(missing)}, a part of {parts[0]}. Choose another file there.")
    chosen = [Chosen("model", part) for part in parts]
    if projectors and parts[0] in models:
        chosen.append(Chosen("projector", min(projectors, key=_projector_rank)))
    return tuple(chosen)


def _one(where: str, models: list[str], quant: str, there: list[str]) -> str:
    if not models:
        other = "safetensors files, which must be converted" if any("safetensors" in path for path in there) else "none"
        raise ModelFormatError(
            f"{where} holds no GGUF files, but {other}. Look for a repository of the same model whose name ends with "
            "-GGUF, or name a file of this one as in hf:owner/repo:FILE."
        )
    wanted = (quant or _DEFAULT).upper()
    found = [path for path in models if quant_of(path) == wanted]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        raise ModelChoiceError(f"{where} has several models of {wanted}. Name one of its files: {_listed(found)}")
    if not quant and len(models) == 1:
        return models[0]
    quants = sorted({quant_of(path) for path in models} - {""})
    what = f"Name one of these quantizations: {', '.join(quants)}" if quants else f"Name a file: {_listed(models)}"
    raise ModelChoiceError(f"{where} has no {wanted}. {what}")


def _projector_rank(path: str) -> tuple[int, str]:
    quant = quant_of(path)
    return (_PROJECTOR_ORDER.index(quant) if quant in _PROJECTOR_ORDER else len(_PROJECTOR_ORDER)), path


def _listed(paths: list[str]) -> str:
    more = len(paths) - _MOST_LISTED
    return ", ".join(paths[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "") if paths else "nothing"
