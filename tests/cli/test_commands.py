import json
import os
import re
import socket
import stat
import struct
import subprocess
import time
from pathlib import Path

import pytest

import weebill as package
from tests.cli.conftest import COMMAND
from tests.fixtures.ledger import SQLITE
from weebill.process.messages import ProcessState
from weebill.storage.keys import open_keys
from weebill.supervisor.commands import ModelStatus, ReloadResult, Status, StatusRequest

STATUS = Status(
    version="9.9",
    pid=4711,
    started_at=0.0,
    origin="http://127.0.0.1:8080",
    tls_cert="",
    config_file="/somewhere/weebill.toml",
    models=(
        ModelStatus(name="smollm2:135m", state="ready", context=8192),
        ModelStatus(name="other", state="down", failure="its file is damaged"),
    ),
    processes=(
        ProcessState(name="worker-0", role="worker", pid=12, state="ready", restarts=3, started_at=1.0),
        ProcessState(name="engine other", role="engine", pid=None, state="backoff", restarts=7, started_at=None),
    ),
    needs_restart=("server.port",),
)


def test_help_lists_the_commands_with_and_without_the_flag(weebill):
    assert weebill.ok() == weebill.ok("--help") == weebill.ok("-h")
    for command in (
        "serve",
        "run",
        "pull",
        "list",
        "show",
        "cp",
        "rm",
        "status",
        "reload",
        "keys",
        "config",
        "version",
    ):
        assert f"\n  {command} " in weebill.ok()


def test_version(weebill):
    assert weebill.ok("version") == weebill.ok("--version") == f"{package.__version__} (compiled: no)\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("bogus",), "No such command"),
        (("serve", "--bogus"), "No such option"),
        (("serve", "--port", "many"), "--port"),
        (("keys",), "Missing command"),
        (("keys", "create"), "Missing argument"),
        (("serve", "--workers", "0"), "--workers: `server.workers` must be a whole number >= 1"),
        (("config", "check", "--config", "/none/such.toml"), "/none/such.toml: no such file"),
    ],
)
def test_wrong_usage_exits_2_with_a_hint(weebill, arguments, error):
    said = weebill.fails(2, *arguments)
    assert error in said
    assert "\nhint: " in said


@pytest.mark.parametrize("arguments", [("status",), ("reload",), ("run", "mini", "hello")])
def test_what_needs_a_running_weebill_says_so(weebill, arguments):
    said = weebill.fails(1, *arguments)
    assert said == f"error: Weebill is not running in {weebill.home.root}\nhint: start it with `weebill serve`\n"


def test_a_home_that_cannot_be_written_is_explained(weebill, tmp_path):
    (tmp_path / "file").write_text("")
    said = weebill.fails(1, "keys", "create", "alice", WEEBILL_HOME=str(tmp_path / "file" / "home"))
    assert "hint: set WEEBILL_HOME to a folder that you can write to" in said


def test_keys_from_making_to_revoking(weebill):
    assert "There are no keys" in weebill.ok("keys", "list")
    secret = weebill.ok("keys", "create", "alice", "--quiet").strip()
    assert secret.startswith("sk-wb-")
    assert len(secret.split()) == 1
    shown = weebill.ok("keys", "create", "bob", "--admin")
    assert "sk-wb-" in shown
    listed = weebill.ok("keys", "list")
    assert "alice" in listed
    assert "admin" in listed
    assert secret not in listed
    ids = weebill.ok("keys", "list", "-q").split()
    assert len(ids) == 2
    assert ids[0] in weebill.ok("keys", "revoke", "alice")
    assert weebill.ok("keys", "list", "-q").split() == ids[1:]
    assert weebill.ok("keys", "list", "--all", "-q").split() == ids
    assert "there is no key 'carol'" in weebill.fails(1, "keys", "revoke", "carol").lower()


def test_a_second_key_of_one_name_is_made_with_a_warning(weebill):
    first = weebill("keys", "create", "ci")
    assert first.stderr == ""
    second = weebill("keys", "create", "ci", "--quiet")
    ids = weebill.ok("keys", "list", "-q").split()
    assert second.returncode == 0
    assert second.stdout.startswith("sk-wb-")
    assert second.stderr.startswith("warning: another active key is named 'ci'")
    assert ids[0] in second.stderr
    assert ids[1] not in second.stderr
    for each in ids:
        weebill.ok("keys", "revoke", each)
    assert weebill.ok("keys", "create", "ci", "-q").startswith("sk-wb-")  # those that are revoked do not count


def test_home_can_be_given_as_an_option(weebill, tmp_path):
    other = tmp_path / "other"
    weebill.ok("--home", str(other), "keys", "create", "alice")
    assert (other / "weebill.db").exists()
    assert not weebill.home.database.exists()


