"""A shooting range: a pool, a rehearser and a sender in memory, for tests of the reflex."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tocsin.actions.calls import CallSpec
from tocsin.actions.pause import PauseInput
from tocsin.connect.ports import (
    Block,
    Execution,
    Invocation,
    Manifest,
    Notification,
    ParameterType,
    QuorumReading,
    Signer,
)
from tocsin.connect.reflex_ports import (
    ArmedCall,
    FeeBid,
    Fired,
    Gap,
    Ladder,
    MempoolSource,
    MempoolTransaction,
)
from tocsin.domain.actions import QuorumResult
from tocsin.domain.amounts import Gas
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import ScriptHash, TxHash
from tocsin.reflex.sentinel import Shot
from tocsin.reflex.stops import Stop

VAULT = ScriptHash("0x" + "aa" * 20)
OTHER_VAULT = ScriptHash("0x" + "bb" * 20)
REGISTRY = ScriptHash("0x" + "cc" * 20)
OPERATOR = ScriptHash("0x" + "dd" * 20)
THIEF = ScriptHash("0x" + "ee" * 20)
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SIZE = 250
PAUSE = b"\x11"
"""The script of every pause here."""


def stop(name: str, *contracts: ScriptHash) -> Stop:
    call = CallSpec(REGISTRY, "PauseRegistry", "setPaused", (), returns=ParameterType.BOOLEAN)
    paused = CallSpec(REGISTRY, "PauseRegistry", "isPaused", (), returns=ParameterType.BOOLEAN)
    return Stop(name, frozenset(contracts), PauseInput(call, paused, "one-app", name), {}, {"paused": False})


def pending(number: int, *, fee: int = 100_000, signers: tuple[ScriptHash, ...] = (THIEF,)) -> MempoolTransaction:
    return MempoolTransaction(
        tx=TxHash(f"0x{number:064x}"),
        sender=signers[0],
        signers=signers,
        network_fee=Gas(fee),
        system_fee=Gas(1),
        size=SIZE,
        script=b"\x40",
        valid_until_block=100,
        endpoint="alder",
        bound=True,
        content={},
    )


@dataclass
class Pool:
    """A `MempoolFeed` that a test fills; `close` ends it."""

    events_: "asyncio.Queue[MempoolTransaction | Gap | None]" = field(default_factory=asyncio.Queue)
    waiting: list[MempoolTransaction] = field(default_factory=list[MempoolTransaction])
    off: bool = False

    async def events(self) -> AsyncIterator[MempoolTransaction | Gap]:
        if self.off:
            raise Unavailable("mempool-subscriptions-off", "every endpoint has them switched off")
        while (event := await self.events_.get()) is not None:
            yield event

    async def pending(self) -> Sequence[MempoolTransaction]:
        found, self.waiting = self.waiting, []
        return found

    async def probe(self) -> tuple[MempoolSource, ...]:
        return ()

    def sources(self) -> tuple[MempoolSource, ...]:
        return ()

    def seen_by(self, tx: TxHash) -> frozenset[str]:
        return frozenset({"alder"})

    def put(self, *events: MempoolTransaction | Gap) -> None:
        for event in events:
            self.events_.put_nowait(event)

    def close(self) -> None:
        self.events_.put_nowait(None)


@dataclass
class Stage:
    """A `Rehearser`: every transaction HALTs and would take from the vault, unless said otherwise."""

    faults: set[TxHash] = field(default_factory=set[TxHash])
    unjudgeable: set[TxHash] = field(default_factory=set[TxHash])
    rehearsed: list[TxHash] = field(default_factory=list[TxHash])

    async def rehearse(self, tx: MempoolTransaction, *, providers: int = 1) -> Execution:
        self.rehearsed.append(tx.tx)
        if tx.tx in self.unjudgeable:
            raise Unavailable("rehearsal-over-gas-limit", "it needs more GAS than a rehearsal may use")
        if tx.tx in self.faults:
            return Execution(False, "no", (), Gas(1))
        return Execution(True, None, (), Gas(1), (Notification(VAULT, "Taken", (1,), tx.tx),))


@dataclass
class Rules:
    """A `Judge`: a transaction that HALTs harms `victim`, unless it is harmless."""

    victim: ScriptHash = VAULT
    also: ScriptHash | None = None
    """A second victim of every such transaction."""
    harmless: set[TxHash] = field(default_factory=set[TxHash])
    newest: tuple[int, datetime] | None = (10, NOW)

    def consider(self, pending: Block) -> Sequence[Detection]:
        tx = pending.transactions[0].tx
        if tx in self.harmless:
            return ()
        victims = [self.victim, *([] if self.also is None else [self.also])]
        return [
            Detection(
                f"out:{victim}:{tx}",
                "out",
                "exploit",
                "moves",
                f"exploit:{victim}",
                "theft",
                NOW,
                pending.height,
                {"contract_hash": victim},
            )
            for victim in victims
        ]


@dataclass
class Gun:
    """An `ArmedSender` that keeps what it fired."""

    shots: list[tuple[str, FeeBid | None]] = field(default_factory=list[tuple[str, FeeBid | None]])
    failure: Exception | None = None
    armed_until: int = 100
    rearmed: int = 0

    async def arm(self, calls: Sequence[Invocation], *, purpose: str) -> ArmedCall:
        assert purpose == "pause"
        fee = Gas(1)
        return ArmedCall(purpose, tuple(calls), OPERATOR, PAUSE, (REGISTRY,), fee, fee, SIZE, 10, self.armed_until)

    async def rearm(self, armed: ArmedCall) -> ArmedCall:
        self.rearmed += 1
        self.armed_until += 100
        return await self.arm(armed.calls, purpose=armed.purpose)

    async def fire(self, key: str, armed: ArmedCall, *, above: FeeBid | None = None) -> Fired:
        if self.failure is not None:
            raise self.failure
        self.shots.append((key, above))
        assert above is not None
        return Fired(key, TxHash("0x" + "f" * 64), 100, above.beaten_by(SIZE), True, "alder")

    async def rungs(self, armed: ArmedCall) -> Ladder:
        raise NotImplementedError

    async def fire_rung(self, key: str, ladder: Ladder, *, above: FeeBid | None = None) -> Fired:
        raise NotImplementedError


@dataclass
class Chain:
    """A `ChainReader` that knows only whether things are paused."""

    paused: bool = False
    silent: bool = False

    async def height(self) -> int:
        return 10

    async def manifest(self, contract: ScriptHash) -> Manifest:
        raise NotImplementedError

    async def test_invoke(self, calls: Sequence[Invocation], signers: Sequence[Signer] = ()) -> Execution:
        if self.silent:
            raise Unavailable("silent", "no endpoint answers")
        return Execution(True, None, (self.paused,), Gas(1))

    async def quorum_invoke(
        self, calls: Sequence[Invocation], signers: Sequence[Signer] = (), *, at_least: int
    ) -> QuorumReading:
        return QuorumReading(await self.test_invoke(calls, signers), at_least, QuorumResult(2, 3, 3))


@dataclass
class Scribe:
    """A `Reporter` that remembers."""

    shots: list[Shot] = field(default_factory=list[Shot])
    held: list[tuple[TxHash, str]] = field(default_factory=list[tuple[TxHash, str]])
    unjudged: list[TxHash] = field(default_factory=list[TxHash])

    async def fired(self, shot: Shot) -> None:
        self.shots.append(shot)

    async def held_back(self, transaction: MempoolTransaction, detection: Detection, why: str) -> None:
        self.held.append((transaction.tx, why))

    async def not_judged(self, transaction: MempoolTransaction, why: str) -> None:
        self.unjudged.append(transaction.tx)
