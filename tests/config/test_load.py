import os
from pathlib import Path

import msgspec
import pytest

from weebill.config.load import Sources, load
from weebill.config.paths import Home
from weebill.config.problems import ConfigError
from weebill.config.schema import Settings
from weebill.config.show import show


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.create()
    return home


def sources(home, text=None, environment=None, flags=None, config=None):
    if text is not None:
        home.config_file.write_text(text)
    return Sources(home, environment or {}, flags or {}, config)


def problems(home, text=None, environment=None, **others):
    with pytest.raises(ConfigError) as caught:
        load(sources(home, text, environment, **others))
    prefix = str(home.config_file)
    return [str(problem).replace(prefix, "FILE") for problem in caught.value.problems]


def test_nothing_configured_gives_the_defaults(home):
    assert load(sources(home)).settings == Settings()


def test_flags_precede_environment_precedes_file_precedes_defaults(home):
    text = "[server]\nhost = '10.0.0.1'\nport = 1\nworkers = 2\n"
    configuration = load(
        sources(
            home,
            text,
            {"WEEBILL_PORT": "2", "WEEBILL_WORKERS": "3", "PATH": "/bin"},
            {("server", "workers"): 4},
        )
    )
    server = configuration.settings.server
    assert (server.host, server.port, server.workers, server.max_connections) == ("10.0.0.1", 2, 4, 16_384)
    assert configuration.origins["server", "port"] == "WEEBILL_PORT"
    assert configuration.origins["server", "workers"] == "--workers"
    assert configuration.origins["server", "host"] == f"{home.config_file}:2"


def test_variables_reach_every_plain_setting_with_its_type(home):
    settings = load(
        sources(
            home,
            None,
            {
                "WEEBILL_DRAIN_GRACE_S": "2.5",
                "WEEBILL_LOG_LEVEL": "debug",
                "WEEBILL_LOCAL_MODELS": "one, two",
                "WEEBILL_LOCAL_ENGINE_CONTEXT": "4096",
                "WEEBILL_CORS_ORIGINS": "",
                "WEEBILL_METERING_INGEST_INTERVAL_S": "1",
            },
        )
    ).settings
    assert settings.server.drain_grace_s == 2.5
    assert settings.log.level == "debug"
    assert settings.local.models == ("one", "two")
    assert settings.local.engine.context == 4096
    assert settings.server.cors_origins == ()
    assert settings.metering.ingest_interval_s == 1.0
    assert settings.aliases == {"mini": "one"}


def test_the_file_is_the_named_one_or_the_homes(home, tmp_path):
    other, another = tmp_path / "other.toml", tmp_path / "another.toml"
    other.write_text("[server]\nport = 7\n")
    another.write_text("[server]\nport = 9\n")
    environment = {"WEEBILL_CONFIG": str(other)}
    text = "[server]\nport = 5\n"
    assert load(sources(home, text)).settings.server.port == 5
    assert load(sources(home, text, environment)).settings.server.port == 7
    assert load(sources(home, text, environment, config=another)).settings.server.port == 9


@pytest.mark.parametrize("by_flag", [True, False])
def test_a_named_file_must_exist(home, tmp_path, by_flag):
    missing = tmp_path / "missing.toml"
    found = problems(
        home,
        environment={} if by_flag else {"WEEBILL_CONFIG": str(missing)},
        config=missing if by_flag else None,
    )
    assert found == [f"{missing}: no such file"]


def test_every_problem_is_found_with_its_place_and_the_nearest_name(home):
    text = """
[sever]
port = 1

[server]
prot = 8080
port = "80"
workers = 0
cors_origins = ["*", 3]
[log]
level = "loud"
[providers.acme]
base_url = "http://127.0.0.1:1/v1"
dialekt = "openai"
models = "gpt"
host = "x"
"""
    environment = {
        "WEEBILL_PROT": "1",
        "WEEBILL_MAX_CONNECTIONS": "many",
    }
    assert problems(home, text, environment, flags={("server", "send_timeout_s"): 0}) == [
        "WEEBILL_PROT: unknown environment variable; did you mean `WEEBILL_PORT`?",
        "FILE:2: unknown table `sever`; did you mean `server`?",
        "FILE:6: unknown key `server.prot`; did you mean `port`?",
        "FILE:7: `server.port` must be a whole number, not text in quotes",
        "FILE:8: `server.workers` must be a whole number >= 1",
        "FILE:9: `server.cors_origins` must be text in quotes, not a whole number (item 2)",
        "WEEBILL_MAX_CONNECTIONS: `server.max_connections` must be a whole number, not text in quotes",
        "--send-timeout-s: `server.send_timeout_s` must be a number > 0.0",
        'FILE:11: `log.level` must be one of "debug", "info", "warning", "error"',
        "FILE:14: unknown key `providers.acme.dialekt`; did you mean `dialect`?",
        "FILE:15: `providers.acme.models` must be a list, not text in quotes",
        "FILE:16: unknown key `providers.acme.host`; did you mean `server.host`?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server\n", "FILE:1: not TOML"),
        ("a = 1\na = 2\n", "FILE:2: not TOML"),
        ("server = 3\n", "FILE:1: `server` must be a table"),
        ("[[providers]]\nname = 'x'\n", "FILE:1: `providers` must be a table, not a list"),
        ("port = 3\n", "FILE:1: unknown key `port`; did you mean `server.port`?"),
    ],
)
def test_a_file_of_the_wrong_shape(home, text, expected):
    (problem,) = problems(home, text, {"WEEBILL_HOST": "127.0.0.1"})
    assert problem.startswith(expected)


