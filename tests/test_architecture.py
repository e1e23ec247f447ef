"""What `docs/architecture.md` says of the folders is so."""

from __future__ import annotations

import re
from pathlib import Path

from tests.rooms import PICTURE, drawn
from tests.test_layers import LAYERS, MODULES, imports, package_of

PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
ROW = re.compile(r"^\| `(\w+)` \| [^|]+ \| ([^|]*)\|$", re.M)


def test_the_table_of_folders_tells_what_each_imports() -> None:
    told = {name: set(re.findall(r"\w+", imported)) for name, imported in ROW.findall(PAGE.read_text())}
    folders = {name for layer in LAYERS for name in layer} - {"__main__"}
    found = {
        name: set().union(*(imports(path) for path in MODULES if package_of(path) == name)) - {name} for name in folders
    }
    assert told == found


def test_the_picture_of_the_folders_is_as_they_are() -> None:
    assert PICTURE.read_text() == drawn(), "run `make picture`"
