"""`[redis] url` is a secret like a provider's key, and must be the address of a Redis."""

import pytest

from tests.config.test_load import problems, sources
from weebill.config.load import load
from weebill.config.paths import Home
from weebill.config.show import show

URL = "redis://user:hunter2@cache.internal:6379/0"
NOT_ONE = '`redis.url` must be like "redis://host:6379/0", "rediss://..." for TLS, or "unix:///path/redis.sock"'
OTHERS = ["rediss://h", "unix:///run/redis.sock", "unix:///run/redis.sock?db=1", "redis://[::1]:1"]


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.create()
    return home


@pytest.mark.parametrize(
    ("written", "environment"),
    [(URL, {}), ("env:WEEBILL_TEAM_REDIS", {"WEEBILL_TEAM_REDIS": URL}), ("file:redis-url", {})],
)
def test_it_comes_from_a_literal_a_variable_or_a_file(home, written, environment):
    (home.root / "redis-url").write_text(f"{URL}\n")
    configuration = load(sources(home, f'[redis]\nurl = "{written}"\n[cache]\nshared = true\n', environment))
    assert configuration.settings.redis.url == URL
    for shown in (show(configuration), repr(configuration)):
        assert "hunter2" not in shown
    assert f'url = "{"********" if written == URL else written}"' in show(configuration)


def test_a_variable_of_its_own(home):
    assert load(sources(home, None, {"WEEBILL_REDIS_URL": URL})).settings.redis.url == URL


@pytest.mark.parametrize("url", OTHERS)
def test_what_is_one(home, url):
    assert load(sources(home, f'[redis]\nurl = "{url}"\n')).settings.redis.url == url


@pytest.mark.parametrize("url", ["http://h", "localhost:6379", "redis://", "redis://h:0", "redis://h:99999", "unix://"])
def test_what_is_none_is_refused_without_being_shown(home, url):
    assert problems(home, f'[redis]\nurl = "{url}"\n') == [f"FILE:2: {NOT_ONE}"]


@pytest.mark.parametrize("option", ["foo=hunter2", "socket_timeout=soon", "protocol=9"])
def test_options_that_a_worker_would_fail_over(home, option):
    assert problems(home, f'[redis]\nurl = "redis://h/0?{option}"\n') == [
        "FILE:2: `redis.url` has options behind its `?` that redis-py does not take"
    ]


def test_what_is_not_there_is_named(home):
    assert problems(home, '[redis]\nurl = "env:NOWHERE"\n[cache]\nshared = true\n') == [
        "FILE:2: `redis.url` refers to the environment variable NOWHERE, which is not set"
    ]
    assert problems(home, "[cache]\nshared = true\n") == [
        "FILE:2: `cache.shared` needs `redis.url`, where the answers are to be kept"
    ]
    assert problems(home, '[providers.cache]\nbase_url = "http://h"\n') == [
        "FILE:1: provider name `cache` is reserved for answers that were given before"
    ]
