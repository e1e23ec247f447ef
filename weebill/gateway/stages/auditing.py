"""Audits in the background: the tier that did not answer is asked, too, and both answers are scored.

1. An answer that broke a rule is worth nothing, and nobody else is asked.
2. The other tier answers; of the small tier's answer, the signs are read.
3. The answers are compared, by the large model if they cannot be otherwise, and the scores reported.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from msgspec import structs

from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.auto import judge_model
from weebill.auto.cascade.signs import packed, read_signs
from weebill.auto.cascade.verdicts import text_of
from weebill.auto.judging import UNREAD, Verdict, content, judge
from weebill.auto.learning import Audited
from weebill.config.auto import Tier
from weebill.gateway.audits import Audit, Audits, Heard
from weebill.gateway.meter import Meter
from weebill.gateway.off_loop import off_loop
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import Request
from weebill.gateway.stages.asking import Asking, Selection, Tried
from weebill.routing.router import RouteRequest
from weebill.wire.call import Call, with_own
from weebill.wire.reply import Reply


class Auditing:
    """Carries audits out and reports their scores."""

    def __init__(self, recorder: Recorder, audits: Audits, asking: Asking) -> None:
        self._recorder = recorder
        self._audits = audits
        self._asking = asking

    async def audit(
        self,
        selection: Selection,
        audit: Audit,
        answered: Tier,
        tried: Tried,
        heard: Heard,
    ) -> None:
        """Asks the tier that did not answer the same question, and reports both answers' scores."""
        request, asked = selection.request, selection.asked
        request_id, api, began = request.exchange.request_id, request.endpoint, time.monotonic()
        if tried.worthless:  # what the smaller tier is worth here is known
            worth = Audited(request_id=request_id, small=0.0, large=1.0, by=tried.why, signs=tried.signs)
            self._audits.judged(audit, worth)
            return
        # An answer that was doubted is asked for anew: of a stream, no more was read than its beginning.
        model = selection.selected.model if tried.why else audit.other
        meter = Meter(f"{request_id}-audit", audit.metered_as, api.name, began, journal=self._recorder.journal)
        meter.model_asked = model
        of_small = answered == "large"
        other = await self._asking.ask_aside(selection, model, meter, audit.checks if of_small else None)
        got = await off_loop(partial(heard.reply, api.native, streamed=selection.call.stream))
        small, large = (got, other) if answered == "small" else (other, got)
        signs = tried.signs
        if of_small and other is not None and audit.checks.verifies:
            signs = packed(read_signs(asked.needs.conversation, other))
        # An answer that the client got, and that cannot be read back here, is no failure of its tier.
        verdict = UNREAD if got is None else await off_loop(partial(judge, asked.needs.conversation, small, large))
        spent = meter.spent_nano or 0
        if verdict.is_open and audit.judged_by_model and small is not None and large is not None:
            verdict, judging = await self._judged_by_model(selection, audit, small, large)
            spent += judging
        self._audits.judged(
            audit,
            Audited(
                request_id=request_id,
                small=verdict.score,
                large=None if verdict.score is None else 1.0,
                by=verdict.by,
                spent_nano=spent,
                signs=signs,
                content=content(asked.needs.conversation, small, large) if audit.keeps_content else None,
            ),
        )

    async def _judged_by_model(
        self, selection: Selection, audit: Audit, small: Reply, large: Reply
    ) -> tuple[Verdict, int]:
        """Returns the verdict of the large model on texts that cannot be compared otherwise, and what it cost, as far
        as its price is known.
        """
        texts = content(selection.asked.needs.conversation, small, large)
        orders = (texts.small, texts.large), (texts.large, texts.small)
        asked = [self._preference(selection, audit, at, texts.question, *order) for at, order in enumerate(orders)]
        (first, cost), (second, more) = await asyncio.gather(*asked)
        return Verdict(judge_model.score(first, second), judge_model.BY_MODEL), (cost or 0) + (more or 0)

    async def _preference(
        self, selection: Selection, audit: Audit, number: int, question: str, one: str, other: str
    ) -> tuple[judge_model.Preference | None, int | None]:
        """Returns the large model's preference, and what it cost."""
        exchange, began = selection.request.exchange, time.monotonic()
        name = f"{exchange.request_id}-judge-{number}"
        meter = Meter(name, audit.metered_as, CHAT.name, began, journal=self._recorder.journal)
        meter.model_asked = audit.large
        judged = selection.asked
        call = CHAT.decode(judge_model.body(audit.large, question, one, other), {}, "")
        # The judge reads what the client wrote, so it may go only where the client's request may.
        call = with_own(call, structs.replace(call.own, provider=judged.call.own.provider))
        asked = RouteRequest(call, judged.key_id, judged.key_name, CHAT.conversation, judged.preferences)
        judging = selection._replace(request=Request[Api, Call](exchange, CHAT), call=call, asked=asked)
        reply = await self._asking.ask_aside(judging, audit.large, meter)
        said = "" if reply is None else "".join(map(text_of, reply.choices))
        return judge_model.preference(said), meter.spent_nano
