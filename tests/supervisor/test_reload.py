"""Settings that are taken over while the supervisor runs, and those that are not."""

import os
import signal
import subprocess

from tests.supervisor.fake_installation import wait_for
from tests.supervisor.test_supervisor import MODEL
from weebill.supervisor.commands import ReloadResult


def test_reload_applies_what_it_can_and_names_what_awaits_a_restart(installation):
    installation.start(MODEL)
    assert installation.get()["keys"] == {}
    installation.configure("[providers.acme]\nbase_url='http://h/v1'\napi_key='one'\nmodels=['m']\n")
    assert installation.reload().needs_restart == ()
    wait_for(lambda: installation.get()["keys"] == {"acme": "one"}, "the new provider")
    installation.configure(
        "[server]\nworkers = 3\n[local]\nmodels = ['other']\n[providers.acme]\nbase_url='http://h/v1'\napi_key='two'\n"
    )
    result = installation.reload()
    assert result.problems == ()
    assert result.needs_restart == ("local.models", "server.workers")
    wait_for(lambda: installation.get()["keys"] == {"acme": "two"}, "the new key")
    assert installation.get()["aliases"] == {"mini": MODEL}
    assert installation.status().needs_restart == ("local.models", "server.workers")
    assert installation.child("worker-0").restarts == 0
    assert {event["name"] for event in installation.events("reload")} == {"worker-0", "control", "ledger"}


def test_a_broken_file_is_refused_and_the_old_settings_stay_even_for_new_workers(installation):
    installation.configure("[providers.acme]\nbase_url='http://h/v1'\napi_key='one'\n")
    installation.start()
    installation.configure("[providers.acme]\nbase_url='http://h/v1'\napi_kee='two'\n")
    (problem,) = installation.reload().problems
    assert (
        problem == f"{installation.home.config_file}:3: unknown key `providers.acme.api_kee`; did you mean `api_key`?"
    )
    worker = installation.child("worker-0")
    os.kill(worker.pid, signal.SIGKILL)
    installation.wait_until("worker-0", "ready", not_pid=worker.pid)
    assert installation.get()["keys"] == {"acme": "one"}
    assert installation.events("reload") == []


def test_sighup_reloads(installation):
    installation.start()
    installation.configure("[providers.acme]\nbase_url='http://h/v1'\napi_key='one'\n")
    installation.signal(signal.SIGHUP)
    wait_for(lambda: installation.get()["keys"] == {"acme": "one"}, "the new provider")


def test_a_renewed_certificate_is_taken_over_live_but_tls_is_not_turned_on(installation):
    installation.start()
    certificate(installation.home.root)
    installation.configure("[server]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\nidle_timeout_s = 5\n")
    assert installation.reload().needs_restart == ("server.tls_cert", "server.tls_key")
    assert installation.status().origin.startswith("http://")
    installation.signal(signal.SIGTERM)
    assert installation.wait() == 0
    installation.process.stdout.close()
    status = installation.start()
    assert status["origin"].startswith("https://")
    assert status["tls_cert"] == str(installation.home.root / "cert.pem")
    for name in ("cert.pem", "key.pem"):
        (installation.home.root / name).rename(installation.home.root / f"new-{name}")
    assert "tls_cert" in installation.reload().problems[0]
    installation.configure("[server]\ntls_cert = 'new-cert.pem'\ntls_key = 'new-key.pem'\n")
    assert installation.reload() == ReloadResult()
    assert installation.status().tls_cert == str(installation.home.root / "new-cert.pem")


def certificate(folder):
    """A self-signed certificate in `cert.pem` and `key.pem`."""
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x"
    subprocess.run(
        ["openssl", "req", *options.split(), "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