def test_a_file_that_is_not_text_or_not_a_file(home):
    home.config_file.write_bytes(b"\xff\xfe")
    assert problems(home) == ["FILE: not UTF-8 text"]
    home.config_file.unlink()
    home.config_file.mkdir()
    assert problems(home) == ["FILE: cannot be read: Is a directory"]


@pytest.mark.parametrize("host", ["*", "https://example.com", "example.com/a", "*example.com", "", "a b", "[::1]"])
def test_hosts_of_images_are_checked(home, host):
    kept = '[local.images]\nallowed_hosts = ["example.com", "a-b.example.com:8443", "*.example.org"]\n'
    assert len(load(sources(home, kept)).settings.local.images.allowed_hosts) == 3
    [problem] = problems(home, f'[local.images]\nallowed_hosts = ["{host}"]\n')
    assert problem.startswith("FILE:2: ")


def test_aliases_must_lead_to_a_model(home):
    text = """
[aliases]
fast = "smollm2:135m"
chain = "fast"
big = "acme/gpt-big"
pinned = "local/smollm2:135m"
wrong = "gpt-bog"
a = "b"
b = "a"
into = "a"
[providers.acme]
base_url = "http://127.0.0.1:1/v1"
models = ["gpt-big"]
"""
    assert problems(home, text) == [
        "FILE:7: alias `wrong` names unknown model `gpt-bog`; did you mean `gpt-big`?",
        "FILE:8: alias `a` leads back to itself: a -> b -> a",
        "FILE:9: alias `b` leads back to itself: b -> a -> b",
    ]


@pytest.mark.parametrize(
    ("models", "aliases"),
    [("[]", {}), ('["x"]', {"mini": "x"}), ('["x", "y"]\n[aliases]\nmini = "y"', {"mini": "y"})],
)
def test_mini_is_the_first_local_model_unless_set(home, models, aliases):
    assert load(sources(home, f"[local]\nmodels = {models}\n")).settings.aliases == aliases


def test_providers_are_checked(home):
    text = """
[providers.local]
base_url = "http://h/v1"
[providers."Big Co"]
base_url = "http://h/v1"
[providers.a]
base_url = "ftp://h/v1"
[providers.b]
base_url = "https:///v1"
[providers.c]
base_url = "https://u:p@h/v1"
[providers.d]
models = ["m", "m"]
forward_headers = ["x-ok", "not ok", "Content-Encoding"]
[providers.e]
base_url = "https://h:99999/v1"
[local]
models = ["x", "x"]
"""
    assert problems(home, text) == [
        "FILE:18: `local.models` names `x` twice",
        "FILE:2: provider name `local` is reserved for the models of this machine",
        "FILE:4: provider name `Big Co` may hold only a-z, 0-9, `-` and `_`",
        'FILE:7: `providers.a.base_url` must be an http or https URL with a host, such as "https://api.example.com/v1"',
        'FILE:9: `providers.b.base_url` must be an http or https URL with a host, such as "https://api.example.com/v1"',
        "FILE:11: `providers.c.base_url` must not hold a user or password; give the key as `api_key`",
        'FILE:12: `providers.d.base_url` is missing; give the address of its API, such as "https://api.example.com/v1"',
        "FILE:13: `providers.d.models` names `m` twice",
        "FILE:14: `providers.d.forward_headers`: `not ok` is not a header name",
        "FILE:14: `providers.d.forward_headers`: `Content-Encoding` is about the client's connection or body",
        "FILE:16: `providers.e.base_url` is not a URL",
    ]


def test_a_known_provider_needs_only_a_key(home):
    text = '[providers.groq]\napi_key = "env:GROQ_API_KEY"\n'
    provider = load(sources(home, text, {"GROQ_API_KEY": "gsk"})).settings.providers["groq"]
    assert (provider.base_url, provider.api_key) == ("https://api.groq.com/openai/v1", "gsk")
    assert problems(home, "[providers.groq]\n") == [
        'FILE:1: `providers.groq.api_key` is missing; give `api_key = "env:GROQ_API_KEY"` and set that variable'
    ]


