import contextlib
import os
import signal
import socket
import sys
import time

import pytest

from tests.supervisor.fake_installation import COMMANDS, alive, wait_for
from weebill.config.load import Sources, load
from weebill.config.paths import Home
from weebill.supervisor.commands import NotRunningError
from weebill.supervisor.listeners import ListenError
from weebill.supervisor.serve import serve

MODEL = "smollm2:135m"


def no_survivors(installation):
    return wait_for(lambda: not any(map(alive, installation.pids())), "all children to be gone")


@COMMANDS
def test_children_start_in_order_and_readiness_is_reported(installation):
    status = installation.start(MODEL)
    assert [process["name"] for process in status["processes"]] == ["ledger", "control", f"engine {MODEL}", "worker-0"]
    assert {process["state"] for process in status["processes"]} == {"ready"}
    [model] = status["models"]
    assert [model[each] for each in ("name", "state", "context", "stays")] == [MODEL, "ready", 8192, True]
    pids = [process["pid"] for process in status["processes"]]
    assert pids == sorted(pids)
    assert not status["origin"].endswith(":0")
    answer = wait_for(lambda: (got := installation.get())["up"][MODEL] and got, "the worker to hear of the engine")
    assert answer["name"] == "worker-0"


@COMMANDS
def test_children_have_their_own_session_and_no_more_sockets_than_they_need(installation):
    installation.configure("[server]\nworkers = 2\n[providers.a]\nbase_url='http://h'\napi_key='secret'\n")
    installation.start(MODEL)
    boots = {event["name"]: event for event in installation.events("boot")}
    assert all(event["session"] == event["pid"] for event in boots.values())
    # A link each, plus what the event loop makes for itself; workers have a listening socket more.
    if sys.platform == "linux":
        assert boots["worker-0"]["sockets"] == boots["worker-1"]["sockets"] == boots["control"]["sockets"] + 1
        assert boots[f"engine {MODEL}"]["sockets"] == boots["control"]["sockets"]
    assert boots["worker-0"]["providers"] == ["a"]
    assert boots[f"engine {MODEL}"]["providers"] == []


@COMMANDS
def test_a_killed_worker_is_replaced_and_its_queue_survives(installation):
    installation.start(MODEL)
    before = installation.child("worker-0")
    os.kill(before.pid, signal.SIGSTOP)
    host, port = installation.status().origin.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as waiting:
        waiting.sendall(b"GET / HTTP/1.1\r\n\r\n")
        os.kill(before.pid, signal.SIGKILL)
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200")
    after = installation.wait_until("worker-0", "ready", not_pid=before.pid)
    assert after.restarts == 1
    assert "worker-0: was killed by signal 9" in installation.log()


PATIENCE = "[server]\nwatchdog_s = 3\n"


@pytest.mark.parametrize(
    ("name", "stopped"),
    # Which role loops is all the same to the supervisor.
    [("control", True), ("worker-0", False), pytest.param(f"engine {MODEL}", False, marks=pytest.mark.slow)],
    ids=["stands still", "a worker loops", "an engine loops"],
)
def test_a_child_that_does_not_answer_is_killed_replaced_and_reported_once(installation, name, stopped):
    installation.configure(PATIENCE)
    installation.behave(name, "ready" if stopped else "spin")
    installation.start(MODEL)
    before = installation.child(name)
    others = {one.name: one.pid for one in installation.status().processes if one.name != name}
    if stopped:
        os.kill(before.pid, signal.SIGSTOP)
    installation.behave(name, "ready")
    after = installation.wait_until(name, "ready", not_pid=before.pid)
    assert after.restarts == 1
    assert [line for line in installation.log().splitlines() if name in line] == [
        line for line in installation.log().splitlines() if f"{name}: has not answered for 3 s; killing it" in line
    ]
    assert installation.log().count("has not answered") == 1
    # The new one answers, and so do all others.
    pids = {one.name: one.pid for one in installation.status().processes}
    assert pids == {**others, name: after.pid}


def test_an_engine_that_owes_an_answer_is_said_not_to_answer_before_it_is_killed(installation):
    installation.configure("[server]\nwatchdog_s = 0\n")
    installation.start(MODEL)
    wait_for(lambda: installation.get()["answers"][MODEL], "the engine to answer")
    engine = installation.child(f"engine {MODEL}")
    os.kill(engine.pid, signal.SIGSTOP)
    wait_for(lambda: not installation.get()["answers"][MODEL], "the workers to hear of it")
    assert not installation.status().models[0].ready
    assert installation.get()["up"][MODEL] is not None
    os.kill(engine.pid, signal.SIGCONT)
    wait_for(lambda: installation.get()["answers"][MODEL], "the engine to answer again")
    assert installation.child(f"engine {MODEL}").pid == engine.pid
    assert "has not answered" not in installation.log()


