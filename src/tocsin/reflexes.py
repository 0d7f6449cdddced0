"""Wires the reflex: what it would do, whether people have armed it, and how its shots reach the incidents.

Part of what `app` does. The plan that people arm is made of the configuration alone, so `tocsin arm` needs no server.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from tocsin.actions.catalogue import Bound
from tocsin.actions.pause import ContractPause
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.reflex_ports import MempoolTransaction
from tocsin.detect.outflow import OutflowRule, OutflowWatch
from tocsin.domain.actions import Autonomy
from tocsin.domain.bundles import PauseTarget
from tocsin.domain.canonical import Json
from tocsin.domain.clock import Clock
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Refused, TocsinError, Unavailable
from tocsin.domain.hashes import ScriptHash, account_of, address_of
from tocsin.domain.principals import TOCSIN
from tocsin.incident.events import NoteAdded
from tocsin.platform import pause_ways
from tocsin.reflex.arming import (
    ARMED_FOR_DEFAULT,
    ARMED_FOR_MAX,
    Armament,
    ArmingRow,
    Armings,
    ReflexPlan,
    armament,
    arming_message,
)
from tocsin.reflex.sentinel import Sentinel, Shot
from tocsin.reflex.stops import Readiness, Stop, Stops
from tocsin.respond.approvals import Principals, SignMessage
from tocsin.respond.incidents import Incidents
from tocsin.respond.shots import FiredAction, Shots
from tocsin.settings import Settings

log = structlog.get_logger(__name__)

REASON = "Tocsin reflex"
"""The reason that a fired pause gives on the chain."""
_LOOK_S = 1.0


def reflex_plan(settings: Settings) -> ReflexPlan:
    """What people arm: the rules, the pause of each watched contract, and the limits, as the configuration has them."""
    ways = pause_ways(settings)
    watched = sorted({name for rule in settings.rules for name in rule.contracts})
    pauses = [f"{name}: {_call_in_words(ways.arguments(_target(settings, name), REASON))}" for name in watched]
    rules = [
        f"{rule.name}: {rule.condition} within {rule.window:g} s, on {', '.join(rule.contracts)}, "
        f"known recipients {', '.join(rule.known_recipients) or 'none'}"
        for rule in settings.rules
    ]
    return ReflexPlan(
        magic=settings.network.magic,
        rules=tuple(rules),
        pauses=tuple(pauses),
        network_fee_max=settings.network.network_fee_max,
        scopes_per_hour=settings.reflex.scopes_per_hour,
        approvals_needed=settings.reflex.approvals,
    )


async def arm(
    settings: Settings,
    armings: Armings,
    principal: str,
    sign: SignMessage,
    now: datetime,
    lasts: timedelta = ARMED_FOR_DEFAULT,
) -> ReflexPlan:
    """Records a person's signed consent to the reflex as it is configured now, for `lasts` from now.

    Raises:
        Refused: there is nothing to arm, or the time is longer than people may consent ahead.
        ConfigurationInvalid: it is not clear how to pause what a rule watches.
    """
    if not timedelta() < lasts <= ARMED_FOR_MAX:
        raise Refused(
            "arming-too-long",
            f"a reflex is armed for more than nothing and at most {ARMED_FOR_MAX.days} days",
            next_step="arm it for a shorter time, and again before that is over",
        )
    plan = reflex_plan(settings)
    if not plan.rules:
        raise Refused("nothing-to-arm", "the configuration has no rule", next_step="add a [[rules]] entry")
    expires = now + lasts
    signature = sign(arming_message(plan.hash, expires))
    await armings.append(ArmingRow(principal, now, plan.hash, expires, signature, ""))
    return plan


async def current_armament(settings: Settings, armings: Armings, principals: Principals, clock: Clock) -> Armament:
    """Whether people have armed the reflex as it is configured now."""
    return armament(reflex_plan(settings), await armings.all(), principals.has_signed, clock.now())


@dataclass
class Reflex:
    """The reflex at work in a service."""

    settings: Settings
    chain: NeoChain
    incidents: Incidents
    principals: Principals
    armings: Armings
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

    @property
    def ready(self) -> bool:
        """Whether people have armed it, every stop is prepared, and a pool is being watched."""
        listening = any(source.state == "listening" for source in self.chain.mempool.sources())
        prepared = self.stops is not None and all(s.readiness is Readiness.READY for s in self.stops.status())
        return listening and prepared and self._may_not_fire() is None

    async def run(self) -> None:
        """Prepares the stops and watches the pool, until cancelled. Without a pool to watch it says so and ends."""
        if not self.rules:
            return
        self.stops = Stops(
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
            self.stops,
            self,
            self._may_not_fire,
            frozenset(account_of(account) for account in self.settings.reflex.known),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tend(self.stops), name="tend stops")
                tasks.create_task(self.sentinel.watch(), name="watch the pool")
        except* Unavailable as errors:
            self.fallback = str(errors.exceptions[0])
            log.warning("pool_not_watched", why=self.fallback)

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
                protects.setdefault(_target(self.settings, name), set()).add(contract)
        stops: list[Stop] = []
        for target in sorted(protects, key=lambda target: target.app is None):
            given = await self.pause.bind(ways.arguments(target, REASON))
            before = (await self.pause.preflight(given)).before
            stops.append(
                Stop(given.stops, frozenset(protects[target]), given, Bound(self.pause, given).inputs(), before)
            )
        return stops

    async def _tend(self, stops: Stops) -> None:
        """Once a block: stock, stops, and whether people have armed the reflex."""
        seen = -1
        while True:
            newest = self.watch.newest
            if newest is not None and newest[0] > seen:
                seen = newest[0]
                try:
                    await self.watch.take_stock()
                except Unavailable as error:
                    log.warning("stock_not_taken", why=error.message)
                await stops.tend(seen)
            self.armament = await current_armament(self.settings, self.armings, self.principals, self.clock)
            await asyncio.sleep(min(_LOOK_S, await self.chain.block_ms() / 4000))

    def _may_not_fire(self) -> str | None:
        if self.settings.mode is Autonomy.OBSERVE:
            return "this installation only observes"
        if self.armament is None or not self.armament.armed:
            return str(self.armament or "not armed yet")
        return None

    async def fired(self, shot: Shot) -> None:
        """See `Reporter.fired`."""
        self.shots_taken.append(shot)
        assert self.armament is not None
        stop = shot.stop
        await self.shots.take(
            shot.detection,
            FiredAction(
                action=self.pause.name,
                summary=f"pause {stop.pause.stops} before transaction {shot.transaction.tx} is in a block "
                f"({shot.reaction_ms:.1f} ms after it was seen)",
                inputs=stop.inputs,
                before=stop.before,
                resources=(f"contract:{stop.pause.call.contract}",),
                outbox_key=shot.fired.key,
                tx=shot.fired.tx,
                armed_by=self.armament.armed_by,
            ),
        )

    async def held_back(self, transaction: MempoolTransaction, detection: Detection, why: str) -> None:
        """See `Reporter.held_back`: people are told, and the ordinary procedure takes over."""
        incident = await self.incidents.detected(detection)
        note = NoteAdded(f"The reflex did not fire against {transaction.tx}: {why}")
        await self.incidents.record(incident, note, TOCSIN.id, key=f"held-back:{transaction.tx}")

    async def not_judged(self, transaction: MempoolTransaction, why: str) -> None:
        """See `Reporter.not_judged`: nothing is fired at a mere suspicion, but people are told; all join one incident."""
        rule = self.rules[0]
        detection = Detection(
            id=f"not-judged:{transaction.tx}",
            rule="reflex",
            emergency=rule.emergency,
            symptom=rule.symptom,
            key=f"{rule.emergency}:not-judged",
            summary=f"transaction {transaction.tx} of {address_of(transaction.sender)} can't be judged in the pool: {why}",
            observed_at=self.clock.now(),
            height=None,
            evidence={"tx": transaction.tx, "sender": transaction.sender},
        )
        await self.incidents.detected(detection)


def _target(settings: Settings, contract: str) -> PauseTarget:
    entry = settings.contracts.get(contract)
    return PauseTarget(entry.app if entry else None)


def _call_in_words(arguments: Mapping[str, Json]) -> str:
    texts = arguments["args"]
    assert isinstance(texts, Sequence), "PauseWays gives a list"
    return f"{arguments['contract']}.{arguments['method']}({', '.join(str(text) for text in texts)})"
