"""Puts prompts to `auto` of a Weebill that is configured with nothing but one provider's key. It keeps the texts of
audits, too, so that their scores can be compared with the keys; that changes nothing else.

One prompt at a time; the next one is asked once the audit of the last is over, as where requests come no faster than
the local model can be audited.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bench.contenders import weebill_key, weebill_program
from bench.everyday.ask import Reply, ask
from bench.everyday.items import Item
from bench.everyday.large import Large, is_right, serving, tokens
from bench.proc import BenchError, Service, free_port
from weebill.catalog.load import load
from weebill.config.auto import AUTO
from weebill.config.schema import Settings
from weebill.factory.checkers import Answer
from weebill.models.pull import pull
from weebill.models.store import ModelStore

PROVIDER: Final = "openai"
_CONFIG: Final = """\
[server]
port = {port}

[providers.openai]
base_url = "http://127.0.0.1:{large}/v1"
api_key = "sk-emulated"

[auto.outcomes]
keep_content = true
"""
_START_S: Final = 180.0
_AUDIT_S: Final = 300.0
_DECIDED_S: Final = 5.0
_RECORDS_S: Final = 30.0
_POLL_S: Final = 0.1
_PER_RATE: Final = 1000  # tokens that a price is for
_LOCAL: Final = "local"
_CANNOT: Final = "cannot "
_OUTSTANDING: Final = """SELECT count(*) FROM decisions WHERE audited AND NOT EXISTS (
    SELECT 1 FROM outcomes WHERE outcomes.request_id = decisions.request_id AND source = 'audit')"""
_USAGE: Final = "SELECT request_id, upstream, total_us, cost_nano FROM usage"
_AUDITED: Final = """SELECT request_id, outcomes.small, judged_by, contents.small
    FROM outcomes LEFT JOIN contents ON outcome = number WHERE source = 'audit'"""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt's answer: `tier` gave it, for the reason `why`; `check` is what a small answer failed before.

    `first_ms` is the time to the first text of a stream. `large_nano` is what the large tier alone would have cost.
    """

    item: str
    kind: str
    part: str
    request_id: str
    tier: str
    why: str
    check: str
    right: bool
    first_ms: float | None
    total_ms: float
    large_nano: int
    said: str

    @property
    def learns(self) -> bool:
        """True if what was learnt decided: no rule, and no ability that the small model lacks."""
        return not self.why.startswith(_CANNOT)


