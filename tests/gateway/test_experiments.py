"""Experiments through a real worker: who gets which model, what is recorded, and what a change takes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from tests.fixtures.ledger import SQLITE
from tests.fixtures.upstream import Upstream, answer, complete, completion, hang, running_upstream, send
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.test_auto import CHAT, LARGE, SMALL, auto, said, settings
from weebill.config.auto import AutoSettings, Rule, TargetSettings
from weebill.config.routing import AliasSettings, Preferences
from weebill.config.schema import CacheSettings
from weebill.storage.experiments import open_experiments
from weebill.usage.records import UsageRecord


@asynccontextmanager
async def running(folder: Path, settings_: AutoSettings) -> AsyncIterator[tuple[RunningWorker, Upstream, Upstream]]:
    async with running_upstream() as small, running_upstream() as large:
        small.script = complete(completion("From the small one."))
        large.script = complete(completion("From the large one."))
        async with running_worker(folder / "home", settings(small, large, settings_)) as worker:
            yield worker, small, large


async def ask(worker: RunningWorker, text: str, model: str = LARGE, turns: int = 1) -> str:
    said_so_far = [{"role": "user", "content": text}]
    said_so_far += [{"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "And?"}] * (turns - 1)
    return said(await worker.client.post(CHAT, json={"model": model, "messages": said_so_far}))


async def follows(change: Callable[[], Awaitable[bool]]) -> None:
    """A change takes no more than a second, and some for a slow machine."""
    async with asyncio.timeout(60):
        while not await change():
            await asyncio.sleep(0.05)


def arms(worker: RunningWorker) -> Counter[tuple[str, str]]:
    return Counter((record.arm, record.model_served) for record in worker.records())


async def test_a_share_goes_to_the_candidate_by_conversation(tmp_path: Path) -> None:
    async with running(tmp_path, AutoSettings()) as (worker, _, _):
        with open_experiments(worker.home, SQLITE) as experiments:
            experiments.create("cheaper", LARGE, SMALL, 0.5, False)
        await follows(lambda: _begun(worker))
        first = [await ask(worker, f"Question {number}") for number in range(30)]
        assert set(first) == {"From the small one.", "From the large one."}
        again = [await ask(worker, f"Question {number}", turns=3) for number in range(30)]
        assert again == first
        counted = arms(worker)
        assert set(counted) <= {("cheaper/control", LARGE), ("cheaper/candidate", SMALL), ("", LARGE)}
        assert counted["cheaper/candidate", SMALL] >= 2 * first.count("From the small one.")
        assert all(record.model_asked == LARGE for record in worker.records())
        # Other names are as they were.
        assert await ask(worker, "Question", f"openai/{LARGE}") == "From the large one."


async def _begun(worker: RunningWorker) -> bool:
    await ask(worker, "Has it begun?")
    return any(record.arm for record in worker.records())


async def test_promoted_and_rolled_back_within_a_second(tmp_path: Path) -> None:
    async with running(tmp_path, AutoSettings()) as (worker, _, _):
        with open_experiments(worker.home, SQLITE) as experiments:
            experiments.create("cheaper", LARGE, SMALL, 0.001, False)
            experiments.promote("cheaper")

            async def answered_by(words: str) -> bool:
                return {await ask(worker, f"Question {number}") for number in range(5)} == {words}

            await follows(lambda: answered_by("From the small one."))
            experiments.roll_back("cheaper")
            await follows(lambda: answered_by("From the large one."))


async def test_a_shadow_is_never_felt(tmp_path: Path) -> None:
    async with running(tmp_path, AutoSettings()) as (worker, small, large):
        with open_experiments(worker.home, SQLITE) as experiments:
            experiments.create("watch", LARGE, SMALL, 1.0, True)
        await follows(lambda: _begun(worker))
        await follows(lambda: _shadowed(worker, 1))
        records = worker.records()
        asked = len(large.requests)
        [control] = [record for record in records if record.arm == "watch/control"][:1]
        shadow = next(record for record in records if record.request_id == f"{control.request_id}-shadow")
        assert (shadow.arm, shadow.key_id, shadow.model_asked) == ("watch/shadow", "experiment:watch", SMALL)
        assert (shadow.outcome, shadow.checked, shadow.prompt_tokens) == ("ok", "passed", 12)
        assert shadow.cost_nano > 0
        # Its failures are recorded, and nobody else's.
        small.script = send(answer(400, b'{"error": {"message": "no"}}'))
        assert await ask(worker, "Hello") == "From the large one."
        await follows(lambda: _failed(worker))
        # A stream is copied as one piece, and copies that hang are bounded.
        small.script = hang()
        before = len(small.requests)
        for number in range(30):
            assert await ask(worker, f"Question {number}") == "From the large one."
        await asyncio.sleep(0.2)
        assert len(small.requests) - before <= 16
        assert len(large.requests) == asked + 31


async def _shadowed(worker: RunningWorker, count: int) -> bool:
    return sum(record.arm == "watch/shadow" for record in worker.records()) >= count


async def _failed(worker: RunningWorker) -> bool:
    return any(record.arm == "watch/shadow" and record.status == 400 for record in worker.records())


async def test_a_tier_of_auto_is_in_an_experiment(tmp_path: Path) -> None:
    async with running(tmp_path, auto("refusal")) as (worker, small, _):
        with open_experiments(worker.home, SQLITE) as experiments:
            experiments.create("bigger", SMALL, LARGE, 1.0, False)

            async def begun() -> bool:
                return await ask(worker, "Hello", "auto") == "From the large one."

            await follows(begun)
            record = worker.records()[-1]
            assert (record.model_asked, record.model_served, record.arm) == ("auto", LARGE, "bigger/candidate")
            assert record.checked == "passed"
            experiments.roll_back("bigger")
            experiments.create("is-auto-as-good", LARGE, "auto", 1.0, False)

            async def to_auto() -> bool:
                return await ask(worker, "Hello") == "From the small one."

            await follows(to_auto)
            assert worker.records()[-1].arm == "is-auto-as-good/candidate"
            # Promoted, `auto` answers for its own large tier, which stays what it was.
            experiments.promote("is-auto-as-good")
            small.script = complete(completion("I can't help with that."))

            async def escalates() -> bool:
                answered = await ask(worker, "Hello")
                return answered == "From the large one." and worker.records()[-1].checked == "refusal"

            await follows(escalates)


async def test_an_experiment_with_auto_as_control(tmp_path: Path) -> None:
    async with running(tmp_path, auto(target=TargetSettings(share=0))) as (worker, _, _):
        with open_experiments(worker.home, SQLITE) as experiments:
            experiments.create("worth-it", "auto", LARGE, 0.5, False)
        await follows(lambda: _both(worker))

        def served(arm: str) -> set[str]:
            found: list[UsageRecord] = [each for each in worker.records() if each.arm == f"worth-it/{arm}"]
            return {each.model_served for each in found}

        assert (served("control"), served("candidate")) == ({SMALL}, {LARGE})


async def test_what_is_private_is_in_no_experiment(tmp_path: Path) -> None:
    rules = auto(target=TargetSettings(share=0), private=(Rule(regex="IBAN"),))
    async with running(tmp_path, rules) as (worker, _, large):
        with open_experiments(worker.home, SQLITE) as experiments:
            experiments.create("worth-it", "auto", LARGE, 1.0, False)
            experiments.create("bigger", SMALL, LARGE, 1.0, False)

            async def begun() -> bool:
                return await ask(worker, "Hello", "auto") == "From the large one."

            await follows(begun)
            asked = len(large.requests)
            assert await ask(worker, "My IBAN", "auto") == "From the small one."
            assert worker.records()[-1].arm == ""
            experiments.promote("worth-it")
            await asyncio.sleep(0.6)
            assert await ask(worker, "My IBAN", "auto") == "From the small one."
            experiments.roll_back("worth-it")
            experiments.create("watch", "auto", LARGE, 1.0, True)
            experiments.roll_back("bigger")
            await follows(lambda: _shadowed_by(worker, "auto"))
            await follows(lambda: _all_shadowed(worker))
            shadows = len(large.requests)
            assert await ask(worker, "My IBAN", "auto") == "From the small one."
            await asyncio.sleep(0.3)
            assert len(large.requests) == shadows > asked


async def test_what_an_alias_keeps_here_is_taken_nowhere_by_an_experiment(tmp_path: Path) -> None:
    kept = AliasSettings(models=(SMALL,), preferences=Preferences(local_only=True))
    async with running_upstream() as small, running_upstream() as large:
        small.script = complete(completion("From the small one."))
        found = msgspec.structs.replace(settings(small, large, AutoSettings()), aliases={"kept": kept})
        async with running_worker(tmp_path / "home", found) as worker:
            with open_experiments(worker.home, SQLITE) as experiments:
                experiments.create("watch", "kept", LARGE, 1.0, True)
                await follows(lambda: _shadowed_by(worker, "kept"))
                experiments.roll_back("watch")
                experiments.create("leak", "kept", LARGE, 1.0, False)

                async def begun() -> bool:
                    await worker.client.post(
                        CHAT, json={"model": "kept", "messages": [{"role": "user", "content": "Hi"}]}
                    )
                    return worker.records()[-1].arm == "leak/candidate"

                await follows(begun)
                assert worker.records()[-1].status == 404
                assert not large.requests


async def test_a_shadow_of_auto_keeps_what_is_private_here(tmp_path: Path) -> None:
    """Though the smaller tier may be asked elsewhere for all others."""
    rules = auto(target=TargetSettings(share=0), private=(Rule(regex="IBAN"),))
    both = AliasSettings(models=(LARGE,), fallbacks=(SMALL,))
    async with running_upstream() as small, running_upstream() as large:
        for each in (small, large):
            each.script = complete()
        found = msgspec.structs.replace(
            settings(small, large, msgspec.structs.replace(rules, small="both")), aliases={"both": both}
        )
        async with running_worker(tmp_path / "home", found) as worker:
            with open_experiments(worker.home, SQLITE) as experiments:
                experiments.create("watch", SMALL, "auto", 1.0, True)
                await follows(lambda: _shadowed_by(worker, SMALL))
                await follows(lambda: _all_shadowed(worker))
                asked = len(large.requests)
                await ask(worker, "My IBAN", SMALL)
                await asyncio.sleep(0.3)
                assert len(large.requests) == asked > 0


async def _shadowed_by(worker: RunningWorker, model: str) -> bool:
    await ask(worker, "Hello", model)
    return any(record.arm == "watch/shadow" for record in worker.records())


async def _all_shadowed(worker: RunningWorker) -> bool:
    """Whether the shadow of each request that has one is recorded."""
    records = worker.records()
    ids = {record.request_id for record in records}
    return all(f"{each.request_id}-shadow" in ids for each in records if each.arm == "watch/control")


async def _both(worker: RunningWorker) -> bool:
    for number in range(4):
        await ask(worker, f"Question {len(worker.records())} {number}", "auto")
    return {"worth-it/control", "worth-it/candidate"} <= {record.arm for record in worker.records()}


async def test_the_cache_leaves_the_tiers_of_auto_to_their_experiment(tmp_path: Path) -> None:
    async with running_upstream() as small, running_upstream() as large:
        small.script = large.script = complete(completion("Yes."))
        cached = msgspec.structs.replace(settings(small, large, auto()), cache=CacheSettings(enabled=True))
        async with running_worker(tmp_path / "home", cached) as worker:

            async def outcome(model: str) -> str:
                request = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
                found: str = (await worker.client.post(CHAT, json=request)).headers["x-weebill-cache"]
                return found

            assert [await outcome("auto") for _ in range(2)] == ["miss", "hit"]
            with open_experiments(worker.home, SQLITE) as experiments:
                experiments.create("tier", SMALL, LARGE, 0.5, False)

            async def bypassed() -> bool:
                return await outcome("auto") == "bypass"

            await follows(bypassed)
            assert await outcome("auto:floor") == "bypass"
