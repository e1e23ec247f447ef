"""The learner process: the only one that writes the store of outcomes.

Workers need it for nothing that a client waits for: without it they keep to what they were told last.

1. It opens the store, or reports why it cannot.
2. Workers report decisions and audits (`topics`), and get a lesson whenever there is a new one.
3. It drains after the workers. A report is kept before it is acknowledged, so a kill loses none.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from weebill.auto.learning import TOPIC
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.learner.topics import Learning
from weebill.process import logs
from weebill.process.following import follow
from weebill.process.link import Link
from weebill.process.messages import Failed, Ready
from weebill.process.question_server import QuestionServer
from weebill.storage.opening import open_outcomes
from weebill.storage.outcomes import OutcomeError, OutcomeStore

PROCESS_NAME: Final = "learner"

log = logging.getLogger(__name__)


def learning_server(home: Home, settings: Settings) -> tuple[QuestionServer, Learning]:
    """Returns the server that learns for `home`. Raises OutcomeError."""
    learning = Learning(OutcomeStore(open_outcomes(home)), settings.autos)
    return QuestionServer(answers={TOPIC: learning.answer}, feeds={TOPIC: learning.feed}), learning


async def main() -> int:
    """Runs from `Boot` to `Drain`; returns the exit status. If the supervisor is gone, the process ends at once."""
    link = Link.open()
    boot = await link.boot()
    logs.configure(boot.settings.log, PROCESS_NAME)
    home = Home(Path(boot.home))
    try:
        server, learning = learning_server(home, boot.settings)
        await server.listen(home.learner_socket)
    except (OutcomeError, OSError) as error:
        link.send(Failed(message=str(error)))
        link.close()
        return 1
    link.send(Ready())
    drain = await follow(link, PROCESS_NAME, learning.configure, lambda: server.moves)
    if drain is None:
        os._exit(1)  # at once: the store survives that
    server.close()
    with suppress(FileNotFoundError):
        home.learner_socket.unlink()
    return 0
