"""Waits for what became of a sent transaction: in a block, or never any more, on the word of a quorum.

Rebroadcasts the same bytes when a block has gone by without the transaction. Everything ends: by inclusion, by the
expiry of the transaction, or by a bound of `TimeLimits`, and then the outcome is unknown.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.connect.neo.broadcast import offer
from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Answer, Nodes, Question, Reply, Silence, answers_in, height_in
from tocsin.connect.neo.quorum import agreed_height, agreement, providers_of, supporters
from tocsin.connect.neo.rivals import is_cancellation, rival_of
from tocsin.connect.neo.rpc import Call, RpcRejected, TransportFailed, read
from tocsin.connect.neo.values import execution_of
from tocsin.connect.neo.wire import APPLICATION_LOG, COUNT
from tocsin.connect.ports import Execution, Included, Outbox, OutboxEntry, OutboxStatus, Sent
from tocsin.domain.actions import QuorumResult
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Failed, OutcomeUnknown, Refused, Unavailable
from tocsin.domain.hashes import TxHash

_IN_NO_BLOCK = frozenset({-100, -103})
"""How `gettransactionheight` says that no block holds a transaction; the first is that of older nodes."""
POLL_S_WITHOUT_BLOCK_TIME = 0.5


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The block that holds the transaction, and what it did there."""

    height: int
    execution: Execution


@dataclass(frozen=True, slots=True)
class Sighting:
    """One endpoint's view: its newest block, and the transaction if a block there holds it."""

    height: int
    inclusion: Inclusion | None
    rival: Inclusion | None = None
    """The transaction that excludes this one, if a block there holds that."""


@dataclass(slots=True)
class _Vigil:
    """What one wait remembers from look to look; moments are the event loop's seconds."""

    started: float
    heard: float
    doubtful_since: float | None = None
    offered_at: int | None = None


