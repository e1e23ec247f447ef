"""Audits in the background: the tier that did not answer is asked, too, and both answers are scored.

1. A small tier's answer that broke a rule is worth nothing, and nobody else is asked.
2. The other tier answers, both others if the middle one did; of the small tier's answer, the signs are read.
3. Each is compared with the large tier's, by the large model if it cannot be otherwise, and the scores are reported.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
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
        request_id, decision = request.exchange.request_id, selection.selected.decision
        first: Tier = "small" if decision is None else decision.tier
        if tried.worthless and first == "small":  # what it is worth here is known
            worth = Audited(request_id=request_id, small=0.0, large=1.0, by=tried.why, signs=tried.signs)
            self._audits.judged(audit, worth)
            return
        # An answer that was doubted is asked for anew: of a stream, no more was read than its beginning.
        others = [each for each in audit.models if each != answered and not (tried.worthless and each == first)]
        replies, spent = await self._others(selection, audit, others)
        got = await off_loop(partial(heard.reply, request.endpoint.native, streamed=selection.call.stream))
        signs, small = tried.signs, replies.get("small")
        if small is not None and audit.checks.verifies:
            signs = packed(read_signs(asked.needs.conversation, small))
        replies[answered] = got
        verdicts = {}
        for tier in [each for each in replies if each != "large"]:
            # An answer that the client got, and that cannot be read back here, is no failure of its tier.
            verdicts[tier], cost = (UNREAD, 0) if got is None else await self._verdict(selection, audit, tier, replies)
            spent += cost
        verdict, mid = verdicts["small"], verdicts.get("mid")
        conversation, large = asked.needs.conversation, replies["large"]
        self._audits.judged(
            audit,
            Audited(
                request_id=request_id,
                small=verdict.score,
                mid=0.0 if tried.worthless else None if mid is None else mid.score,
                large=None if verdict.score is None else 1.0,
                by=verdict.by,
                spent_nano=spent,
                signs=signs,
                content=content(conversation, replies["small"], large) if audit.keeps_content else None,
            ),
        )

    async def _others(
        self, selection: Selection, audit: Audit, tiers: Sequence[Tier]
    ) -> tuple[dict[Tier, Reply | None], int]:
        """Returns the answers of the tiers that the client got none of, and what they cost, as far as it is known."""
        request, journal = selection.request, self._recorder.journal
        replies, spent = dict[Tier, Reply | None](), 0
        for number, tier in enumerate(tiers):
            name = f"{request.exchange.request_id}-audit" + f"-{tier}" * bool(number)
            meter = Meter(name, audit.metered_as, request.endpoint.name, time.monotonic(), journal=journal)
            meter.model_asked = audit.models[tier]
            checks = audit.checks if tier == "small" else None
            replies[tier] = await self._asking.ask_aside(selection, audit.models[tier], meter, checks)
            spent += meter.spent_nano or 0
        return replies, spent

    async def _verdict(
        self, selection: Selection, audit: Audit, tier: Tier, replies: Mapping[Tier, Reply | None]
    ) -> tuple[Verdict, int]:
        """Returns the verdict on a tier's answer, and what it cost."""
        reply, large = replies[tier], replies["large"]
        verdict = await off_loop(partial(judge, selection.asked.needs.conversation, reply, large))
        if verdict.is_open and audit.judged_by_model and reply is not None and large is not None:
            return await self._judged_by_model(selection, audit, tier, reply, large)
        return verdict, 0

    async def _judged_by_model(
        self, selection: Selection, audit: Audit, tier: Tier, reply: Reply, large: Reply
    ) -> tuple[Verdict, int]:
        """Returns the verdict of the large model on texts that cannot be compared otherwise, and what it cost, as far
        as its price is known.
        """
        texts = content(selection.asked.needs.conversation, reply, large)
        orders = (texts.small, texts.large), (texts.large, texts.small)
        names = [f"{number}" if tier == "small" else f"{tier}-{number}" for number in range(len(orders))]
        asked = [
            self._preference(selection, audit, name, texts.question, *order)
            for name, order in zip(names, orders, strict=True)
        ]
        (first, cost), (second, more) = await asyncio.gather(*asked)
        return Verdict(judge_model.score(first, second), judge_model.BY_MODEL), (cost or 0) + (more or 0)

    async def _preference(
        self, selection: Selection, audit: Audit, number: str, question: str, one: str, other: str
    ) -> tuple[judge_model.Preference | None, int | None]:
        """Returns the large model's preference, and what it cost."""
        exchange, began = selection.request.exchange, time.monotonic()
        name = f"{exchange.request_id}-judge-{number}"
        meter = Meter(name, audit.metered_as, CHAT.name, began, journal=self._recorder.journal)
        meter.model_asked = audit.models["large"]
        judged = selection.asked
        call = CHAT.decode(judge_model.body(audit.models["large"], question, one, other), {}, "")
        # The judge reads what the client wrote, so it may go only where the client's request may.
        call = with_own(call, structs.replace(call.own, provider=judged.call.own.provider))
        asked = RouteRequest(
            call, judged.key_id, judged.key_name, CHAT.conversation, judged.preferences, of_key=judged.of_key
        )
        judging = selection._replace(request=Request[Api, Call](exchange, CHAT), call=call, asked=asked)
        reply = await self._asking.ask_aside(judging, audit.models["large"], meter)
        said = "" if reply is None else "".join(map(text_of, reply.choices))
        return judge_model.preference(said), meter.spent_nano
