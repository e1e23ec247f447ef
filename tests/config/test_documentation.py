"""The configuration page names every key with its default, and no other."""

import json
import re
from pathlib import Path

import msgspec

from weebill.config.environment import setting_types
from weebill.config.schema import ProviderSettings, Settings
from weebill.supervisor.reload import AT_START

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
ROW = re.compile(r"^\| (?P<keys>`[^|]+`) \|(?P<default>[^|]*)\| (?P<what>[^|]*) \|$", re.MULTILINE)


def documented(section: str) -> dict[str, tuple[str, str]]:
    """Key -> (default, description) of the table under a heading."""
    text = PAGE.split(f"`[{section}]`\n", 1)[1].split("\n#", 1)[0]
    return {
        key: (row["default"].strip(), row["what"])
        for row in ROW.finditer(text)
        for key in re.findall(r"`([^`]+)`", row["keys"])
    }


def defaults(struct: type[msgspec.Struct]) -> dict[str, object]:
    return {
        field.name: field.default if field.default is not msgspec.NODEFAULT else field.default_factory()  # type: ignore[operator]
        for field in msgspec.structs.fields(struct)
    }


def shown(value: object) -> str:
    return "" if value in (None, "") else f"`{json.dumps(value, default=list)}`"


def test_every_setting_is_on_the_page() -> None:
    for path, _ in setting_types():
        *tables, key = path
        value: object = Settings()
        for name in path:
            value = getattr(value, name)
        default, what = documented(".".join(tables))[key]
        if path != ("local", "models_dir"):  # it depends on the home folder
            assert default == shown(value), path
        assert ("*restart*" in what) == (path in AT_START), path


def test_no_other_key_is_on_the_page() -> None:
    known: dict[str, set[str]] = {}
    for path, _ in setting_types():
        known.setdefault(".".join(path[:-1]), set()).add(path[-1])
    for section, keys in known.items():
        assert set(documented(section)) == keys


def test_a_providers_keys_are_on_the_page() -> None:
    page = {key: default for key, (default, _) in documented("providers.NAME").items()}
    assert page == {name: shown(value) for name, value in defaults(ProviderSettings).items()}