def test_config_check_show_and_path(weebill):
    assert weebill.ok("config", "path") == f"{weebill.home.config_file}\n"
    assert "There is no" in weebill.ok("config", "check")
    weebill.home.config_file.write_text(
        "[server]\nport = 9\n[providers.acme]\nbase_url = 'http://h/v1'\napi_key = 'hush-hush'\n"
    )
    weebill.home.config_file.chmod(0o600)
    assert weebill.ok("config", "check") == f"{weebill.home.config_file} is good\n"
    shown = weebill.ok("config", "show", WEEBILL_WORKERS="2")
    assert f"port = 9  # {weebill.home.config_file}:2" in shown
    assert "workers = 2  # WEEBILL_WORKERS" in shown
    assert "hush-hush" not in shown
    weebill.home.config_file.write_text("[server]\nprot = 9\nhost = 1\n")
    said = weebill.fails(2, "config", "check")
    assert said.splitlines() == [
        f"error: {weebill.home.config_file}:2: unknown key `server.prot`; did you mean `port`?",
        f"error: {weebill.home.config_file}:3: `server.host` must be text in quotes, not a whole number",
        "hint: mend it, and see with `weebill config check`",
    ]


@pytest.mark.parametrize(
    ("text", "mode", "warned"),
    [
        ("[providers.acme]\nbase_url = 'http://h/v1'\napi_key = 'hush-hush'\n", 0o644, "providers.acme.api_key"),
        ("[providers.acme]\nbase_url = 'http://h/v1'\napi_keys = ['hush-hush']\n", 0o640, "providers.acme.api_keys"),
        ("[providers.acme]\nbase_url = 'http://h/v1'\nproxy = 'http://me:hush@h:1'\n", 0o604, "providers.acme.proxy"),
        ("[providers.acme]\nbase_url = 'http://h/v1'\napi_key = 'hush-hush'\n", 0o600, ""),
        ("[providers.acme]\nbase_url = 'http://h/v1'\napi_key = 'env:ACME_KEY'\nproxy = 'none'\n", 0o644, ""),
    ],
)
def test_secrets_that_others_can_read_are_warned_of(weebill, text, mode, warned):
    weebill.home.config_file.write_text(text)
    weebill.home.config_file.chmod(mode)
    result = weebill("config", "check", ACME_KEY="hush-hush")
    assert (result.returncode, result.stdout) == (0, f"{weebill.home.config_file} is good\n")
    assert "hush" not in result.stderr
    assert bool(result.stderr) == bool(warned)
    if warned:
        assert result.stderr.startswith("warning: ")
        assert f"`{warned}`" in result.stderr
        assert f"chmod 600 {weebill.home.config_file}" in result.stderr


def test_files_of_before_are_made_private(weebill):
    weebill.ok("keys", "create", "alice")
    others = [weebill.home.database, weebill.home.pepper, weebill.home.root / "weebill.db.bak"]
    others[2].write_bytes(weebill.home.database.read_bytes())
    for path in others:
        path.chmod(0o664)
    weebill.home.root.chmod(0o755)
    weebill.ok("keys", "list")
    assert {stat.S_IMODE(path.stat().st_mode) for path in others} == {0o600}
    assert stat.S_IMODE(weebill.home.root.stat().st_mode) == 0o755


def test_models_are_listed_with_where_they_are(weebill, tmp_path):
    weebill.home.config_file.write_text(
        "[local]\nmodels = ['mine']\n[providers.acme]\nbase_url = 'http://h/v1'\nmodels = ['big']\n"
    )
    rows = [line.split() for line in weebill.ok("list").splitlines()]
    assert rows[0] == ["NAME", "FROM", "FOR", "SIZE", "MODIFIED", "LICENCE", "STATE"]
    assert rows[1:] == [
        ["mini", "alias", "of", "mine", "-", "-", "-", "-", "-"],
        ["mine", "this", "machine", "-", "-", "-", "-", "not", "fetched"],
        ["big", "acme", "-", "-", "-", "-", "-"],
    ]
    file = tmp_path / "model.gguf"
    file.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 0) + bytes(2_000_000))
    # It is no model, so that no engine of ours may try it.
    weebill.env["WEEBILL_LOCAL_ENGINE_ENGINE"] = "llama-server"
    result = weebill("pull", "mine", "--from", str(file))
    assert result.returncode == 0
    assert "Copying model.gguf: 2.0 MB of 2.0 MB" in result.stderr
    assert "mine is in" in result.stdout
    today = time.strftime("%Y-%m-%d")
    assert ["mine", "this", "machine", "-", "2.0", "MB", today, "-", "stopped"] in [
        [word for word in line.split() if not re.fullmatch(r"\d\d:\d\d", word)]
        for line in weebill.ok("ls").splitlines()
    ]
    assert weebill.ok("list", "-q").split() == ["mini", "mine", "big"]
    assert Path(weebill.ok("pull", "mine", "--quiet").strip()).read_bytes() == file.read_bytes()
    assert "Removed mine; 2.0 MB are free" in weebill.ok("rm", "mine")
    assert "not in" in weebill.fails(1, "rm", "mine")


