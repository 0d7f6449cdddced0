"""The prepared pauses, a *stop* each: renewed before they expire, fired once, and looked after until people resume.

A stop that was fired and holds is left alone; one that people resumed is ready again. While a fired pause still waits
for its block, an attack that pays more is answered by a pause that pays more still. The hourly cap limits how many
*new* stops may be fired; it never keeps a stop from being fired again for a contract that stands open.
"""

import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from tocsin.actions.contract import is_true
from tocsin.actions.pause import PauseInput
from tocsin.connect.ports import ChainReader
from tocsin.connect.reflex_ports import ArmedCall, ArmedSender, FeeBid, Fired, MempoolTransaction
from tocsin.domain.canonical import Json
from tocsin.domain.clock import Clock
from tocsin.domain.errors import OutcomeUnknown, Refused, TocsinError, Unavailable
from tocsin.domain.hashes import ScriptHash

log = structlog.get_logger(__name__)

RENEW_BLOCKS_AHEAD = 10
RAISES_MAX = 8
"""How often a pause that waits for its block may be raised above a dearer attack."""
UNSEEN_BLOCKS_MAX = 3
"""Blocks after which a fired pause that nobody reads as paused counts as missed."""
KEYS = "reflex/"
"""What the outbox keys of all shots begin with."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Stop:
    """A pause that is prepared: the input of `contract.pause`, and the contracts for whose sake it is fired.

    `before` is what its preflight saw, for the effect probe of the verification.
    """

    name: str
    contracts: frozenset[ScriptHash]
    pause: PauseInput
    inputs: Mapping[str, Json]
    before: Mapping[str, Json]


class Readiness(StrEnum):
    PREPARING = "preparing"
    READY = "ready"
    FIRED = "fired"
    HOLDING = "holding"


@dataclass(slots=True)
class _State:
    readiness: Readiness = Readiness.PREPARING
    armed: ArmedCall | None = None
    keys: list[str] = field(default_factory=list[str])
    best_bid: FeeBid | None = None
    fired_at: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StopStatus:
    """How a stop stands, for people. `armed_until` is the block before which its preparation is renewed."""

    name: str
    readiness: Readiness
    armed_until: int | None
    problem: str


class Stops:
    """All stops of an installation."""

    def __init__(
        self, stops: Sequence[Stop], sender: ArmedSender, reader: ChainReader, clock: Clock, scopes_per_hour: int
    ) -> None:
        self._stops = tuple(stops)
        self._sender, self._reader, self._clock, self._scopes_per_hour = sender, reader, clock, scopes_per_hour
        self._states = {stop.name: _State() for stop in stops}
        self._new_scopes: deque[tuple[datetime, str]] = deque()
        self._height = 0

    def for_contract(self, contract: ScriptHash) -> Stop | None:
        """The first stop that protects the contract: the narrowest stands first in the configuration."""
        return next((stop for stop in self._stops if contract in stop.contracts), None)

    def status(self) -> Sequence[StopStatus]:
        """How every stop stands."""
        return [
            StopStatus(name, s.readiness, s.armed.armed_until if s.armed else None, s.problem)
            for name, s in self._states.items()
        ]

    def is_pause(self, transaction: MempoolTransaction) -> bool:
        """Whether it does exactly what a stop does, as our own shots do when they come back from the pools."""
        return any(
            state.armed is not None and state.armed.script == transaction.script for state in self._states.values()
        )

    def covers(self, stop: Stop, bid: FeeBid) -> bool:
        """Whether an attack with this bid is answered: a pause that pays more is on its way.

        A stop that holds does not count: where a rehearsal shows harm all the same, it was resumed since the last look.
        """
        state = self._states[stop.name]
        on_its_way = state.readiness is Readiness.FIRED and state.best_bid is not None
        return on_its_way and not _dearer(bid, state.best_bid or bid)

    def holds_back(self, stop: Stop) -> str | None:
        """Why this stop must not be fired now; None if it may."""
        state = self._states[stop.name]
        if state.armed is None:
            return f"the pause of {stop.name} is not prepared: {state.problem or 'starting'}"
        if state.readiness is Readiness.FIRED:
            raised = len(state.keys) >= RAISES_MAX
            return f"the pause of {stop.name} was raised {RAISES_MAX} times already" if raised else None
        recent = self._recent_scopes()
        if stop.name not in recent and len(recent) >= self._scopes_per_hour:
            return f"{len(recent)} other pauses were fired within the hour, which is the cap"
        return None

    async def fire(self, stop: Stop, bid: FeeBid) -> Fired:
        """Fires the stop above the bid. Only after `holds_back` said None, in the same turn of the event loop.

        Raises:
            Refused, OutcomeUnknown: as `ArmedSender.fire`.
        """
        state = self._states[stop.name]
        assert state.armed is not None, "holds_back was asked"
        key = f"{_prefix(stop)}/{secrets.token_hex(8)}"
        size = state.armed.size
        state.readiness, state.fired_at = Readiness.FIRED, self._height
        state.keys.append(key)
        state.best_bid = FeeBid(bid.beaten_by(size), size)
        self._new_scopes.append((self._clock.now(), stop.name))
        try:
            fired = await self._sender.fire(key, state.armed, above=bid)
        except Refused:
            self._ready_again(state)  # nothing is on its way
            raise
        except OutcomeUnknown as unknown:
            # Every endpoint said no. Should one have kept it all the same, two pauses do no more than one.
            if unknown.code == "transaction-refused":
                self._ready_again(state)
            raise
        state.best_bid = FeeBid(fired.network_fee, size)
        return fired

    def recover(self, key: str, bid: FeeBid, height: int) -> Stop | None:
        """Takes up a shot that was fired before a restart and still waits for its block; returns its stop.

        None if the key is no shot's, or its stop is not configured any more.
        """
        stop = next((each for each in self._stops if key.rpartition("/")[0] == _prefix(each)), None)
        if stop is not None:
            state = self._states[stop.name]
            state.readiness, state.fired_at = Readiness.FIRED, height
            state.keys.append(key)
            if state.best_bid is None or _dearer(bid, state.best_bid):
                state.best_bid = bid
            self._new_scopes.append((self._clock.now(), stop.name))
        return stop

    async def tend(self, height: int) -> None:
        """Prepares and renews stops, and sees what became of those that were fired; call it once a block."""
        self._height = height
        for stop in self._stops:
            state = self._states[stop.name]
            try:
                await self._prepare(stop, state, height)
                await self._look_after(stop, state, height)
            except TocsinError as error:
                if state.problem != error.message:
                    log.warning("stop_not_tended", stop=stop.name, why=error.message)
                state.problem = error.message

    async def _prepare(self, stop: Stop, state: _State, height: int) -> None:
        if state.armed is None:
            state.armed = await self._sender.arm([stop.pause.call.invocation()], purpose="pause")
            state.problem = ""
            if state.readiness is Readiness.PREPARING:
                state.readiness = Readiness.READY
        elif height >= state.armed.armed_until - RENEW_BLOCKS_AHEAD:
            state.armed = await self._sender.rearm(state.armed)
            state.problem = ""

    async def _look_after(self, stop: Stop, state: _State, height: int) -> None:
        if state.readiness is Readiness.PREPARING:
            return
        paused = await self._is_paused(stop, height)
        if paused:
            state.readiness = Readiness.HOLDING
        elif state.readiness is Readiness.HOLDING:
            log.info("resumed", stop=stop.name)
            self._ready_again(state)
        elif state.readiness is Readiness.FIRED and height > state.fired_at + UNSEEN_BLOCKS_MAX:
            log.warning("shot_missed", stop=stop.name)
            self._ready_again(state)

    def _ready_again(self, state: _State) -> None:
        state.readiness, state.best_bid = Readiness.READY, None
        state.keys.clear()

    async def _is_paused(self, stop: Stop, height: int) -> bool:
        """On the word of a quorum: a single node that says "paused" must not silence the reflex."""
        reading = await self._reader.quorum_invoke([stop.pause.paused.invocation()], at_least=height)
        execution = reading.execution
        if not execution.halted or not execution.stack:
            raise Unavailable("pause-unreadable", f"whether {stop.name} is paused can't be read")
        return is_true(execution.stack[0])

    def _recent_scopes(self) -> frozenset[str]:
        cutoff = self._clock.now() - _HOUR
        while self._new_scopes and self._new_scopes[0][0] <= cutoff:
            self._new_scopes.popleft()
        return frozenset(name for _, name in self._new_scopes)


def _prefix(stop: Stop) -> str:
    """What the outbox keys of a stop's shots begin with, up to the last slash."""
    return f"{KEYS}{stop.name}"


def _dearer(bid: FeeBid, than: FeeBid) -> bool:
    """Whether the bid pays more per byte; ties go to whoever came first, so they count as dearer."""
    return bid.network_fee.fractions * than.size >= than.network_fee.fractions * bid.size
