"""Runs one child process: starts, watches and drains it, and restarts it with backoff."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Literal

from weebill.process.link import LINK_FD_VARIABLE, ChildLink, LinkClosedError
from weebill.process.messages import Boot, Drain, Failed, FromChild, Ping, Pong, ProcessState, Ready, ToChild
from weebill.process.role import Role
from weebill.supervisor.backoff import Backoff
from weebill.supervisor.heartbeat import Heartbeat, until_idle

log = logging.getLogger(__name__)

State = Literal["starting", "ready", "backoff", "draining", "stopped"]

# The time for reading the last message of a child that has exited.
LAST_WORDS_S = 0.1
STDERR_FD = 2


class Child:
    """A process of `role`, kept alive from `start` until `stop`.

    `boot` makes the first message for each life, and `fds` are the descriptors it inherits besides its link.
    `on_change` is called after each change of state, `on_message` with what it says that is not about its life, and
    `on_end` after each life.
    `silence_s` returns the time after which it is killed for an unanswered Ping; 0 for no limit, and then it may be
    idle while it starts, too.
    """

    def __init__(
        self,
        name: str,
        role: Role,
        boot: Callable[[], Boot],
        on_change: Callable[[], None],
        silence_s: Callable[[], float],
        fds: tuple[int, ...] = (),
        on_message: Callable[[FromChild], None] = lambda message: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.role = role
        self.ready: Ready | None = None
        self.failure = ""
        self.failed_starts = 0
        """The lives that have ended before it was ready, since it last was."""
        self._boot = boot
        self._on_change = on_change
        self._on_message = on_message
        self._on_end = on_end
        self._fds = fds
        self._silence_s = silence_s
        self._heartbeat: Heartbeat | None = None
        self._told_of_end = False
        self._serves = False
        self._backoff = Backoff(role.first_backoff_s, role.longest_backoff_s)
        self._state: State = "stopped"
        self._restarts = 0
        self._started_at: float | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._link: ChildLink | None = None
        self._task: asyncio.Task[None] | None = None
        self._became_ready = asyncio.Event()
        self._settled = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()

    def start(self) -> None:
        """Begins to keep the process alive."""
        self._task = asyncio.create_task(self._keep_alive(), name=f"supervise {self.name}")

    @property
    def answers(self) -> bool:
        """True if it is ready and not late with an answer."""
        return self.ready is not None and (self._heartbeat is None or not self._heartbeat.doubtful)

    @property
    def serves(self) -> bool:
        """True if it is a worker whose last answer says that requests can be served."""
        return self._serves and self.answers

    async def settled(self) -> None:
        """Waits until the first start has succeeded or failed."""
        await self._settled.wait()

    def snapshot(self) -> ProcessState:
        """Returns the child's state for status pages."""
        return ProcessState(
            name=self.name,
            role=self.role.name,
            pid=self._process.pid if self._process else None,
            state=self._state,
            restarts=self._restarts,
            started_at=self._started_at,
        )

    def send(self, message: ToChild) -> None:
        """Sends a message to a child that has had its Boot; one that is not running gets the state in its next Boot."""
        if self._link is not None:
            self._link.send(message)

    def tell(self, message: ToChild) -> None:
        """Sends a message to a child whose role follows such messages."""
        if type(message) in self.role.follows:
            self.send(message)

    async def caught_up(self) -> None:
        """Waits until the child, if it is ready, has handled all that it was told by now."""
        if self._heartbeat is not None:
            await self._heartbeat.caught_up()

    async def stop(self, grace_s: float) -> None:
        """Ends the process for good: asks it to drain, and kills it after `grace_s` and a margin."""
        if self._task is None:
            return
        self._stopping.set()
        if self._state == "ready":
            self._set_state("draining")
            self.send(Drain(grace_s=grace_s))
        elif self._link is not None:
            # It has no work under way, and would read a Drain only at the end of its start.
            self._link.close()
            grace_s = 0.0
        if not await self._ends_within(grace_s + self.role.exit_margin_s):
            self._kill("did not finish in time")
        await self._task

    def hurry(self) -> None:
        """Cuts a drain short, and unfinished work with it."""
        self._hurried.set()

    async def _ends_within(self, limit_s: float) -> bool:
        assert self._task is not None  # noqa: S101 - stop() has looked
        hurried = asyncio.create_task(self._hurried.wait())
        await asyncio.wait({self._task, hurried}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if self._hurried.is_set() and not self._task.done():
            self.send(Drain(grace_s=0.0))
            await asyncio.wait({self._task}, timeout=self.role.exit_margin_s)
        return self._task.done()

    async def _keep_alive(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            was_ready = await self._live()
            self.failed_starts = 0 if was_ready else self.failed_starts + 1
            self._settled.set()
            if self._stopping.is_set():
                break
            self._restarts += 1
            wait_s = self._backoff.after(time.monotonic() - began)
            self._set_state("backoff")
            # A crash loop would fill the log: only the first failed start and the end of a good life are logged.
            news = (was_ready or self._restarts == 1) and not self._told_of_end
            level = logging.WARNING if news else logging.DEBUG
            log.log(level, "%s is down; restarting in %.2f s", self.name, wait_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)
        self._set_state("stopped")

    async def _live(self) -> bool:
        """Runs the process once; returns True if it became ready."""
        link, theirs = ChildLink.pair()
        self._became_ready.clear()
        self._told_of_end = False
        try:
            with theirs:
                self._process = await self._spawn(theirs.fileno())
            self._started_at = time.time()
            await link.connect()
        except OSError as error:
            link.close()
            self._fail(f"cannot be started: {error}")
            return False
        self._link = link
        if self._stopping.is_set():
            # stop() was called before there was a link to close.
            link.close()
        else:
            link.send(self._boot())
            self._set_state("starting")
        exited = asyncio.create_task(self._process.wait())
        heard = asyncio.create_task(self._listen(link))
        ready = asyncio.create_task(self._became_ready.wait())
        idle = asyncio.create_task(until_idle(self._process.pid, self.role.start_idle_s if self._silence_s() else inf))
        silent = asyncio.create_task(self._watch())
        try:
            done, _ = await asyncio.wait(
                {exited, heard, ready, idle}, timeout=self.role.start_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            idle.cancel()
            if not done:
                self._give_up(f"was not ready within {self.role.start_timeout_s:g} s")
            elif done == {idle}:
                self._give_up(f"has done nothing for {self.role.start_idle_s:g} s and is not ready")
            elif ready in done:
                await asyncio.wait({exited, heard, silent}, return_when=asyncio.FIRST_COMPLETED)
            # Reads the child's last messages, marks it as down, and makes sure that it is gone.
            await asyncio.wait({heard}, timeout=LAST_WORDS_S)
            self.ready = None
            self._on_change()
            link.close()
            await asyncio.wait({exited}, timeout=self.role.exit_margin_s)
            if not exited.done():
                self._kill("did not exit after its link had closed")
            await exited
        finally:
            for task in (heard, ready, exited, idle, silent):
                task.cancel()
            self._end_life(link)
        return self._became_ready.is_set()

    async def _watch(self) -> None:
        """Kills the child if it is ready and does not answer."""
        await self._became_ready.wait()
        process = self._process
        assert process is not None  # noqa: S101 - what is ready runs
        self._heartbeat = Heartbeat(process.pid, lambda: self.send(Ping()), self._patience_s, self._on_change)
        silent_s = await self._heartbeat.until_silent()
        if process.returncode is None:
            self._give_up(f"has not answered for {silent_s:.0f} s")

    def _patience_s(self) -> float:
        # A draining child is limited by its grace instead.
        return 0.0 if self._stopping.is_set() else self._silence_s()

    async def _spawn(self, link_fd: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.role.command,
            stdin=asyncio.subprocess.DEVNULL,
            # Text that a library prints must not mix with the output of `weebill serve`.
            stdout=STDERR_FD,
            pass_fds=(link_fd, *self._fds),
            # A Ctrl-C on the terminal is for the supervisor, which then drains in order.
            start_new_session=True,
            env={**os.environ, LINK_FD_VARIABLE: str(link_fd)},
        )

    async def _listen(self, link: ChildLink) -> None:
        try:
            async for message in link:
                self._hear(message)
        except LinkClosedError as error:
            self._fail(f"broke its link: {error}")

    def _hear(self, message: FromChild) -> None:
        match message:
            case Pong():
                if self._heartbeat is not None:
                    self._heartbeat.answer()
                if message.ready != self._serves:
                    self._serves = message.ready
                    self._on_change()
            case Ready():
                self.ready = message
                self.failure = ""
                self._became_ready.set()
                self._settled.set()
                if not self._stopping.is_set():
                    self._set_state("ready")
            case Failed():
                self._fail(message.message)
            case _:
                self._on_message(message)

    def _fail(self, message: str) -> None:
        # The same failure is reported once.
        if message != self.failure:
            log.error("%s: %s", self.name, message)
        self.failure = message

    def _give_up(self, reason: str) -> None:
        """Kills a child that does not work as it should; its work under way survives that."""
        self._told_of_end = True
        self._fail(f"{reason}; killing it, to start it again")
        assert self._process is not None  # noqa: S101 - it is this life's
        with suppress(ProcessLookupError):
            self._process.kill()

    def _kill(self, reason: str) -> None:
        if self._process is not None and self._process.returncode is None:
            log.warning("%s %s; killing it", self.name, reason)
            with suppress(ProcessLookupError):
                self._process.kill()

    def _end_life(self, link: ChildLink) -> None:
        link.close()
        self._link = None
        if self._heartbeat is not None:
            self._heartbeat.close()
        self._heartbeat = None
        self._serves = False
        process, self._process = self._process, None
        self._started_at = None
        if process is not None and process.returncode and not self.failure:
            self._fail(_exit_reason(process.returncode, self.role))
        self._on_end()

    def _set_state(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._on_change()


def _exit_reason(code: int, role: Role) -> str:
    if code >= 0:
        return f"exited with status {code}"
    return dict(role.death_by_signal).get(-code, f"was killed by signal {-code}")