class Waiter:
    """Waits for transactions, and settles their outbox entries."""

    def __init__(self, nodes: Nodes, outbox: Outbox) -> None:
        self._nodes = nodes
        self._outbox = outbox
        self._times = nodes.config.times
        self._quorum = nodes.config.quorum

    async def wait(self, sent: Sent) -> Included:
        """See `ChainSender.wait`.

        `OutcomeUnknown.data` says how far it came: `tx`, `valid_until_block`, `confirmed` providers of `needed` and
        `of`, and `height` and `halted` where somebody had it in a block.
        """
        loop = asyncio.get_running_loop()
        vigil = _Vigil(started=loop.time(), heard=loop.time())
        while True:
            # Read anew each time: somebody may cancel what is waited for, or learn that it must not be offered again.
            entry = await self._outbox.get(sent.key)
            rival = await rival_of(self._outbox, sent.key)
            replies = await self._nodes.ask(_sighting_of(sent, rival), enough=self._enough)
            sightings = answers_in(replies)
            if (included := self._included(sent, sightings)) is not None:
                await self._settle(sent.key, OutboxStatus.INCLUDED, included.height)
                return included
            if rival is not None and (height := self._excluded_at(sightings)) is not None:
                await self._settle(sent.key, OutboxStatus.CANCELLED, height)
                raise _excluded(sent, rival, height)
            if self._expired(sent, sightings):
                await self._settle(sent.key, OutboxStatus.EXPIRED, None)
                raise self._never(sent)
            self._give_up_in_time(vigil, sent, replies, loop.time())
            if entry is not None:
                await self._offer_again(vigil, _wanted(entry, rival), sightings)
            await asyncio.sleep(await self._poll_s())

    async def look(self, sent: Sent) -> Included | None:
        """Whether a quorum has the transaction in a block at this moment. Settles nothing."""
        replies = await self._nodes.ask(_sighting_of(sent, None), enough=self._enough)
        return self._included(sent, answers_in(replies))

    def _enough(self, sightings: Sequence[Answer[Sighting]]) -> bool:
        return len(providers_of(sightings)) >= self._quorum

    def _included(self, sent: Sent, sightings: Sequence[Answer[Sighting]]) -> Included | None:
        agreed = agreement(sightings, self._quorum, lambda sighting: sighting.inclusion)
        if agreed is None or agreed.value is None:
            return None
        quorum = self._result(len(agreed.providers))
        return Included(sent.tx, agreed.value.height, agreed.value.execution, quorum)

    def _excluded_at(self, sightings: Sequence[Answer[Sighting]]) -> int | None:
        """The block that holds the rival on the word of a quorum."""
        agreed = agreement(sightings, self._quorum, lambda sighting: sighting.rival)
        return None if agreed is None or agreed.value is None else agreed.value.height

    def _expired(self, sent: Sent, sightings: Sequence[Answer[Sighting]]) -> bool:
        """Whether no block can hold it any more: a quorum is past the last block that may, and nobody has it."""
        if any(each.value.inclusion is not None or each.value.rival is not None for each in sightings):
            return False
        past = [sighting for sighting in sightings if sighting.value.height >= sent.valid_until_block]
        return len(providers_of(past)) >= self._quorum

    def _give_up_in_time(self, vigil: _Vigil, sent: Sent, replies: Sequence[Reply[Sighting]], now: float) -> None:
        sightings = answers_in(replies)
        if sightings:
            vigil.heard = now
        seen = any(each.value.inclusion is not None or each.value.rival is not None for each in sightings)
        past = any(sighting.value.height >= sent.valid_until_block for sighting in sightings)
        # Somebody has an outcome but no quorum confirms it: either it soon will, or nodes are gone or lying.
        if not (past or (seen and not self._enough(sightings))):
            vigil.doubtful_since = None
        elif vigil.doubtful_since is None:
            vigil.doubtful_since = now
        if vigil.doubtful_since is not None and now - vigil.doubtful_since > self._times.confirm_s:
            raise self._unknown("unconfirmed", "too few independent endpoints confirm it", sent, replies)
        if now - vigil.heard > self._times.silence_s:
            raise self._unknown("endpoints-silent", "no endpoint answers", sent, replies)
        if now - vigil.started > self._times.outcome_s:
            raise self._unknown("no-outcome", f"nothing certain within {self._times.outcome_s:g} s", sent, replies)

    async def _offer_again(self, vigil: _Vigil, entry: OutboxEntry, sightings: Sequence[Answer[Sighting]]) -> None:
        if entry.status is not OutboxStatus.STORED or any(each.value.inclusion is not None for each in sightings):
            return
        height = agreed_height([Answer(each.endpoint, each.value.height) for each in sightings], self._quorum)
        if height is None:
            return
        if vigil.offered_at is not None and height > vigil.offered_at:
            await offer(self._nodes, entry.raw)
        vigil.offered_at = height if vigil.offered_at is None else max(height, vigil.offered_at)

    async def _settle(self, key: str, status: OutboxStatus, height: int | None) -> None:
        # The chain's word stands even where the outbox says otherwise (an entry that stays refused so that nobody
        # offers it again, whatever came of it), and even for bytes that another outbox holds.
        with contextlib.suppress(Refused):
            await self._outbox.settle(key, status, height)

    async def _poll_s(self) -> float:
        try:
            return await self._nodes.poll_s()
        except Unavailable:
            return POLL_S_WITHOUT_BLOCK_TIME

    def _result(self, confirmed: int) -> QuorumResult:
        return QuorumResult(needed=self._quorum, confirmed=confirmed, of=len(self._nodes.config.providers))

    def _never(self, sent: Sent) -> Failed:
        return Failed(
            "expired",
            f"transaction {sent.tx} is in no block, and block {sent.valid_until_block}, the last that could, is past",
            next_step="nothing happened on the chain; try again as a new run",
            data={"tx": sent.tx, "valid_until_block": sent.valid_until_block},
        )

    def _unknown(self, code: str, why: str, sent: Sent, replies: Sequence[Reply[Sighting]]) -> OutcomeUnknown:
        behind = supporters(answers_in(replies), lambda sighting: sighting.inclusion)
        seen = [(inclusion, providers) for inclusion, providers in behind.items() if inclusion is not None]
        inclusion, providers = max(seen, key=lambda each: len(each[1]), default=(None, frozenset[str]()))
        confirmed = self._result(len(providers))
        return OutcomeUnknown(
            code,
            f"what became of transaction {sent.tx} is not known: {why} ({confirmed.confirmed} of {confirmed.of} "
            f"providers have it in a block, {confirmed.needed} needed): {'; '.join(_show(reply) for reply in replies)}",
            next_step=f"look for it on another node; don't send it anew before block {sent.valid_until_block} is past",
            data={
                "tx": sent.tx,
                "valid_until_block": sent.valid_until_block,
                "needed": confirmed.needed,
                "confirmed": confirmed.confirmed,
                "of": confirmed.of,
                "height": None if inclusion is None else inclusion.height,
                "halted": None if inclusion is None else inclusion.execution.halted,
            },
        )


