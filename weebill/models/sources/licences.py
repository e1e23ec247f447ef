"""Licences as the hub's repositories name them (https://huggingface.co/docs/hub/repositories-licenses)."""

from __future__ import annotations

from typing import Final

from weebill.models.curated import Licence

# By the hub's identifier: SPDX's.
_SPDX: Final = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-2-clause": "BSD-2-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc0-1.0": "CC0-1.0",
    "gpl-3.0": "GPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "mpl-2.0": "MPL-2.0",
    "unlicense": "Unlicense",
    "isc": "ISC",
}
# Terms that bind by use, with the maker's page of them.
_TO_ACCEPT: Final = {
    "gemma": ("Gemma Terms of Use", "https://ai.google.dev/gemma/terms"),
    "llama2": ("Llama 2 Community License", "https://www.llama.com/llama2/license/"),
    "llama3": ("Llama 3 Community License", "https://www.llama.com/llama3/license/"),
    "llama3.1": ("Llama 3.1 Community License", "https://www.llama.com/llama3_1/license/"),
    "llama3.2": ("Llama 3.2 Community License", "https://www.llama.com/llama3_2/license/"),
    "llama3.3": ("Llama 3.3 Community License", "https://www.llama.com/llama3_3/license/"),
    "llama4": ("Llama 4 Community License", "https://www.llama.com/llama4/license/"),
}


def licence_of(identifier: str, name: str, link: str, page: str) -> Licence | None:
    """Returns the licence that a repository's card names by `license`, `license_name` and `license_link`."""
    identifier = identifier.lower()
    if identifier in _TO_ACCEPT:
        own, url = _TO_ACCEPT[identifier]
        return Licence(name=own, url=url, must_accept=True)
    if identifier in _SPDX:
        return Licence(name=_SPDX[identifier])
    # A maker's own terms are on the model's page, or where it links to.
    shown = name or ("" if identifier in ("", "other", "unknown") else identifier)
    return Licence(name=shown[:80], url=link if link.startswith("https://") else page) if shown else None
