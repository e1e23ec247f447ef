"""A plugin for pytest: nothing is tested unless it is compiled."""

from importlib.machinery import ExtensionFileLoader

import pytest

from weebill.transport import connection


def pytest_configure() -> None:
    if not isinstance(connection.__loader__, ExtensionFileLoader):
        raise pytest.UsageError(f"this is not compiled: {connection.__file__}")