async def sighting_at(node: Node, tx: TxHash, rival: TxHash | None = None) -> Sighting:
    """One endpoint's view of a transaction. The height is asked first, so "not in a block" holds at that height.

    Raises:
        RpcFailure: the endpoint gave no answer.
    """
    calls = [call for each in (tx, rival) if each is not None for call in _inclusion_calls(each)]
    count, *results = await node.rpc.batch([("getblockcount", ()), *calls])
    newest = height_in(node, count)
    inclusion = _inclusion(tx, *results[:2])
    return Sighting(newest, inclusion, None if rival is None else _inclusion(rival, *results[2:]))


def _sighting_of(sent: Sent, rival: OutboxEntry | None) -> Question[Sighting]:
    return lambda node: sighting_at(node, sent.tx, None if rival is None else rival.tx)


def _inclusion_calls(tx: TxHash) -> tuple[Call, Call]:
    # In this order: what has a height has its log by the time that this is asked for.
    return ("gettransactionheight", (tx,)), ("getapplicationlog", (tx,))


def _inclusion(tx: TxHash, height: Json | RpcRejected, log: Json | RpcRejected) -> Inclusion | None:
    """What one endpoint has of it; None if it says that no block holds it.

    Only the height can say that. A log may be missing although a block holds the transaction: the node keeps none, has
    dropped it, or is late with it. Then the endpoint has no answer, for what the transaction did is not known from it.
    """
    if isinstance(height, RpcRejected):
        if height.code in _IN_NO_BLOCK and isinstance(log, RpcRejected):
            return None
        raise height
    if isinstance(log, RpcRejected):
        raise RpcRejected(log.code, f"has {tx} in block {read(COUNT, height)}, but not its application log: {log}")
    execution = read(APPLICATION_LOG, log).executions[0]
    if execution.trigger != "Application":
        raise TransportFailed(f"the application log of {tx} is none of a transaction", delivered=True)
    return Inclusion(read(COUNT, height), execution_of(execution, container=tx))


def _wanted(entry: OutboxEntry, rival: OutboxEntry | None) -> OutboxEntry:
    """Which bytes to offer again: those of a cancellation, once there is one, never what it cancels.

    A cancellation that every endpoint refused is none to offer; yet a block may hold it, so it stays a rival.
    """
    if rival is None or rival.status is OutboxStatus.REFUSED or is_cancellation(entry.key):
        return entry
    return rival


def _excluded(sent: Sent, rival: OutboxEntry, height: int) -> Failed:
    if is_cancellation(sent.key):
        return cancel_lost(sent.tx, rival.tx, height)
    return Failed(
        "cancelled",
        f"transaction {sent.tx} was cancelled: transaction {rival.tx}, which excludes it, is in block {height}",
        next_step="nothing of it happened; decide anew if it is still wanted",
        data={"tx": sent.tx, "cancelled_by": rival.tx, "height": height},
    )


def cancel_lost(cancellation: TxHash, tx: TxHash, height: int) -> Failed:
    """The error for a cancellation that came too late."""
    return Failed(
        "cancel-lost",
        f"the cancellation {cancellation} came too late: transaction {tx} is in block {height}",
        next_step="it took its course; look at what it did",
        data={"tx": cancellation, "not_cancelled": tx, "height": height},
    )


def _show(reply: Reply[Sighting]) -> str:
    if isinstance(reply, Silence):
        return str(reply)
    sighting = reply.value
    if sighting.rival is not None:
        return f"{reply.endpoint.name}: excluded in block {sighting.rival.height}"
    if sighting.inclusion is None:
        return f"{reply.endpoint.name}: not up to block {sighting.height}"
    state = "HALT" if sighting.inclusion.execution.halted else "FAULT"
    return f"{reply.endpoint.name}: in block {sighting.inclusion.height}, {state}"