def test_pull_from_a_file_needs_a_name(weebill, tmp_path):
    said = weebill.fails(1, "pull", "--from", str(tmp_path / "x.gguf"))
    assert "hint: weebill pull NAME --from FILE" in said
    assert "there is no file" in weebill.fails(1, "pull", "mine", "--from", str(tmp_path / "x.gguf"))


def test_status_shows_processes_models_and_what_awaits_a_restart(weebill, supervisor):
    supervisor(lambda request: STATUS)
    result = weebill("status")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["Weebill", "9.9", "on", "http://127.0.0.1:8080/v1"]
    assert any(row[:4] == ["worker-0", "ready", "12", "3"] for row in rows)
    assert ["engine", "other", "backoff", "-", "7", "-"] in rows
    assert ["smollm2:135m", "ready", "8192", "tokens", "-"] in rows
    assert ["other", "down", "-", "its", "file", "is", "damaged"] in rows
    assert "Restart Weebill to change server.port" in result.stderr
    assert weebill.ok("status", "-q") == "worker-0\tready\t12\t3\nengine other\tbackoff\t-\t7\n"
    assert "down" in weebill.ok("list", WEEBILL_LOCAL_MODELS="other")


@pytest.mark.parametrize(
    ("answer", "code", "stdout", "stderr"),
    [
        (ReloadResult(), 0, "Reloaded\n", ""),
        (
            ReloadResult(needs_restart=("server.port", "local.models")),
            0,
            "Reloaded\n",
            "Restart Weebill to change server.port, local.models\n",
        ),
        (
            ReloadResult(problems=("f:1: bad", "f:2: worse")),
            2,
            "",
            "error: f:1: bad\nerror: f:2: worse\nhint: nothing has changed: the old settings stay in force\n",
        ),
    ],
)
def test_reload(weebill, supervisor, answer, code, stdout, stderr):
    supervisor(lambda request: answer)
    result = weebill("reload")
    assert (result.returncode, result.stdout, result.stderr) == (code, stdout, stderr)


def test_serve_refuses_a_port_in_use_before_it_fetches_anything(weebill):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = weebill.fails(1, "serve", "--port", port)
    assert f"port {port} on 127.0.0.1 is in use" in said
    assert "--port" in said.splitlines()[1]
    assert list(weebill.home.models.iterdir()) == []
    assert not weebill.home.database.exists()


def test_a_reader_that_has_seen_enough_is_no_failure_to_shout_about(weebill):
    process = subprocess.Popen(
        [*COMMAND, "config", "show"], env=weebill.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(60)


def closed(weebill, redirected, *arguments):
    """Runs a command whose streams a shell has closed."""
    shell = ["sh", "-c", f'exec "$@" {redirected}', "sh", *COMMAND, *arguments]
    return subprocess.run(shell, env=weebill.env, capture_output=True, text=True, timeout=60)


def test_streams_may_be_closed(weebill):
    for redirected in (">&-", "<&- >&-", "<&- >&- 2>&-"):
        done = closed(weebill, redirected, "orgs", "list")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), redirected
    refused = closed(weebill, ">&-", "orgs", "show", "Nowhere")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: ")
    assert closed(weebill, "2>&-", "orgs", "show", "Nowhere").returncode == 1
    # Nothing that was printed is in a file that was opened in place of standard output.
    assert json.loads(weebill.ok("orgs", "list", "--json"))[0]["id"] == "org_default"


def test_a_reader_of_errors_may_be_gone(weebill):
    ours, theirs = os.pipe()
    os.close(ours)
    command = [*COMMAND, "orgs", "show", "Nowhere"]
    with open(theirs, "w") as gone:
        assert subprocess.run(command, env=weebill.env, stdout=gone, stderr=gone, timeout=60).returncode == 1


def test_colour_is_for_terminals(weebill):
    with open_keys(weebill.home, SQLITE) as keys:
        keys.create("alice")
    assert "\x1b[" in weebill.on_terminal("keys", "list", forked=False)
    assert "\x1b[" not in weebill.ok("keys", "list")


def test_only_status_is_asked_for_by_list(weebill, supervisor):
    asked = []

    def answer(request):
        asked.append(request)
        return STATUS

    supervisor(answer)
    weebill.ok("list")
    assert asked == [StatusRequest()]