class Quality(msgspec.Struct, frozen=True):
    """A share of the large model's quality, with its interval."""

    value: float
    low: float
    high: float


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of `weebill auto status`."""

    decisions: int
    audits: int
    unjudged: int
    quality: Quality | None
    large_share: float
    spend: float | None
    audits_spend: float | None
    threshold: float | None


class Scored(msgspec.Struct, frozen=True):
    """The score of a small answer by an audit, None if it could not be told, and the way the answers were compared.

    `right` is the truth by the key, None without the answer's text.
    """

    small: float | None
    by: str
    right: bool | None


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """A row of prompts, in their order. `told` is the standing after the last one.

    `spent_nano` is what the answers cost, `audits_nano` what their audits did; `audited` are scores by request, and
    `small_ms` the times that small answers took for audits, to their end.
    """

    name: str
    seen: list[Seen]
    seconds: float
    told: Told | None
    spent_nano: int
    audits_nano: int
    audited: dict[str, Scored]
    small_ms: list[float]


class Everyday(msgspec.Struct, frozen=True, kw_only=True):
    """All passes, and how often the large tier was asked for what."""

    small: str
    large: str
    seed: int
    passes: list[Pass]
    asked_large: dict[str, int]


def everyday(
    drawn: Mapping[str, Sequence[Item]], seed: int, models: Path, home: Path | None, tick: Callable[[Seen], None]
) -> Everyday:
    """Asks all prompts, pass by pass; `tick` gets each answer. Stops all it started. Raises BenchError, ModelError or
    OSError.

    `home` is the folder of the installation, a temporary one if None.
    """
    if home is not None and home.exists() and any(home.iterdir()):
        raise BenchError(f"{home} is not empty: what was learnt there would count")
    small = Settings().local.models[0]
    pull(ModelStore(models), small)
    large = Large([item for items in drawn.values() for item in items])
    with ExitStack() as stack:
        folder = home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weebill-everyday-")))
        weebill = stack.enter_context(_serving(folder, models, stack.enter_context(serving(large))))
        passes = [weebill.asked(name, items, tick) for name, items in drawn.items()]
        return Everyday(small=small, large=weebill.large, seed=seed, passes=passes, asked_large=dict(large.counts))


@contextmanager
def _serving(folder: Path, models: Path, large: int) -> Iterator[_Weebill]:
    port = free_port()
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "weebill.toml").write_text(_CONFIG.format(port=port, large=large))
    key = weebill_key(folder)
    env = {"WEEBILL_HOME": str(folder), "WEEBILL_LOCAL_MODELS_DIR": str(models)}
    service = Service([weebill_program(), "serve"], log=folder / "serve.log", env=env)
    try:
        weebill = _Weebill(folder, port, key, service)
        weebill.wait_until_ready()
        yield weebill
    finally:
        service.stop()


class _Weebill:
    def __init__(self, home: Path, port: int, key: str, service: Service) -> None:
        self._home = home
        self._port = port
        self._key = key
        self._service = service
        self._store = home / "outcomes.sqlite3"
        self.large = ""

    def wait_until_ready(self) -> None:
        """Waits for all models, and finds out which is the large one."""
        self._until(self._is_ready, _START_S, "weebill is not ready")
        self.large = self._said("config", "show").partition(f'large = "{PROVIDER}/')[2].partition('"')[0]
        if not self.large:
            raise BenchError("`auto` has no large tier: the catalogue names no flagship")

    def asked(self, name: str, items: Sequence[Item], tick: Callable[[Seen], None]) -> Pass:
        """Asks the prompts of a pass, and waits for its audits."""
        began, seen = time.monotonic(), []
        for item in items:
            self._service.check()
            found = self._seen(item, ask(self._port, self._key, item))
            seen.append(found)
            tick(found)
            if found.learns:
                self._wait_for_audit(found.request_id)
        asked = {each.request_id: item for each, item in zip(seen, items, strict=True)}
        usage = self._usage(asked)
        audits = [each for each in usage if each.request_id not in asked]
        return Pass(
            name=name,
            seen=seen,
            seconds=time.monotonic() - began,
            told=msgspec.json.decode(self._said("auto", "status", "--json"), type=dict[str, Told]).get(AUTO),
            spent_nano=sum(each.nano or 0 for each in usage if each.request_id in asked),
            audits_nano=sum(each.nano or 0 for each in audits),
            audited=self._audited(asked),
            small_ms=[each.total_us / 1000 for each in audits if each.upstream == _LOCAL],
        )

    def _seen(self, item: Item, reply: Reply) -> Seen:
        routed = reply.routed
        by_large = reply.answer == item.answer and routed.tier == "large"
        return Seen(
            item=item.id,
            kind=item.kind,
            part=item.part,
            request_id=reply.request_id,
            tier=routed.tier,
            why=routed.why,
            check=routed.check,
            right=by_large or is_right(item, reply.answer),
            first_ms=None if reply.first_s is None else 1000 * reply.first_s,
            total_ms=1000 * reply.total_s,
            large_nano=_price(self.large, *tokens(item)),
            said="" if by_large else reply.answer.text,
        )

    def _wait_for_audit(self, request_id: str) -> None:
        """Waits until the learner knows of a request, and until no audit is under way."""
        known = f"SELECT count(*) FROM decisions WHERE request_id = '{request_id}'"
        self._until(lambda: self._count(known), _DECIDED_S, "")
        self._until(lambda: not self._count(_OUTSTANDING), _AUDIT_S, "")

    def _usage(self, asked: Collection[str]) -> list[_Usage]:
        """Returns the usage records of these requests, and of their audits."""

        def recorded() -> list[_Usage]:
            return [each for each in _rows(self._home / "weebill.db", _USAGE, _Usage) if each.of in asked]

        missing = "usage records are missing"
        self._until(lambda: len(asked) <= len({each.of for each in recorded()}), _RECORDS_S, missing)
        return recorded()

    def _audited(self, items: Mapping[str, Item]) -> dict[str, Scored]:
        """Returns the audits of these requests."""
        return {
            each.request_id: Scored(
                each.small, each.by, is_right(item, Answer(each.text)) if each.text and not item.tools else None
            )
            for each in _rows(self._store, _AUDITED, _Audited)
            if (item := items.get(each.request_id)) is not None
        }

    def _until(self, condition: Callable[[], object], seconds: float, problem: str) -> None:
        """Waits for a condition. Raises BenchError if it does not come true in time, unless `problem` is empty."""
        until = time.monotonic() + seconds
        while not condition():
            self._service.check()
            if time.monotonic() > until:
                if problem:
                    raise BenchError(f"{problem} after {seconds:.0f} s: {self._service.log_end()}")
                return
            time.sleep(_POLL_S)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=2) as response:
                return all(msgspec.json.decode(response.read(), type=_Ready).models.values())
        except OSError:
            return False

    def _said(self, *arguments: str) -> str:
        """Returns what a `weebill` command prints. Raises BenchError."""
        env = os.environ | {"WEEBILL_HOME": str(self._home)}
        command = [weebill_program(), *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise BenchError(f"weebill {' '.join(arguments)} failed: {done.stderr.strip()[-300:]}")
        return done.stdout

    def _count(self, query: str) -> int:
        return _rows(self._store, query, _Count)[0].count if self._store.exists() else 0


class _Ready(msgspec.Struct):
    models: dict[str, bool]


class _Count(msgspec.Struct, array_like=True):
    count: int


class _Usage(msgspec.Struct, array_like=True):
    request_id: str
    upstream: str
    total_us: int
    nano: int | None

    @property
    def of(self) -> str:
        """The request that an audit is of, or its own."""
        return self.request_id.partition("-")[0]


class _Audited(msgspec.Struct, array_like=True):
    request_id: str
    small: float | None
    by: str
    text: str | None


_Row = TypeVar("_Row")


def _rows(store: Path, query: str, of: type[_Row]) -> list[_Row]:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30)) as connection:
        found = connection.execute(query).fetchall()
    return msgspec.convert(found, type=list[of])  # type: ignore[valid-type]


def _price(model: str, into: int, out: int) -> int:
    """Returns the nano-dollars of an answer, by the catalogue."""
    found = load().served(PROVIDER, model)
    price = None if found is None else found[1].price
    if price is None:
        raise BenchError(f"the catalogue has no price of {PROVIDER}/{model}")
    return (into * price.input + out * price.output) // _PER_RATE
