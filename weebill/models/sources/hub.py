"""Models of the hub: huggingface.co, or what HF_ENDPOINT names.

`huggingface_hub` is asked for what a repository holds, with the token, the cache folder and the offline mode that its
own settings say (https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables). It is imported
only here, and only when a name of the hub is resolved. The files themselves are brought by `download`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from weebill.models.converting import is_to_convert
from weebill.models.curated import CuratedFile, CuratedModel, Licence
from weebill.models.download import Patience, retry_in_vain
from weebill.models.errors import LibraryMissingError, NotFoundError, OfflineError, ServerError
from weebill.models.http import Remote, failure, failures_as_errors
from weebill.models.names import HubName, is_inner_path
from weebill.models.plan import FromServer, Plan, PlannedFile, plan_of
from weebill.models.sources.licences import licence_of
from weebill.models.sources.parts import PRECISIONS, Chosen, choose, shown_name

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_DEFAULT_ENDPOINT: Final = "https://huggingface.co"
# Seconds without a byte of what a repository holds, and tries to get it.
_PATIENCE: Final = Patience(silence_s=15.0)


def resolve(name: str, wanted: HubName, known: CuratedModel | None) -> Plan:
    """Returns the plan of a repository, at the commit that its revision names now."""
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _DEFAULT_ENDPOINT
    page = f"{endpoint}/{wanted.repo}"
    token = _token(wanted)
    info = _info(wanted, endpoint, Remote(url=page, page=page, token=token, is_hub=True))
    siblings = {each.rfilename: each for each in info.siblings or () if is_inner_path(each.rfilename)}
    chosen, expected = _chosen(page, wanted, known, siblings)
    commit = info.sha or wanted.revision or "main"
    paths = [each.path for each in chosen]
    files = (
        replace(
            _file(endpoint, wanted.repo, commit, token, each, siblings[each.path], expected.get(each.path)),
            name=shown_name(each.path, paths),
        )
        for each in chosen
    )
    plan = plan_of(name, wanted, known, tuple(files), revision=commit, licence=_licence(info, page))
    precision = next((each for each in PRECISIONS if each == wanted.quant.upper()), None)
    # Of a GGUF, it has chosen the file.
    return replace(plan, precision=precision) if is_to_convert(plan) else plan


def _chosen(
    page: str, wanted: HubName, known: CuratedModel | None, siblings: dict[str, RepoSibling]
) -> tuple[tuple[Chosen, ...], dict[str, CuratedFile]]:
    """Returns the files to bring, and what the curated list says of them."""
    if known is None:
        return choose(page, siblings, wanted.file, wanted.quant), {}
    for file in known.files:
        if file.path not in siblings:
            raise NotFoundError(
                f"{page} no longer has {file.path}, which is {known.name}. Name what it has now by {wanted}:FILE."
            )
    return tuple(Chosen(file.role, file.path) for file in known.files), {file.path: file for file in known.files}


def _file(
    endpoint: str,
    repo: str,
    commit: str,
    token: str,
    chosen: Chosen,
    sibling: RepoSibling,
    expected: CuratedFile | None,
) -> PlannedFile:
    from huggingface_hub import hf_hub_url

    remote = Remote(
        url=hf_hub_url(repo, chosen.path, revision=commit, endpoint=endpoint),
        page=f"{endpoint}/{repo}",
        token=token,
        is_hub=True,
    )
    size, sha256 = sibling.size, sibling.lfs.sha256 if sibling.lfs is not None else None
    if expected is not None:
        # What the list says was checked before; a hub that has another file by now gives the wrong model.
        size, sha256 = expected.size or size, expected.sha256 or sha256
    name = PurePosixPath(chosen.path).name
    return PlannedFile(chosen.role, name, FromServer(remote), size, sha256)


def _token(wanted: HubName) -> str:
    """Returns the token of the environment or of the hub's file, "" without one. Raises in offline mode."""
    try:
        from huggingface_hub import get_token, is_offline_mode
    except ImportError:
        raise LibraryMissingError("huggingface_hub") from None
    if is_offline_mode():
        raise OfflineError(
            f"{wanted} is not on this machine, and the hub's offline mode is on. Unset HF_HUB_OFFLINE and "
            "TRANSFORMERS_OFFLINE to fetch it, or add its file with: weebill pull NAME --from FILE.gguf"
        )
    return get_token() or ""


def _info(wanted: HubName, endpoint: str, remote: Remote) -> ModelInfo:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, token=remote.token or False, library_name="weebill")
    found: list[ModelInfo] = []

    def ask() -> None:
        with _refusals(remote), failures_as_errors(remote):
            found.append(
                api.model_info(
                    wanted.repo,
                    revision=wanted.revision or None,
                    files_metadata=True,
                    timeout=_PATIENCE.silence_s,
                )
            )

    retry_in_vain(ask, _PATIENCE)
    return found[0]


@contextlib.contextmanager
def _refusals(remote: Remote) -> Iterator[None]:
    """Turns the hub's errors into ours, which quote none of it: what it quotes may hold a secret."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HFValidationError:
        raise NotFoundError(f"The hub can have no {remote.page}. Check the name.") from None
    except HfHubHTTPError as error:
        raise failure(remote, error.response.status_code, error.response.headers) from None
    except (ValueError, TypeError, KeyError) as error:
        raise ServerError(
            f"{remote.page} is answered as no hub does ({type(error).__name__}). Check HF_ENDPOINT."
        ) from None


def _licence(info: ModelInfo, page: str) -> Licence | None:
    def text(key: str) -> str:
        value = info.card_data.get(key) if info.card_data is not None else None
        return value if isinstance(value, str) else ""

    tagged = next((tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")), "")
    return licence_of(text("license") or tagged, text("license_name"), text("license_link"), page)
