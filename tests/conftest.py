"""Fixtures for all tests; each lives in a module of `tests/fixtures`."""

import os

from hypothesis import HealthCheck, settings

# A library of linear algebra has a thread for each core, and they wait for each other by spinning: beside other tests
# that takes five times as long. Before NumPy is loaded, here and in what the tests start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# How long an example takes, or is sought, says more of the machine than of what is tested.
settings.register_profile("weebill", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("weebill")

pytest_plugins = [
    "tests.fixtures.postgresql",  # before those that import it: pytest rewrites its assertions as it imports it
    "tests.fixtures.certificates",
    "tests.fixtures.databases",
    "tests.fixtures.home",
    "tests.fixtures.model",
    "tests.fixtures.redis",
    "tests.parallel",
]
