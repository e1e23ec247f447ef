"""Fixtures for all tests; each lives in a module of `tests/fixtures`."""

pytest_plugins = ["tests.fixtures.home", "tests.fixtures.model", "tests.fixtures.redis", "tests.parallel"]
