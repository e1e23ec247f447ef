"""The learner process as the supervisor and the workers meet it."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from tests.fixtures.child import ChildProcess
from weebill.auto.cascade.checks import Checks
from weebill.auto.gains import packed
from weebill.auto.learning import TOPIC, Audited, Decided, Lessons, Pair, Report, StandingQuestion
from weebill.auto.standing import Standing
from weebill.config.auto import AUTO, AuditSettings, AutoSettings, CascadeSettings
from weebill.config.paths import Home
from weebill.gateway.audits import Audit, Audits
from weebill.gateway.reporting import Reporter
from weebill.learner.belief import initial
from weebill.process.link import LINK_FD_VARIABLE
from weebill.process.messages import Failed, Ping, Pong
from weebill.process.questions import Questions

PAIR = Pair("s/small", "l/large", "place-1")
Start = Callable[[], Awaitable[ChildProcess]]


def decided(number: int) -> Decided:
    return Decided(request_id=f"req_{number}", key_id="key", at=1, tier="large", features=b"\x00\x3c")


async def decisions(questions: Questions) -> int:
    standings = msgspec.msgpack.decode(await questions.ask(TOPIC, StandingQuestion()), type=list[Standing])
    standing = next(iter(standings), None)
    return 0 if standing is None else standing.decisions


async def test_it_answers_and_drains(start: Start, home: Home) -> None:
    process = await (await start()).ready()
    process.link.send(Ping())
    assert isinstance(await process.link.receive(), Pong)
    assert stat.S_IMODE(home.learner_socket.stat().st_mode) == 0o600
    assert await process.drain() == 0
    assert not home.learner_socket.exists()


async def test_a_killed_learner_knows_what_it_acknowledged_and_gets_the_rest(start: Start, home: Home) -> None:
    first = await (await start()).ready()
    questions = Questions(home.learner_socket)
    reporter = Reporter(questions.ask)
    await questions.ask(TOPIC, Report(PAIR, tuple(map(decided, range(10)))))
    first.process.kill()
    await first.process.wait()
    # While nobody is there, reports wait.
    for number in range(10, 30):
        reporter.report(PAIR, decided(number))
    await (await start()).ready()
    async with asyncio.timeout(30):
        while await decisions(questions) < 30:
            await asyncio.sleep(0.05)
    await reporter.close()
    questions.close()
    assert reporter.lost == 0


def weebill(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a user."""
    env = os.environ | {"WEEBILL_HOME": str(home.root)}
    return subprocess.run(
        [sys.executable, "-m", "weebill", *arguments], env=env, capture_output=True, text=True, timeout=120
    )


async def test_its_curve_is_shown_and_drawn(start: Start, home: Home, tmp_path: Path) -> None:
    """From the process to the picture: nothing is drawn before there are enough audits."""
    process = await (await start()).ready()
    questions, picture = Questions(home.learner_socket), tmp_path / "curve.svg"
    features = packed(np.eye(1, initial(PAIR).width)[0])

    async def audit(count: int) -> None:
        asked = tuple(
            msgspec.structs.replace(decided(at), features=features, probability=1.0, audited=True)
            for at in range(count)
        )
        scores = [Audited(request_id=each.request_id, small=1.0, large=1.0, by="short") for each in asked]
        await questions.ask(TOPIC, Report(PAIR, asked, tuple(scores)))

    plot = partial(asyncio.to_thread, weebill, home, "auto", "plot")
    assert (await plot()).stdout == "`auto` has decided nothing yet\n"
    await audit(19)
    assert (await plot()).stdout == "auto: the curve is not yet known (19 audits of at least 20)\n"
    refused = await plot(str(picture))
    assert (refused.returncode, "is not drawn: the curve is not yet known (19 audits" in refused.stderr) == (1, True)
    assert not picture.exists()
    await audit(60)
    shown = (await plot()).stdout
    assert shown.startswith("auto: at the threshold, 100% of requests for the large model: 1.000 of its quality")
    assert "TO THE LARGE" in shown
    assert shown.endswith("Prices are not known, so the spend is not.\n")
    told = json.loads((await plot("--json")).stdout)
    first, *_, last = told["points"]
    assert (first["large_share"], last["large_share"], last["quality"]["value"]) == pytest.approx((1, 0, 1), abs=1e-9)
    assert last["quality"]["low"] < 0.97
    assert (await plot(str(picture))).stdout == ""
    assert ElementTree.fromstring(picture.read_text()).tag == "{http://www.w3.org/2000/svg}svg"
    wrong = await plot("curve.png")
    assert (wrong.returncode, "hint: `weebill auto plot curve.svg` draws it" in wrong.stderr) == (1, True)
    questions.close()
    assert await process.drain() == 0


async def test_a_worker_hears_that_it_is_there_and_draws(start: Start, home: Home) -> None:
    lessons = Lessons()
    questions = Questions(home.learner_socket, {TOPIC: lessons})
    audits = Audits(lessons, questions.ask, Random(1))
    audit = Audit(AUTO, AutoSettings(), Checks(CascadeSettings()), PAIR, {"small": "small", "large": "large"})
    assert audits.draw(audit, possible=True).probability == 0  # nobody would learn from it
    await (await start()).ready()
    questions.start()
    async with asyncio.timeout(30):
        while not lessons.heard:
            await asyncio.sleep(0.05)
    assert not lessons.all()
    probabilities = [audits.draw(audit, possible=True).probability for _ in range(1100)]
    assert probabilities[:1000] == [1.0] * 1000  # no audit is heard of
    assert 0.05 < probabilities[-1] < 0.1
    assert audits.draw(audit, possible=False).probability == 0
    # Each virtual model begins anew.
    assert audits.draw(audit._replace(auto="support"), possible=True).probability == 1
    off = audit._replace(settings=AutoSettings(audits=AuditSettings(enabled=False)))
    assert audits.draw(off, possible=True).probability == 0
    questions.close()


async def test_a_store_that_cannot_be_used_is_said(start: Start, home: Home) -> None:
    home.lessons.mkdir()
    process = await start()
    failed = await process.link.receive()
    assert isinstance(failed, Failed)
    assert f"Cannot open {home.lessons}" in failed.message
    assert await process.process.wait() == 1


async def test_what_does_not_fit_into_the_queue_is_counted(home: Home) -> None:
    questions = Questions(home.learner_socket)
    reporter = Reporter(questions.ask)
    for number in range(10_005):
        reporter.report(PAIR, decided(number))
    assert reporter.lost == 5
    reporting = [task for task in asyncio.all_tasks() if task.get_name() == "report to the learner"]
    for task in reporting:
        task.cancel()
    questions.close()


def test_it_computes_in_one_thread() -> None:
    """Threads of a library of linear algebra wait for each other, for seconds where cores are busy."""
    code = (
        "import psutil\n"
        "try:\n"
        "    import weebill.learner.__main__\n"
        "except SystemExit:  # it is started by nobody\n"
        "    print(psutil.Process().num_threads())\n"
    )
    env = {name: value for name, value in os.environ.items() if name not in {"OPENBLAS_NUM_THREADS", LINK_FD_VARIABLE}}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