def test_a_supervisor_that_stood_still_holds_it_against_nobody(installation):
    installation.configure(PATIENCE)
    installation.start(MODEL)
    pids = {one.pid for one in installation.status().processes}
    everybody = [installation.process.pid, *pids]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(5)
    # The supervisor is back first.
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.2)
    assert {one.pid for one in installation.status().processes} == pids
    assert "has not answered" not in installation.log()


def test_a_child_that_drains_has_its_whole_grace(installation):
    installation.configure("[server]\nwatchdog_s = 2\ndrain_grace_s = 5\n")
    installation.behave("worker-0", "busy-drain")
    installation.start()
    installation.signal(signal.SIGTERM)
    assert installation.wait() == 0
    assert [event["name"] for event in installation.events("end")] == ["worker-0", "control", "ledger"]
    assert "has not answered" not in installation.log()


def test_the_learner_runs_once_auto_has_two_tiers(installation):
    installation.start()
    assert "learner" not in {each.name for each in installation.status().processes}
    installation.configure(
        '[providers.acme]\nbase_url = "http://127.0.0.1:9/v1"\nmodels = ["s", "l"]\n[auto]\nsmall = "s"\nlarge = "l"\n'
    )
    installation.reload()
    installation.wait_until("learner", "ready")
    installation.signal(signal.SIGTERM)
    assert installation.wait() == 0
    assert {event["name"] for event in installation.events("end")} == {"worker-0", "control", "learner", "ledger"}


def test_workers_hear_that_an_engine_is_down_and_up_again(installation):
    installation.start(MODEL)
    wait_for(lambda: installation.get()["up"][MODEL], "the engine to be up")
    before = installation.child(f"engine {MODEL}")
    installation.behave(f"engine {MODEL}", "silent")
    os.kill(before.pid, signal.SIGKILL)
    wait_for(lambda: installation.get()["up"][MODEL] is None, "the engine to be down")
    starting = installation.wait_until(f"engine {MODEL}", "starting")
    installation.behave(f"engine {MODEL}", "ready")
    with contextlib.suppress(ProcessLookupError):  # given up already
        os.kill(starting.pid, signal.SIGKILL)
    wait_for(lambda: installation.get()["up"][MODEL], "the engine to be up again")


def test_an_engine_that_gives_up_for_want_of_memory_dies_alone_and_is_reported(installation):
    installation.start(MODEL)
    before, worker = installation.child(f"engine {MODEL}"), installation.child("worker-0")
    os.kill(before.pid, signal.SIGABRT)
    after = installation.wait_until(f"engine {MODEL}", "ready", not_pid=before.pid)
    assert after.restarts == 1
    assert installation.child("worker-0").pid == worker.pid
    assert f"engine {MODEL}: gave up, most likely for want of memory" in installation.log()


def test_a_child_that_fails_again_and_again_is_told_once_and_does_not_hold_up_the_rest(installation):
    installation.behave(f"engine {MODEL}", "failed")
    status = installation.start(MODEL)
    assert status["models"][0]["failure"] == "the model file is damaged; run `weebill pull`"
    wait_for(lambda: installation.child(f"engine {MODEL}").restarts >= 4, "several restarts")
    assert installation.log().count("the model file is damaged") == 1
    assert installation.get()["up"] == {MODEL: None}
    assert installation.child("worker-0").restarts == 0
    installation.behave(f"engine {MODEL}", "ready")
    installation.wait_until(f"engine {MODEL}", "ready")
    assert installation.status().models[0].failure == ""


def test_a_crash_loop_backs_off_and_recovers(installation):
    installation.behave("control", "crash")
    installation.start()
    wait_for(lambda: installation.child("control").restarts >= 4, "several restarts")
    assert installation.log().count("control: exited with status 3") == 1
    installation.behave("control", "ready")
    installation.wait_until("control", "ready")


@pytest.mark.parametrize(
    ("watchdog_s", "reason"),
    [(5, "has done nothing for 1 s and is not ready"), (0, "was not ready within 4 s")],
)
def test_a_child_that_never_gets_ready_is_given_up(installation, watchdog_s, reason):
    installation.configure(f"[server]\nwatchdog_s = {watchdog_s}\n")
    installation.behave("worker-0", "silent")
    installation.start()
    first = installation.events("boot")[-1]["pid"]
    installation.behave("worker-0", "ready")
    installation.wait_until("worker-0", "ready", not_pid=first)
    assert [line for line in installation.log().splitlines() if "worker-0" in line] == [
        line for line in installation.log().splitlines() if f"worker-0: {reason}; killing it, to start it again" in line
    ]
    assert installation.log().count("killing it") == 1


