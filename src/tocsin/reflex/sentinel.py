"""The sentinel: rehearses what stands in the pool, and pauses before a demonstrated theft is in a block.

It fires only on harm that a rehearsal has shown, above a rule's threshold; what it can't judge goes to people. What it
fires was armed by people beforehand (`arming`) and prepared (`stops`); here is only the path that must be quick, with
everything that can wait (recording, looking after stops) beside it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from tocsin.connect.ports import Block, BlockTransaction, Execution
from tocsin.connect.reflex_ports import Fired, Gap, MempoolFeed, MempoolTransaction, Rehearser
from tocsin.domain.detections import Detection
from tocsin.domain.errors import TocsinError, Unavailable
from tocsin.domain.hashes import BlockHash, ScriptHash
from tocsin.reflex.stops import Stop, Stops

log = structlog.get_logger(__name__)

CONCURRENT_REHEARSALS_MAX = 64
"""Pending transactions that are judged side by side; further ones wait for a place."""
_NO_BLOCK = BlockHash("0x" + 64 * "0")


class Judge(Protocol):
    """The rules, asked about what is in no block yet."""

    def consider(self, pending: Block) -> Sequence[Detection]:
        """What the rules would detect if this block came next. Nothing is remembered of it."""
        ...

    @property
    def newest(self) -> tuple[int, datetime] | None:
        """Index and time of the newest block that the rules have seen."""
        ...


@dataclass(frozen=True, slots=True)
class Shot:
    """A fired pause: what was seen, what was stopped, what was sent, and how long it took from event to acceptance."""

    transaction: MempoolTransaction
    detection: Detection
    stop: Stop
    fired: Fired
    reaction_ms: float


class Reporter(Protocol):
    """Takes down what the sentinel did and saw. Never on the quick path."""

    async def fired(self, shot: Shot) -> None:
        """A pause was fired and accepted."""
        ...

    async def held_back(self, transaction: MempoolTransaction, detection: Detection, why: str) -> None:
        """A theft stands in the pool and nothing was fired: not armed, observing, over the cap, or the shot failed."""
        ...

    async def not_judged(self, transaction: MempoolTransaction, why: str) -> None:
        """A pending transaction could not be judged."""
        ...


class Sentinel:
    """Watches the pool. `may_fire` says why it must not fire now, or None; `known` accounts are never suspected."""

    def __init__(
        self,
        feed: MempoolFeed,
        rehearser: Rehearser,
        judge: Judge,
        stops: Stops,
        reporter: Reporter,
        may_fire: Callable[[], str | None],
        known: frozenset[ScriptHash],
    ) -> None:
        self._feed, self._rehearser, self._judge, self._stops = feed, rehearser, judge, stops
        self._reporter, self._may_fire, self._known = reporter, may_fire, known
        self._places = asyncio.Semaphore(CONCURRENT_REHEARSALS_MAX)
        self.reactions_ms: list[float] = []
        """From the event to the acceptance of the pause, in milliseconds, a shot each."""

    async def watch(self) -> None:
        """Judges pending transactions as they come; runs until cancelled.

        Raises:
            Unavailable: no endpoint offers its pool; only blocks can be watched then.
        """
        off: Unavailable | None = None
        async with asyncio.TaskGroup() as tasks:
            try:
                async for event in self._feed.events():
                    if isinstance(event, Gap):
                        log.warning("pool_gap", endpoint=event.endpoint, reason=event.reason, detail=event.detail)
                        for missed in await self._pending():
                            await self._take(tasks, missed)
                    else:
                        await self._take(tasks, event)
            except Unavailable as error:
                off = error  # what was seen before is still judged and recorded
        if off is not None:
            raise off

    async def _pending(self) -> Sequence[MempoolTransaction]:
        try:
            return await self._feed.pending()
        except Unavailable as error:
            log.warning("pool_not_read", why=error.message)
            return ()

    async def _take(self, tasks: asyncio.TaskGroup, transaction: MempoolTransaction) -> None:
        if self._known.issuperset(transaction.signers) or self._stops.is_pause(transaction):
            return
        await self._places.acquire()
        judging = tasks.create_task(self._judge_one(tasks, transaction), name=f"judge {transaction.tx}")
        judging.add_done_callback(lambda _: self._places.release())

    async def _judge_one(self, tasks: asyncio.TaskGroup, transaction: MempoolTransaction) -> None:
        try:
            execution = await self._rehearser.rehearse(transaction)
        except Unavailable as error:
            self._later(tasks, self._reporter.not_judged(transaction, error.message))
            return
        detections = self._detections(transaction, execution)
        # What robs several contracts may survive the pause of one: each is answered, and side by side.
        for another in detections[1:]:
            tasks.create_task(self._answer(tasks, transaction, another), name=f"answer {transaction.tx}")
        if detections:
            await self._answer(tasks, transaction, detections[0])

    async def _answer(self, tasks: asyncio.TaskGroup, transaction: MempoolTransaction, detection: Detection) -> None:
        stop = self._stops.for_contract(ScriptHash(str(detection.evidence["contract_hash"])))
        if stop is None:
            self._later(tasks, self._reporter.held_back(transaction, detection, "no pause is configured for it"))
            return
        if self._stops.covers(stop, transaction.bid):
            return
        forbidden = self._may_fire() or self._stops.holds_back(stop)
        if forbidden is not None:
            self._later(tasks, self._reporter.held_back(transaction, detection, forbidden))
            return
        try:
            fired = await self._stops.fire(stop, transaction.bid)
        except TocsinError as error:
            self._later(tasks, self._reporter.held_back(transaction, detection, f"the shot failed: {error.message}"))
            return
        reaction_ms = 1000 * (time.perf_counter() - transaction.heard_at)
        self.reactions_ms.append(reaction_ms)
        self._later(tasks, self._reporter.fired(Shot(transaction, detection, stop, fired, reaction_ms)))

    def _detections(self, transaction: MempoolTransaction, execution: Execution) -> Sequence[Detection]:
        newest = self._judge.newest
        if not execution.halted or newest is None:
            return ()
        height, at = newest
        supposed = BlockTransaction(
            transaction.tx, transaction.sender, transaction.signers, execution.halted, execution.notifications
        )
        return self._judge.consider(Block(height + 1, _NO_BLOCK, at, (supposed,)))

    def _later(self, tasks: asyncio.TaskGroup, work: Awaitable[None]) -> None:
        async def report() -> None:
            try:
                await work
            except TocsinError as error:
                log.error("not_recorded", why=error.message)

        tasks.create_task(report(), name="record")