def test_keys_come_from_literals_variables_and_files(home):
    (home.root / "secret").write_text("from-file\n")
    base = 'base_url = "http://h/v1/"'
    text = f"""
[providers.a]
{base}
api_key = "literal-key"
[providers.b]
{base}
api_key = "env:WEEBILL_TEAM_KEY"
[providers.c]
{base}
api_key = "file:secret"
[providers.d]
{base}
"""
    configuration = load(sources(home, text, {"WEEBILL_TEAM_KEY": "from-env"}))
    providers = configuration.settings.providers
    assert [provider.api_key for provider in providers.values()] == [
        "literal-key",
        "from-env",
        "from-file",
        None,
    ]
    assert providers["a"].base_url == "http://h/v1"
    for text in (show(configuration), repr(configuration)):
        assert "literal-key" not in text
        assert "from-env" not in text
        assert "from-file" not in text
    assert 'api_key = "env:WEEBILL_TEAM_KEY"' in show(configuration)


def test_keys_that_cannot_be_had_name_provider_and_source_but_never_the_key(home):
    text = """
[providers.a]
base_url = "http://h/v1"
api_key = "env:ACME_KEY"
[providers.b]
base_url = "http://h/v1"
api_key = "file:none"
[providers.c]
base_url = "http://h/v1"
api_key = "two\\r\\nlines-of-secret"
"""
    found = problems(home, text)
    assert found[0] == ("FILE:4: `providers.a.api_key` refers to the environment variable ACME_KEY, which is not set")
    assert found[1].startswith("FILE:7: `providers.b.api_key` refers to the file ")
    assert found[1].endswith("cannot be read: No such file or directory")
    assert found[2].startswith("FILE:10: `providers.c.api_key` must be printable ASCII")
    assert "lines-of-secret" not in "".join(found)


def test_tls_needs_both_files_and_both_must_fit(home):
    assert problems(home, "[server]\ntls_cert = 'c.pem'\n") == ["FILE:2: `server.tls_cert` needs `server.tls_key` too"]
    both = "[server]\ntls_cert = 'c.pem'\ntls_key = 'k.pem'\n"
    (problem,) = problems(home, both)
    assert f"cannot use {home.root / 'c.pem'} and {home.root / 'k.pem'}" in problem
    (home.root / "c.pem").write_text("no")
    (home.root / "k.pem").write_text("no")
    (problem,) = problems(home, both)
    assert "not a certificate and its key in PEM" in problem


def test_fixed_values_stand_over_every_source(home):
    given = sources(home, "[server]\nport = 1\n", {"WEEBILL_PORT": "2"}, {("server", "port"): 3})
    assert load(given, fixed={("server", "port"): 4}).settings.server.port == 4


def test_shown_settings_are_toml_that_loads_back_to_the_same(home, tmp_path):
    text = """
[aliases]
"a b" = "smollm2:135m"
[providers.acme]
base_url = "http://h/v1"
models = ["gpt-4o", "quote\\"d"]
"""
    configuration = load(sources(home, text, {"WEEBILL_LOG_LEVEL": "error"}))
    shown = show(configuration)
    assert 'level = "error"  # WEEBILL_LOG_LEVEL' in shown
    again = tmp_path / "again.toml"
    again.write_text(shown)
    assert load(sources(home, config=again)).settings == configuration.settings


def test_settings_survive_the_trip_to_a_child():
    settings = Settings()
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings


def test_home_is_private_and_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WEEBILL_HOME", str(tmp_path / "h"))
    home = Home.from_environment()
    home.create()
    assert home.root == (tmp_path / "h").resolve()
    assert [os.stat(folder).st_mode & 0o777 for folder in (home.root, home.run, home.models)] == [0o700] * 3
    monkeypatch.delenv("WEEBILL_HOME")
    assert Home.from_environment().root == Path.home() / ".weebill"


def test_what_the_machine_has_may_be_named_though_it_is_not_configured(home):
    text = '[aliases]\nchat = "tiny:1b"\n[auto]\nsmall = "tiny:1b"\nlarge = "mini"\n'
    assert any("unknown model `tiny:1b`" in each for each in problems(home, text))
    folders = []

    def installed(folder):
        folders.append(folder)
        return ["tiny:1b"]

    home.config_file.write_text(text)
    found = load(Sources(home, {}, {}, installed=installed)).settings
    assert (found.aliases["chat"], found.auto.tiers["small"], folders) == ("tiny:1b", "tiny:1b", [home.models])