def test_a_child_that_takes_long_to_load_is_not_given_up(installation):
    installation.behave(f"engine {MODEL}", "loading")
    installation.process = installation.spawn(MODEL)
    wait_for(lambda: len(installation.events("boot")) == 4, "all to be starting")
    pid = installation.wait_until(f"engine {MODEL}", "starting").pid
    time.sleep(1.5)
    installation.behave(f"engine {MODEL}", "ready")
    assert installation.wait_until(f"engine {MODEL}", "ready").pid == pid
    assert "killing it" not in installation.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_goes_from_workers_to_engines_to_control_and_exits_0(installation, number):
    installation.configure("[server]\nworkers = 2\ndrain_grace_s = 7\n")
    installation.start(MODEL)
    installation.signal(number)
    assert installation.wait() == 0
    ends = [event["name"] for event in installation.events("end")]
    assert sorted(ends[:2]) == ["worker-0", "worker-1"]
    assert ends[2:] == [f"engine {MODEL}", "control", "ledger"]
    grace = {event["name"]: event["grace_s"] for event in installation.events("drain")}
    assert grace["worker-0"] == 7
    assert not installation.home.supervisor_socket.exists()
    assert no_survivors(installation)
    with pytest.raises(NotRunningError, match="not running"):
        installation.status()


def test_nothing_is_accepted_while_draining(installation):
    installation.configure("[server]\ndrain_grace_s = 30\n")
    installation.behave("worker-0", "slow-drain")
    status = installation.start()
    host, port = status["origin"].removeprefix("http://").split(":")
    installation.signal(signal.SIGTERM)
    wait_for(lambda: installation.events("drain"), "the drain")

    def refused():
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) != 0

    wait_for(refused, "the port to be closed")
    assert installation.child("worker-0").state == "draining"
    installation.signal(signal.SIGINT)
    assert installation.wait() == 0
    assert [event["grace_s"] for event in installation.events("drain") if event["name"] == "worker-0"] == [30, 0]


def test_a_child_that_outstays_its_grace_is_killed(installation):
    installation.configure("[server]\ndrain_grace_s = 0.1\n")
    installation.behave("worker-0", "stubborn")
    installation.start()
    installation.signal(signal.SIGTERM)
    assert installation.wait() == 0
    assert "worker-0 did not finish in time; killing it" in installation.log()
    assert no_survivors(installation)


def test_a_stop_while_children_start_or_back_off(installation):
    installation.behave("control", "crash")
    installation.behave("worker-0", "silent")
    installation.process = installation.spawn()
    wait_for(lambda: {"control", "worker-0"} <= {event["name"] for event in installation.events()}, "starts")
    installation.signal(signal.SIGTERM)
    assert installation.wait() == 0
    assert no_survivors(installation)


def test_sigkill_of_the_supervisor_leaves_no_orphans_and_the_home_is_free_again(installation):
    installation.start(MODEL)
    pids = [process.pid for process in installation.status().processes]
    installation.process.kill()
    installation.wait()
    assert no_survivors(installation)
    assert {event["pid"] for event in installation.events("orphaned")} == set(pids)
    installation.process.stdout.close()
    installation.start(MODEL)
    assert installation.child("worker-0").pid not in pids


def test_a_second_instance_is_refused_and_names_the_first(installation):
    installation.start()
    second = installation.spawn()
    assert second.wait(60) == 1
    second.stdout.close()
    assert f"Weebill is already running in {installation.home.root} (process {installation.process.pid})" in (
        installation.log()
    )
    assert installation.get()["name"] == "worker-0"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_refused_at_once(installation, monkeypatch, workers):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("WEEBILL_PORT", str(port))
        monkeypatch.setenv("WEEBILL_WORKERS", workers)
        process = installation.spawn()
        assert process.wait(60) == 1
        process.stdout.close()
    assert f"error: port {port} on 127.0.0.1 is in use by another program" in installation.log()
    assert installation.events() == []


def test_every_worker_takes_connections(installation):
    installation.configure("[server]\nworkers = 2\n")
    installation.start()
    wait_for(lambda: {installation.get()["name"] for _ in range(20)} == {"worker-0", "worker-1"}, "both workers")


def test_nonsense_on_the_command_socket_gets_no_answer_and_does_no_harm(installation):
    installation.start()
    for line in (b"hello\n", b'{"type": "stop"}\n', b"x" * 100_000):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(installation.home.supervisor_socket))
            connection.sendall(line)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b""
    assert installation.child("worker-0").state == "ready"


@COMMANDS
def test_output_of_children_never_reaches_standard_output(installation):
    installation.start(MODEL)
    installation.signal(signal.SIGTERM)
    assert installation.wait() == 0
    assert installation.process.stdout.read() == ""


def test_a_home_with_too_long_a_path_is_refused(tmp_path):
    sources = Sources(Home(tmp_path / ("x" * 120)), {}, {})
    with pytest.raises(ListenError, match="too long"):
        serve(sources, load(sources), dict, print)
