"""The ledger process posts what was used, each nano-dollar once, whenever it is killed; and calls webhooks."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from functools import partial

from msgspec import structs

from tests.billing.test_webhooks import receiving
from tests.fixtures.child import ChildProcess, ending
from tests.fixtures.databases import rows
from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import RECORD, write
from weebill.billing.credits import Origin
from weebill.billing.webhooks import Alert
from weebill.config.credits import CreditSettings
from weebill.config.paths import Home
from weebill.config.schema import MeteringSettings, Settings
from weebill.ledger.role import ROLE
from weebill.storage.credit_alerts import set_alert
from weebill.storage.credit_checks import verify
from weebill.storage.credits import credits_in
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger

SETTINGS = Settings(
    credits=CreditSettings(settle_interval_s=0.1, private_webhooks=True),
    metering=MeteringSettings(ingest_interval_s=0.05),
)
NUMBERS = itertools.count()


def use(home: Home, costs: list[int]) -> None:
    write(home, [structs.replace(RECORD, request_id=f"req_{next(NUMBERS)}", cost_nano=cost) for cost in costs])


def sums(ledger: Database) -> tuple[int, int, int]:
    """What was billed, what was posted, and the balance."""
    found = rows(
        ledger,
        "SELECT coalesce(billed_nano, 0), posted_nano, balance_nano FROM credit_standings "
        "LEFT JOIN credit_usage USING (organisation)",
    )
    return (0, 0, 0) if not found else found[0]


async def test_each_nano_dollar_is_posted_once_whenever_it_is_killed(home: Home) -> None:
    lots = random.Random(15)
    used = 0
    with open_ledger(home, SQLITE) as ledger:
        credits_in(ledger).grant("org_default", 10**6, Origin("grant"))
        async with ending(partial(ChildProcess.start, ROLE, home, settings=SETTINGS)) as start:
            for _ in range(6):
                process = await (await start()).ready()
                for _ in range(3):
                    costs = [lots.randrange(1000) for _ in range(50)]
                    used += sum(costs)
                    use(home, costs)
                    await asyncio.sleep(lots.random() * 0.2)
                process.process.kill()
                await process.process.wait()
            process = await (await start()).ready()
            assert await process.drain() == 0
        assert sums(ledger) == (used, used, 10**6 - used)
        assert ledger.read(verify).problems == []
        [(posted,)] = rows(ledger, "SELECT sum(amount_nano) FROM credit_entries WHERE account = 'usage'")
        assert posted == used


async def test_credits_end_at_their_time_and_not_with_the_next_settlement(home: Home) -> None:
    settings = Settings(credits=CreditSettings(settle_interval_s=60))
    with open_ledger(home, SQLITE) as ledger:
        async with ending(partial(ChildProcess.start, ROLE, home, settings=settings)) as start:
            await (await start()).ready()
            credits_in(ledger).grant("org_default", 1000, Origin("grant"), expires_at=int(time.time()) + 2)
            async with asyncio.timeout(40):
                while sums(ledger)[2]:
                    await asyncio.sleep(0.1)
        assert rows(ledger, "SELECT kind FROM credit_transactions ORDER BY id") == [("grant",), ("expiry",)]


async def test_a_webhook_is_told_of_a_low_balance(home: Home) -> None:
    with receiving() as (url, heard), open_ledger(home, SQLITE) as ledger:
        credits_in(ledger).grant("org_default", 1000, Origin("grant"))
        ledger.change(lambda connection: set_alert(connection, "org_default", Alert(500, url, 1), 1))
        async with ending(partial(ChildProcess.start, ROLE, home, settings=SETTINGS)) as start:
            await (await start()).ready()
            use(home, [501])
            async with asyncio.timeout(30):
                while not heard:
                    await asyncio.sleep(0.05)
    assert b'"balance_nano":499' in heard[0][1]
