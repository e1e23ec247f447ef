"""The ledger process: the only one that answers questions about the ledger, and the only writer of usage to it.

It has no web framework and serves no clients, so neither a slow console nor a large import delays usage or the checks
of keys.

1. It migrates the ledger, or reports why it cannot.
2. A thread ingests usage from the workers' journals.
3. Workers and the control process ask about keys, experiments and stored responses (`topics`), and get the changes.
4. Threads post usage to the ledger of credits, call organisations' webhooks, and say which workers are here.
5. It drains last, and ingests the records that the workers have written until then.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from weebill.accounts.api_key import TOPIC as KEYS
from weebill.accounts.provider_keys import TOPIC as PROVIDER_KEYS
from weebill.auto.experiments import TOPIC as EXPERIMENTS
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.ledger.allowances import Allowances
from weebill.ledger.credits import CreditWork
from weebill.ledger.ingestion import IngestThread
from weebill.ledger.prices import Prices
from weebill.ledger.rating import RatingThread
from weebill.ledger.retention import RetentionThread
from weebill.ledger.signs import SignsThread
from weebill.ledger.topics import Keys, Responses, RunningExperiments, SealedKeys
from weebill.limits.machines import machine_name
from weebill.limits.questions import TOPIC as ALLOWANCES
from weebill.process import logs
from weebill.process.following import follow
from weebill.process.link import Link
from weebill.process.messages import Engines, Failed, Ready, ToChild
from weebill.process.question_server import QuestionServer
from weebill.storage.database import Database
from weebill.storage.opening import bring_up_to_date, open_ledger, open_responses
from weebill.storage.sealing import Vault
from weebill.storage.versions import Positions
from weebill.wire.responses_store import TOPIC as RESPONSES

PROCESS_NAME: Final = "ledger"

_PATIENCE_S: Final = 1.0  # with questions, which are asked again
_FINISH_S: Final = 30.0

log = logging.getLogger(__name__)


def question_server(ledger: Database, responses: Database, home: Home) -> QuestionServer:
    """Returns the server that answers questions about an installation's ledger and its stored responses.

    The workers that borrow allowances write to the journal of `home`, which has the master key as well.
    """
    positions = Positions(ledger)
    keys, allowances = Keys(ledger, positions), Allowances(ledger, positions, home.journal, machine_name(home.root))
    sealed = SealedKeys(ledger, positions, Vault(home))
    return QuestionServer(
        answers={
            KEYS: keys.answer,
            PROVIDER_KEYS: sealed.answer,
            RESPONSES: Responses(responses).answer,
            ALLOWANCES: allowances.answer,
        },
        feeds={
            KEYS: keys.feed,
            PROVIDER_KEYS: sealed.feed,
            EXPERIMENTS: RunningExperiments(ledger, positions).feed,
            ALLOWANCES: allowances.feed,
        },
        state=ledger.stamp,
        heartbeats=(KEYS,),
    )


async def main() -> int:
    """Runs from `Boot` to `Drain`; returns the exit status. If the supervisor is gone, the process ends at once."""
    link = Link.open()
    boot = await link.boot()
    logs.configure(boot.settings.log, PROCESS_NAME)
    home = Home(Path(boot.home))
    try:
        ledger = open_ledger(home, boot.settings.database, patience_s=_PATIENCE_S)
        bring_up_to_date(home, boot.settings.database)
        responses = open_responses(home, boot.settings.database)
        server = question_server(ledger, responses, home)
        await server.listen(home.ledger_socket)
    except (LedgerError, OSError) as error:
        link.send(Failed(message=str(error)))
        link.close()
        return 1
    prices = Prices(home, boot.settings)
    ingestion = IngestThread(home, boot.settings.database, boot.settings.metering.ingest_interval_s, prices.cost)
    credit_work = CreditWork(ledger, home, boot.settings.credits)

    def reload(settings: Settings) -> None:
        credit_work.settings = settings.credits
        prices.settings = settings
        ingestion.interval_s = settings.metering.ingest_interval_s

    def hear(message: ToChild) -> bool:
        if isinstance(message, Engines):
            prices.engines = message.engines
        return isinstance(message, Engines)

    for message in boot.told:
        hear(message)
    ingestion.start()
    credit_work.start()
    retention = RetentionThread(home, boot.settings.database)
    retention.start()
    rating = RatingThread(home, boot.settings.database)
    rating.start()
    signs = SignsThread(ledger, machine_name(home.root), home.journal)
    signs.start()
    link.send(Ready())
    drain = await follow(link, PROCESS_NAME, reload, lambda: ingestion.moves and server.moves, hear)
    if drain is None:
        os._exit(1)  # at once: journals and ledger survive that
    await asyncio.to_thread(retention.finish, _FINISH_S)
    await asyncio.to_thread(rating.finish, _FINISH_S)
    await asyncio.to_thread(ingestion.finish, _FINISH_S)
    await asyncio.to_thread(signs.finish, _PATIENCE_S)
    await asyncio.to_thread(credit_work.finish, _PATIENCE_S)
    server.close()
    responses.close()
    ledger.close()
    with suppress(FileNotFoundError):
        home.ledger_socket.unlink()
    return 0
