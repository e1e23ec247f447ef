"""All that is wrong is said at once, once each, and with what was meant."""

import pytest

from weebill.config.load import Sources, load
from weebill.config.paths import Home
from weebill.config.problems import ConfigError

KNOWN_MODELS = "known: `local/smollm2:135m`, `mini`, `smollm2:135m`"
ADDRESS = 'is missing; give the address of its API, such as "https://api.example.com/v1"'

CASES = {
    "what types refuse, and what only they allow to be seen": (
        """[server]
prot = 9
host = 1
tls_cert = "nowhere.pem"
[providers.acme]
base_url = "ftp://h"
dialect = "opnai"
api_key = "env:NOT_SET"
wieght = 2
[providers.mute]
models = ["m"]
[aliases]
a = "nothing"
b = "b"
[cache]
shared = true
[routing.preferences]
only = ["acne"]
""",
        [
            "FILE:2: unknown key `server.prot`; did you mean `port`?",
            "FILE:3: `server.host` must be text in quotes, not a whole number",
            "FILE:9: unknown key `providers.acme.wieght`; did you mean `weight`?",
            "FILE:4: `server.tls_cert` needs `server.tls_key`",
            'FILE:6: `providers.acme.base_url` must be an http or https URL with a host, such as "https://api.example.com/v1"',
            "FILE:7: `providers.acme.dialect` names unknown dialect `opnai`; did you mean `openai`?",
            f"FILE:10: `providers.mute.base_url` {ADDRESS}",
            "FILE:13: alias `a` names unknown model `nothing`",
            "FILE:14: alias `b` leads back to itself: b -> b",
            "FILE:18: `routing.preferences.only` names unknown provider `acne`; did you mean `acme`?",
            "FILE:16: `cache.shared` needs `redis.url`, where the answers are to be kept",
            "FILE:8: `providers.acme.api_key` refers to the environment variable NOT_SET, which is not set",
        ],
    ),
    "nothing that only follows from another fault": (
        """[providers.acme]
base_ulr = "http://h/v1"
models = 7
[providers.openai]
api_key = 7
[aliases]
a = "big"
""",
        [
            "FILE:2: unknown key `providers.acme.base_ulr`; did you mean `base_url`?",
            "FILE:3: `providers.acme.models` must be a list, not a whole number",
            "FILE:5: `providers.openai.api_key` must be text in quotes or nothing, not a whole number",
        ],
    ),
    "the names that lead elsewhere, where what they lead to is spelt wrong": (
        "[provider.acme]\nbase_url = 'http://h/v1'\nmodels = ['big']\n[aliases]\na = 'big'\n",
        ["FILE:1: unknown table `provider`; did you mean [providers.acme]?"],
    ),
    "what a table must have, in it or not": (
        "[aliases.a]\npolicy = 'price'\n[aliases.b]\nmodels = []\n[server]\nprot = 1\n",
        [
            "FILE:1: `aliases.a.models` is missing",
            "FILE:4: `aliases.b.models` must be a list of length >= 1",
            "FILE:6: unknown key `server.prot`; did you mean `port`?",
        ],
    ),
}


def problems(tmp_path, text):
    home = Home(tmp_path / "home")
    home.create()
    home.config_file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(Sources(home, {}, {}))
    return [str(problem).replace(str(home.config_file), "FILE") for problem in caught.value.problems]


@pytest.mark.parametrize("case", CASES)
def test_everything_at_once(tmp_path, case):
    text, expected = CASES[case]
    found = problems(tmp_path, text)
    assert len(found) == len(expected), found
    for problem, beginning in zip(found, expected, strict=True):
        assert problem.startswith(beginning)


MEANT = [
    ("[openai]\napi_key = 'k'\n", "FILE:1: unknown table `openai`; did you mean [providers.openai]?"),
    ("[anthropc]\napi_key = 'k'\n", "FILE:1: unknown table `anthropc`; did you mean [providers.anthropic]?"),
    ("[provider.openai]\napi_key = 'k'\n", "FILE:1: unknown table `provider`; did you mean [providers.openai]?"),
    (
        "[providers.opanai]\napi_key = 'k'\n",
        f"FILE:1: `providers.opanai.base_url` {ADDRESS}; or did you mean [providers.openai]?",
    ),
    (
        "[providers.google]\napi_key = 'k'\n",
        f"FILE:1: `providers.google.base_url` {ADDRESS}; or did you mean [providers.gemini]?",
    ),
    (
        "[providers.my-own]\napi_key = 'k'\n",
        f"FILE:1: `providers.my-own.base_url` {ADDRESS}",
    ),
    (
        "[providers]\napi_key = 'k'\n",
        "FILE:2: `providers.api_key` must be a table: [providers.NAME], with `api_key` in it",
    ),
    ("[providers]\nopenai = 'k'\n", "FILE:2: `providers.openai` must be a table: [providers.openai]"),
    (
        "OPENAI_API_KEY = 'k'\n",
        'FILE:1: unknown key `OPENAI_API_KEY`; did you mean `api_key = "env:OPENAI_API_KEY"` in [providers.openai]?',
    ),
    ("base_url = 'h'\n", "FILE:1: unknown key `base_url`; did you mean `base_url` in [providers.NAME]?"),
    ("port = 1\n", "FILE:1: unknown key `port`; did you mean `server.port`?"),
    ("[sever]\nport = 1\n", "FILE:1: unknown table `sever`; did you mean `server`?"),
]


@pytest.mark.parametrize(("text", "expected"), MEANT)
def test_what_was_meant(tmp_path, text, expected):
    assert problems(tmp_path, text) == [expected]
