"""Cancels a transaction of ours that is still pending, with another one that conflicts with it and pays more.

The cancellation does nothing, has the same signer, names the other one in a `Conflicts` attribute and expires in the
same block. Pools drop the other one for it, since it pays more; and of two such transactions the chain takes whichever
comes first and refuses the second, in either order. So the outcome is never in doubt, only which of the two it is, and
that `waiter` says on the word of a quorum.
"""

from tocsin.connect.neo.broadcast import offer, refused, undecided
from tocsin.connect.neo.mamba import Conflicts
from tocsin.connect.neo.nodes import Nodes
from tocsin.connect.neo.preparing import Preparation, SealTerms, within
from tocsin.connect.neo.rivals import cancel_key, refuse_reserved
from tocsin.connect.neo.transactions import Draft, Fees, network_fee_of
from tocsin.connect.neo.waiter import Waiter, cancel_lost
from tocsin.connect.neo.wallets import KeyRing
from tocsin.connect.ports import Outbox, OutboxEntry, OutboxStatus, Sent, Signer
from tocsin.domain.clock import Clock
from tocsin.domain.errors import Refused

_RETURN = b"\x40"
"""A script that does nothing: the opcode RET."""
MARGIN_PERCENT = 10
"""By how much the cancellation outbids what it cancels; one unit would do, but fees are compared per byte as well."""


class Canceller:
    """`ChainCanceller` over the endpoints of a network, a key ring and an outbox."""

    def __init__(self, nodes: Nodes, keys: KeyRing, outbox: Outbox, clock: Clock, waiter: Waiter) -> None:
        self._nodes = nodes
        self._keys = keys
        self._outbox = outbox
        self._clock = clock
        self._waiter = waiter
        self._preparation = Preparation(nodes)

    async def cancel(self, key: str) -> Sent:
        """See `ChainCanceller.cancel`.

        The cancellation is stored before it is offered. From then on the bytes that it cancels are not offered any more
        by anybody who waits for them or submits them again, also after a crash.
        """
        refuse_reserved(key)
        entry = await self._outbox.get(key)
        if entry is None:
            raise Refused("outbox-key-unknown", f"nothing stands in the outbox under {key}")
        standing = await self._outbox.get(cancel_key(key))
        fresh = False
        if standing is None:
            if entry.status is not OutboxStatus.STORED:
                raise Refused(
                    "nothing-to-cancel",
                    f"transaction {entry.tx} is {entry.status} already",
                    data={"tx": entry.tx, "status": entry.status, "height": entry.height},
                )
            sealed = await self._seal(entry)
            standing = await self._outbox.put(sealed)
            fresh = standing.tx == sealed.tx
        if standing.status is OutboxStatus.REFUSED:
            raise refused(standing, "every endpoint refused the cancellation when it was offered")
        if standing.status is OutboxStatus.STORED:
            await self._offer(entry, standing, fresh=fresh)
        return standing.sent

    async def _offer(self, entry: OutboxEntry, cancellation: OutboxEntry, *, fresh: bool) -> None:
        said = await offer(self._nodes, cancellation.raw)
        if said.accepted:
            return
        if not said.refused_for_good:
            raise undecided(cancellation, said)
        if fresh:
            # Most often because what it cancels is on the chain; whether that is so, a quorum must say.
            if (included := await self._waiter.look(entry.sent)) is not None:
                await self._outbox.settle(cancellation.key, OutboxStatus.CANCELLED, included.height)
                raise cancel_lost(cancellation.tx, entry.tx, included.height)
            await self._outbox.settle(cancellation.key, OutboxStatus.REFUSED, None)
            raise refused(cancellation, said.reasons)

    async def _seal(self, entry: OutboxEntry) -> OutboxEntry:
        key = await self._keys.key(entry.purpose)
        draft = Draft(_RETURN, Signer(key.account, "none"), key, attributes=(Conflicts(entry.tx),))
        prepared = await self._preparation.prepare(draft, SealTerms(entry.valid_until_block))
        if prepared.height >= entry.valid_until_block:
            raise Refused(
                "nothing-to-cancel",
                f"block {entry.valid_until_block}, the last that could hold transaction {entry.tx}, is past",
                next_step="wait for it: the chain says what became of it",
                data={"tx": entry.tx, "valid_until_block": entry.valid_until_block},
            )
        limit = self._nodes.config.fees.network_max
        outbid = network_fee_of(entry.raw) + 1
        within("network", outbid, limit)
        generous = min(outbid * (100 + MARGIN_PERCENT) // 100, limit.fractions)
        fees = Fees(prepared.fees.system, max(prepared.fees.network, outbid, generous))
        sealed = draft.signed(fees, entry.valid_until_block, self._nodes.config.magic)
        return OutboxEntry(
            cancel_key(entry.key), sealed.tx, sealed.raw, entry.valid_until_block, entry.purpose, self._clock.now()
        )
