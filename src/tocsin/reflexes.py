"""Wires the reflex: its stops and its sentinel, whether people have armed it, and how its shots reach the incidents.

Part of what `app` does. What people arm, and how, is `consent`'s.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import structlog

from tocsin.actions.catalogue import Bound
from tocsin.actions.pause import ContractPause
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.transactions import network_fee_of
from tocsin.connect.ports import Outbox, OutboxEntry, Sent
from tocsin.connect.reflex_ports import FeeBid, MempoolSource, MempoolTransaction
from tocsin.consent import REASON, pause_target, reflex_plan
from tocsin.detect.outflow import OutflowRule, OutflowWatch
from tocsin.domain.actions import Autonomy
from tocsin.domain.amounts import Gas
from tocsin.domain.bundles import PauseTarget
from tocsin.domain.clock import Clock
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Refused, TocsinError, Unavailable
from tocsin.domain.hashes import ScriptHash, account_of, address_of
from tocsin.domain.principals import TOCSIN
from tocsin.incident.events import NoteAdded
from tocsin.platform import pause_ways
from tocsin.reflex.arming import Armament, Armings, SigningKey, armament
from tocsin.reflex.sentinel import Sentinel, Shot
from tocsin.reflex.standing import WRITTEN_EVERY, LastShot, PoolStanding, Standing, StopStanding, write_standing
from tocsin.reflex.stops import KEYS, Readiness, Stop, Stops
from tocsin.respond.approvals import Principals
from tocsin.respond.incidents import Incidents
from tocsin.respond.shots import FiredAction, Shots
from tocsin.settings import Settings

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_SIGNATURES_REMEMBERED = 1_024


@dataclass
class Reflex:
    """The reflex at work in a service."""

    settings: Settings
    chain: NeoChain
    incidents: Incidents
    principals: Principals
    armings: Armings
    outbox: Outbox
    shots: Shots
    watch: OutflowWatch
    rules: Sequence[OutflowRule]
    pause: ContractPause
    clock: Clock
    sentinel: Sentinel | None = None
    stops: Stops | None = None
    armament: Armament | None = None
    fallback: str = ""
    """Why only blocks are watched, empty while the pool is."""
    shots_taken: list[Shot] = field(default_factory=list[Shot])
    _last_shot: LastShot | None = None
    _untold: str = ""
    """Why no incident could be declared, empty while one can."""
    _unjudged_since: tuple[int, int] = (-1, 0)
    """The block since which people know that something can't be judged, and how many more came since then."""

    @property
    def ready(self) -> bool:
        """Whether people have armed it, every stop is prepared, and a pool is being watched."""
        listening = any(source.state == "listening" for source in self.chain.mempool.sources())
        prepared = self.stops is not None and all(s.readiness is Readiness.READY for s in self.stops.status())
        return listening and prepared and self._may_not_fire() is None

    async def run(self) -> None:
        """Prepares the stops and watches the pool, until cancelled. Without a pool to watch it says so."""
        if not self.rules:
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_armament(), name="see who armed the reflex")
                tasks.create_task(self._show(), name="show how the reflex stands")
                tasks.create_task(self._guard(), name="guard")
        finally:
            await self._write(ended=True)

    async def _guard(self) -> None:
        """Prepares the stops, takes up what a service before this one has fired, and watches the pool."""
        stops = Stops(
            await self._prepared_stops(),
            self.chain.armed,
            self.chain.reader,
            self.clock,
            self.settings.reflex.scopes_per_hour,
        )
        self.sentinel = Sentinel(
            self.chain.mempool,
            self.chain.rehearser,
            self.watch,
            stops,
            self,
            self._may_not_fire,
            frozenset(account_of(account) for account in self.settings.reflex.known),
        )
        async with asyncio.TaskGroup() as tasks:
            for entry in await self._unsettled():
                stop = stops.recover(entry.key, _bid_of(entry), await self._height())
                tasks.create_task(self._finish(entry, stop), name=f"finish {entry.key}")
            self.stops = stops
            tending = tasks.create_task(self._tend(stops), name="tend stops")
            try:
                await self.sentinel.watch()
            except Unavailable as error:
                self.fallback = error.message
                log.warning("pool_not_watched", why=error.message, next=error.next_step)
            tending.cancel()

    async def _prepared_stops(self) -> Sequence[Stop]:
        """A stop for each pause that protects a watched contract, the narrow ones first."""
        while True:
            try:
                return await self._make_stops()
            except TocsinError as error:
                log.warning("reflex_not_prepared", why=error.message)
                await asyncio.sleep(_LOOK_S)

    async def _make_stops(self) -> Sequence[Stop]:
        ways = pause_ways(self.settings)
        protects: dict[PauseTarget, set[ScriptHash]] = {}
        for rule in self.rules:
            for contract, name in rule.contracts.items():
                protects.setdefault(pause_target(self.settings, name), set()).add(contract)
        stops: list[Stop] = []
        for target in sorted(protects, key=lambda target: target.app is None):
            given = await self.pause.bind(ways.arguments(target, REASON))
            before = (await self.pause.preflight(given)).before
            stops.append(
                Stop(given.stops, frozenset(protects[target]), given, Bound(self.pause, given).inputs(), before)
            )
        return stops

    async def _unsettled(self) -> Sequence[OutboxEntry]:
        """Shots whose outcome is not known yet: fired by a service that ended before it was."""
        while True:
            try:
                return [entry for entry in await self.outbox.unsettled() if entry.key.startswith(KEYS)]
            except Unavailable as error:
                log.warning("outbox_not_read", why=error.message)
                await asyncio.sleep(_LOOK_S)

    async def _height(self) -> int:
        while True:
            try:
                return await self.chain.reader.height()
            except Unavailable as error:
                log.warning("height_not_read", why=error.message)
                await asyncio.sleep(_LOOK_S)

    async def _tend(self, stops: Stops) -> None:
        """Looks after stock and stops, once a block."""
        seen = -1
        look_s = _LOOK_S
        while True:
            newest = self.watch.newest
            try:
                if newest is not None and newest[0] > seen:
                    await self.watch.take_stock()
                    await stops.tend(newest[0])
                    seen = newest[0]
                look_s = min(_LOOK_S, await self.chain.block_ms() / 4000)
            except Unavailable as error:
                log.warning("reflex_not_tended", why=error.message)
            await asyncio.sleep(look_s)

    async def _keep_armament(self) -> None:
        """Sees whether people have armed the reflex, or disarmed it."""
        plan = reflex_plan(self.settings)
        # A signature stays what it is, and to check one takes a millisecond that a shot may be waiting for.
        signing_key: SigningKey = lru_cache(_SIGNATURES_REMEMBERED)(self.principals.signing_key)
        while True:
            try:
                self.armament = armament(plan, await self.armings.all(), signing_key, self.clock.now())
                await self.incidents.library.accepted()
                self._untold = ""
            except Refused as refused:
                self._untold = f"{refused.message}, so that nobody would be told"
            except Unavailable as error:
                log.warning("armings_not_read", why=error.message)
            await asyncio.sleep(_LOOK_S)

    def _may_not_fire(self) -> str | None:
        if self.settings.mode is Autonomy.OBSERVE:
            return "this installation only observes"
        if self.settings.autonomy.get(self.pause.name) is Autonomy.OBSERVE:
            return f"{self.pause.name} is only observed here"
        if self.armament is None or not self.armament.armed:
            return str(self.armament or "not armed yet")
        assert self.armament.until is not None, "somebody armed it"
        if self.clock.now() >= self.armament.until:
            return "not armed: the consents have expired"
        return self._untold or None

    async def fired(self, shot: Shot) -> None:
        """See `Reporter.fired`."""
        self.shots_taken.append(shot)
        stop, sent = shot.stop, shot.fired
        self._last_shot = LastShot(self.clock.now(), stop.name, shot.transaction.tx, sent.tx, shot.reaction_ms)
        summary = (
            f"pause {stop.pause.stops} before transaction {shot.transaction.tx} is in a block "
            f"({shot.reaction_ms:.1f} ms after it was seen)"
        )
        armed_by = self.armament.armed_by if self.armament is not None else ()
        await self.shots.take(shot.detection, self._fired_action(stop, sent, summary, armed_by))
        await self._settled(sent)

    def _fired_action(self, stop: Stop, sent: Sent, summary: str, armed_by: tuple[str, ...]) -> FiredAction:
        return FiredAction(
            action=self.pause.name,
            summary=summary,
            inputs=stop.inputs,
            # What was paused when the stop was prepared says nothing about the moment of the shot.
            before={**stop.before, "paused": False},
            resources=(f"contract:{stop.pause.call.contract}",),
            outbox_key=sent.key,
            tx=sent.tx,
            armed_by=armed_by,
        )

    async def _finish(self, entry: OutboxEntry, stop: Stop | None) -> None:
        """Brings a shot of an earlier service to its end: it is in an incident, and its outcome in the outbox."""
        try:
            if stop is not None and not await self.shots.taken(entry.key):
                rows = await self.armings.all()
                then = armament(reflex_plan(self.settings), rows, self.principals.signing_key, entry.created_at)
                summary = f"pause {stop.pause.stops}, fired by a service that ended before it could say why"
                await self.shots.take(
                    self._unexplained(entry, stop), self._fired_action(stop, entry.sent, summary, then.armed_by)
                )
        except TocsinError as error:
            log.error("shot_not_recorded", key=entry.key, tx=entry.tx, why=error.message)
        await self._settled(entry.sent)

    def _unexplained(self, entry: OutboxEntry, stop: Stop) -> Detection:
        contract = min(stop.contracts)
        rule = next(rule for rule in self.rules if contract in rule.contracts)
        return Detection(
            id=f"shot:{entry.key}",
            rule=rule.name,
            emergency=rule.emergency,
            symptom=rule.symptom,
            key=f"{rule.emergency}:{contract}",
            summary=f"the reflex fired for {rule.contracts[contract]}: transaction {entry.tx}",
            observed_at=entry.created_at,
            height=None,
            evidence={"tx": entry.tx, "contract_hash": contract},
        )

    async def _settled(self, sent: Sent) -> None:
        """Waits until the outbox has the outcome of a shot, whether or not an incident's run waits for it too."""
        try:
            await self.chain.sender.wait(sent)
        except TocsinError as error:
            log.warning("shot_without_effect", key=sent.key, tx=sent.tx, why=error.message)

    async def held_back(self, transaction: MempoolTransaction, detection: Detection, why: str) -> None:
        """See `Reporter.held_back`: people are told, and the ordinary procedure takes over."""
        incident = await self.incidents.detected(detection)
        stop = self.stops.for_contract(ScriptHash(str(detection.evidence["contract_hash"]))) if self.stops else None
        instead = f"; it would have fired the pause of {stop.name}" if stop is not None else ""
        note = NoteAdded(f"The reflex did not fire against {transaction.tx}: {why}{instead}")
        await self.incidents.record(incident, note, TOCSIN.id, key=f"held-back:{transaction.tx}")

    async def not_judged(self, transaction: MempoolTransaction, why: str) -> None:
        """See `Reporter.not_judged`: nothing is fired at a mere suspicion, but people are told.

        All join one incident, one detection a block: whoever sends many such transactions pages nobody more for it.
        """
        height = self.watch.newest[0] if self.watch.newest is not None else 0
        since, more = self._unjudged_since
        if height <= since:
            self._unjudged_since = (since, more + 1)
            log.warning("not_judged", tx=transaction.tx, why=why)
            return
        self._unjudged_since = (height, 0)
        others = f" (and {more} more since block {since})" if more else ""
        rule = self.rules[0]
        detection = Detection(
            id=f"not-judged:{height}",
            rule="reflex",
            emergency=rule.emergency,
            symptom=rule.symptom,
            key=f"{rule.emergency}:not-judged",
            summary=f"a pending transaction of {address_of(transaction.sender)} can't be judged: {why}{others}",
            observed_at=self.clock.now(),
            height=None,
            evidence={"tx": transaction.tx, "sender": transaction.sender},
        )
        await self.incidents.detected(detection)

    async def _show(self) -> None:
        """Writes down how it stands, for whoever asks from outside."""
        while True:
            await self._write(ended=False)
            await asyncio.sleep(WRITTEN_EVERY.total_seconds())

    async def _write(self, *, ended: bool) -> None:
        try:
            # In a thread: a slow disk must not hold up a shot.
            await asyncio.to_thread(write_standing, self.settings.state, self.standing(ended=ended))
        except OSError as error:
            log.warning("standing_not_written", why=str(error))

    def standing(self, *, ended: bool = False) -> Standing:
        """How it stands now."""
        found, stops = self.armament, self.stops.status() if self.stops is not None else ()
        return Standing(
            at=self.clock.now(),
            ended=ended,
            height=self.watch.newest[0] if self.watch.newest is not None else None,
            armed_by=found.armed_by if found is not None else (),
            armed_until=found.until if found is not None else None,
            held_back=self._may_not_fire(),
            blocks_only=self.fallback,
            pool=tuple(_pool_standing(source) for source in self.chain.mempool.sources()),
            stops=tuple(StopStanding(s.name, s.readiness, s.armed_until, s.problem) for s in stops),
            shots=len(self.shots_taken),
            last_shot=self._last_shot,
        )


def _bid_of(entry: OutboxEntry) -> FeeBid:
    return FeeBid(Gas(network_fee_of(entry.raw)), len(entry.raw))


def _pool_standing(source: MempoolSource) -> PoolStanding:
    return PoolStanding(source.endpoint, source.state, source.suspicion or source.detail)
