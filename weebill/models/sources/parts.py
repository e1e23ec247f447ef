"""The files of a model among many: its parts, its quantization, its projector."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final, NamedTuple, get_args

from weebill.models.curated import Role
from weebill.models.errors import ModelChoiceError, ModelFormatError, NotFoundError
from weebill.models.plan import Precision

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
# Of a model in safetensors, which may be in several files.
_WEIGHTS: Final = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_NEEDED: Final = frozenset({"config.json", "tokenizer.json"})
_BESIDE: Final = frozenset(
    {
        *_NEEDED,
        "1_Pooling/config.json",
        "tokenizer_config.json",
        "generation_config.json",
        "chat_template.jinja",
    }
)
_FURTHER: Final = re.compile(r"\d+_Dense/")
# Static vectors as sentence-transformers lays them out, whose kind `modules.json` tells: in a folder, or beside it.
_MODULES: Final = "modules.json"
_STATIC_FOLDERS: Final = ("0_StaticEmbedding/", "")
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)
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


def shown_name(path: str, paths: Iterable[str]) -> str:
    """Returns the name of one of the files at `paths`: its own, with its folder's if another one has the same."""
    name = PurePosixPath(path).name
    alike = [other for other in paths if PurePosixPath(other).name == name]
    # The first keeps it: the shortest path, which is the model's own.
    return name if path == min(alike, key=len) else f"{PurePosixPath(path).parent.name}/{name}"


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
    if not ggufs and not file and (convertible := _convertible(there) or _static(there)):
        if quant.upper() not in ("", *PRECISIONS):
            raise ModelChoiceError(f"{where} holds safetensors, which become one of {', '.join(PRECISIONS)}.")
        return convertible
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


def _convertible(paths: list[str]) -> tuple[Chosen, ...]:
    """Returns the files of a model in safetensors that a conversion reads; none if any that it needs is missing, or if
    it has a step after pooling, which would be left out.
    """
    weights = [path for path in paths if _WEIGHTS.fullmatch(path)]
    if not weights or not _NEEDED.issubset(paths) or any(map(_FURTHER.match, paths)):
        return ()
    beside = [path for path in paths if path in _BESIDE]
    return (*(Chosen("config", path) for path in beside), *(Chosen("model", path) for path in weights))


def _static(paths: list[str]) -> tuple[Chosen, ...]:
    """Returns the files of static vectors in the layouts of sentence-transformers; none if there are none."""
    for folder in _STATIC_FOLDERS:
        weights, tokenizer = f"{folder}model.safetensors", f"{folder}tokenizer.json"
        if {weights, tokenizer, _MODULES}.issubset(paths):
            return Chosen("config", _MODULES), Chosen("config", tokenizer), Chosen("model", weights)
    return ()


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
