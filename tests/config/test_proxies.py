"""Proxies and certificates of providers: from the environment, from their own settings, and what is wrong with them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from weebill.config.load import Configuration, Sources, load
from weebill.config.paths import Home
from weebill.config.problems import ConfigError
from weebill.config.proxies import variable_for
from weebill.config.show import show

PROXY = "http://user:hidden@proxy.example.com:3128"


def loaded(tmp_path: Path, text: str = "", environment: Mapping[str, str] | None = None) -> Configuration:
    file = tmp_path / "weebill.toml"
    file.write_text(text)
    return load(Sources(Home(tmp_path), environment or {}, {}, file))


def problems(tmp_path: Path, text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, environment)
    return [str(problem) for problem in caught.value.problems]


def provider(base_url: str = "https://api.acme.com/v1", **fields: object) -> str:
    lines = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for name, value in fields.items()
    ]
    return "\n".join(["[providers.acme]", f"base_url = '{base_url}'", 'models = ["m"]', *lines])


HTTPS, HTTP = "https://api.acme.com/v1", "http://api.acme.com:8000/v1"


@pytest.mark.parametrize(
    ("url", "environment", "variable"),
    [
        (HTTPS, {}, None),
        (HTTPS, {"HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        (HTTPS, {"https_proxy": PROXY}, "https_proxy"),
        (HTTPS, {"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, "https_proxy"),
        (HTTPS, {"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        (HTTPS, {"HTTP_PROXY": PROXY}, None),
        (HTTP, {"HTTP_PROXY": PROXY}, "HTTP_PROXY"),
        (HTTP, {"http_proxy": PROXY}, "http_proxy"),
        (HTTP, {"HTTPS_PROXY": PROXY}, None),
        (HTTPS, {"ALL_PROXY": PROXY}, "ALL_PROXY"),
        (HTTP, {"all_proxy": PROXY}, "all_proxy"),
        (HTTP, {"ALL_PROXY": "http://other", "HTTP_PROXY": PROXY}, "HTTP_PROXY"),
        (HTTPS, {"https_proxy": " ", "ALL_PROXY": PROXY}, "ALL_PROXY"),
        # What is on this machine is not for a proxy.
        ("http://localhost:11434", {"ALL_PROXY": PROXY}, None),
        ("http://my.localhost:11434", {"ALL_PROXY": PROXY}, None),
        ("http://127.8.9.1:11434", {"ALL_PROXY": PROXY}, None),
        ("http://[::1]:11434", {"ALL_PROXY": PROXY}, None),
        ("http://10.0.0.1:11434", {"ALL_PROXY": PROXY}, "ALL_PROXY"),
        ("https://[", {"ALL_PROXY": PROXY}, None),
    ],
)
def test_the_variable_for_an_address(url: str, environment: dict[str, str], variable: str | None) -> None:
    assert variable_for(url, environment) == variable


@pytest.mark.parametrize(
    ("url", "listed", "direct"),
    [
        (HTTPS, "", False),
        (HTTPS, "*", True),
        (HTTPS, "other.com, *", True),
        (HTTPS, "api.acme.com", True),
        (HTTPS, "acme.com", True),
        (HTTPS, ".acme.com", True),
        (HTTPS, "*.acme.com", True),
        (HTTPS, "ACME.com.", True),
        (HTTPS, "other.com acme.com", True),
        (HTTPS, "cme.com", False),
        (HTTPS, "acme", False),
        (HTTPS, "x.api.acme.com", False),
        (HTTPS, "acme.com.evil.com", False),
        (HTTPS, ".", False),
        (HTTPS, "acme.com:443", True),
        (HTTPS, "acme.com:8443", False),
        ("https://api.acme.com:8443/v1", ".acme.com:8443", True),
        ("https://API.acme.com./v1", "acme.com", True),
        ("https://10.1.2.3/v1", "10.0.0.0/8", True),
        ("https://10.1.2.3/v1", "10.1.2.3", True),
        ("https://10.1.2.3:8443/v1", "10.1.2.3:8443", True),
        ("https://10.1.2.3:8443/v1", "10.1.2.3:443", False),
        ("https://10.1.2.3/v1", "11.0.0.0/8,10.1.2", False),
        ("https://10.1.2.3/v1", "2.3", False),
        ("https://[fd00::1]/v1", "fd00::/8", True),
        ("https://[fd00::1]/v1", "[fd00::1]", True),
        ("https://[fd00::1]:8443/v1", "[fd00::1]:8443", True),
        ("https://[fd00::1]/v1", "[fd00::1]:8443", False),
        ("https://[fd00:0:0::1]/v1", "fd00::1", True),
        ("https://[fd00::1]/v1", "10.0.0.0/8, ]:x[, :::, 300.0.0.0/8", False),
    ],
)
def test_what_is_reached_without(url: str, listed: str, direct: bool) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        assert variable_for(url, {"HTTPS_PROXY": PROXY, name: listed}) == (None if direct else "HTTPS_PROXY")


def test_the_environments_proxy_is_resolved_where_settings_are_loaded(tmp_path: Path) -> None:
    environment = {"HTTPS_PROXY": PROXY, "NO_PROXY": "internal.acme.com", "OPENAI_API_KEY": "sk"}
    text = "\n".join(
        [
            provider(),
            "[providers.inside]\nbase_url = 'https://internal.acme.com/v1'",
            "[providers.direct]\nbase_url = 'https://api.acme.com/v1'\nproxy = 'none'",
        ]
    )
    found = loaded(tmp_path, text, environment)
    proxies = {name: each.proxy for name, each in found.settings.providers.items()}
    assert proxies == {"acme": PROXY, "inside": None, "direct": "", "openai": PROXY}
    assert 'proxy = "env:HTTPS_PROXY"' in show(found)
    assert 'proxy = "none"' in show(found)
    assert "hidden" not in show(found) + repr(found.settings)


@pytest.mark.parametrize(
    ("setting", "resolved"),
    [
        (PROXY, PROXY),
        ("https://proxy.example.com", "https://proxy.example.com"),
        ("socks5://me:hidden@proxy.example.com:1080", "socks5://me:hidden@proxy.example.com:1080"),
        ("socks5h://proxy.example.com", "socks5h://proxy.example.com"),
        ("proxy.example.com:3128", "http://proxy.example.com:3128"),
        ("env:WEEBILL_PROXY", PROXY),
        ("file:proxy.txt", PROXY),
        ("none", ""),
        ("", ""),
        ("env:NONE", ""),
    ],
)
def test_a_providers_own(setting: str, resolved: str, tmp_path: Path) -> None:
    (tmp_path / "proxy.txt").write_text(f"{PROXY}\n")
    environment = {"NONE": "none", "ALL_PROXY": "http://other", "NO_PROXY": "*"}
    if setting == "env:WEEBILL_PROXY":
        environment["WEEBILL_PROXY"] = PROXY
    found = loaded(tmp_path, provider(proxy=setting), environment)
    assert found.settings.providers["acme"].proxy == resolved
    assert "hidden" not in show(found)


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("ftp://user:hidden@proxy", "must be like"),
        ("http://user:hidden@", "must be like"),
        ("http://user:hidden@proxy:0", "must be like"),
        ("http://user:hidden@proxy:99999", "must be like"),
        ("http://user:hidden@proxy/path", "must be like"),
        ("http://user:hidden@proxy?x=1", "must be like"),
        ("http://[hidden", "must be like"),
        ("socks4://user:hidden@proxy", "names a SOCKS proxy of an older kind"),
        ("socks5://user:hidden@", "must be like"),
        ("socks5://user:hidden@proxy/path", "must be like"),
        (f"socks5h://user:{'hidden' * 50}@proxy", "of more than 255 bytes"),
        ("env:BAD", "refers to env:BAD, which names a SOCKS proxy"),
        ("env:MISSING", "refers to the environment variable MISSING, which is not set"),
        ("http://user:hid den@proxy", "must be printable ASCII"),
    ],
)
def test_proxies_that_are_none(setting: str, what: str, tmp_path: Path) -> None:
    [problem] = problems(tmp_path, provider(proxy=setting), {"BAD": "socks4://user:hidden@proxy"})
    assert "`providers.acme.proxy`" in problem
    assert what in problem
    assert "hid" not in problem


def test_a_proxy_of_the_environment_that_is_none(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, provider(), {"ALL_PROXY": "socks4a://user:hidden@proxy"})
    assert "refers to env:ALL_PROXY, which names a SOCKS proxy" in problem
    assert loaded(tmp_path, provider(proxy="none"), {"ALL_PROXY": "socks4a://proxy"})


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two certificates and their keys, one of them encrypted, and what is neither."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not installed")
    folder = tmp_path_factory.mktemp("pems")
    for name, options in {"a": ["-nodes"], "b": ["-passout", "pass:x"]}.items():
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", f"/CN={name}", *options]
        files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
        subprocess.run([*command, *files], check=True, capture_output=True)
    (folder / "both.pem").write_bytes((folder / "a.pem").read_bytes() + (folder / "a.key").read_bytes())
    (folder / "neither.pem").write_text("neither")
    return folder


def test_certificates_are_found_from_the_files_folder(pems: Path) -> None:
    found = loaded(pems, provider(ca_file="b.pem", client_cert="a.pem", client_key=str(pems / "a.key")))
    acme = found.settings.providers["acme"]
    assert (acme.ca_file, acme.client_cert, acme.client_key, acme.verify) == (
        str(pems / "b.pem"), str(pems / "a.pem"), str(pems / "a.key"), True,
    )  # fmt: skip
    assert loaded(pems, provider(client_cert="both.pem", verify=False))


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"ca_file": "no.pem"}, "`providers.acme.ca_file` cannot be read: FOLDER/no.pem: No such file or directory"),
        ({"ca_file": "neither.pem"}, "`providers.acme.ca_file` holds no certificates in PEM"),
        ({"client_cert": "no.pem"}, "`providers.acme.client_cert` cannot be read"),
        ({"client_cert": "a.pem", "client_key": "no.key"}, "`providers.acme.client_key` cannot be read"),
        ({"client_cert": "a.pem"}, "`providers.acme.client_cert` and its key are not"),
        ({"client_cert": "a.pem", "client_key": "b.key"}, "the key is encrypted; give one without a passphrase"),
        ({"client_cert": "b.pem", "client_key": "a.key"}, "`providers.acme.client_cert` and its key are not"),
        ({"client_key": "a.key"}, "`providers.acme.client_key` needs `providers.acme.client_cert` too"),
        ({"ca_file": "a.pem", "verify": False}, "`providers.acme.ca_file` says whom to trust"),
        ({"ca_file": "a.pem", "base_url": HTTP}, "`providers.acme.ca_file` is of use only where"),
        ({"verify": "no"}, "`providers.acme.verify` must be true or false"),
    ],
)
def test_certificates_that_do_not_do(fields: dict[str, object], what: str, pems: Path) -> None:
    [problem] = problems(pems, provider(**fields))  # type: ignore[arg-type]
    assert what in problem.replace(str(pems), "FOLDER")
