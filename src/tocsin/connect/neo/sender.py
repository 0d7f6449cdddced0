"""Sends transactions so that each key has at most one on the chain: rehearse, sign, store, and only then broadcast.

The outbox decides. Whatever bytes stand under a key are the only ones that are ever sent for it, by this process or the
next one. Waiting for the outcome is `waiter`'s; what one broadcast came to is `broadcast`'s.
"""

from collections.abc import Sequence

from tocsin.connect.neo.broadcast import offer, refused, undecided
from tocsin.connect.neo.cancelling import Canceller
from tocsin.connect.neo.nodes import Nodes
from tocsin.connect.neo.preparing import Preparation, SealTerms
from tocsin.connect.neo.rivals import cancellation_of, refuse_reserved
from tocsin.connect.neo.transactions import Draft
from tocsin.connect.neo.waiter import Waiter
from tocsin.connect.neo.wallets import KeyRing
from tocsin.connect.ports import Included, Invocation, Outbox, OutboxEntry, OutboxStatus, Sent
from tocsin.domain.clock import Clock
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import ScriptHash


class NeoSender:
    """`ChainSender` over the endpoints of a network, a key ring and an outbox."""

    def __init__(self, nodes: Nodes, keys: KeyRing, outbox: Outbox, clock: Clock) -> None:
        self._nodes = nodes
        self._keys = keys
        self._outbox = outbox
        self._clock = clock
        self._preparation = Preparation(nodes)
        self._waiter = Waiter(nodes, outbox)
        self._canceller = Canceller(nodes, keys, outbox, clock, self._waiter)

    async def account(self, purpose: str) -> ScriptHash:
        """See `ChainSender.account`."""
        return (await self._keys.key(purpose)).account

    async def recall(self, key: str) -> Sent | None:
        """See `ChainSender.recall`."""
        entry = await self._outbox.get(key)
        return None if entry is None else entry.sent

    async def wait(self, sent: Sent) -> Included:
        """See `ChainSender.wait`; the outcome is settled in the outbox."""
        return await self._waiter.wait(sent)

    async def cancel(self, key: str) -> Sent:
        """See `ChainCanceller.cancel`."""
        return await self._canceller.cancel(key)

    async def submit(self, key: str, calls: Sequence[Invocation], *, purpose: str) -> Sent:
        """See `ChainSender.submit`.

        An entry that stands already is offered again (unless it is settled) and never looked at otherwise, whatever
        `calls` say: after a crash they are the same, and if they are not, the bytes that may be on their way decide.

        A refusal after signing needs care, because the bytes exist. Where this call stored them, so that nobody was
        offered them before, and every endpoint that could be reached said no for good, the entry is settled as refused:
        nobody offers these bytes later when, say, the account has been funded, and the key never signs others. But the
        outcome is unknown, not refused: an endpoint that says no and yet keeps the bytes can bring them to the chain
        until `valid_until_block`. The wait says what came of them; only then may another key's take their place.
        """
        refuse_reserved(key)
        standing = await self._outbox.get(key)
        fresh = standing is None
        if standing is None:
            signed = await self.seal(key, calls, purpose=purpose)
            standing = await self._outbox.put(signed)
            fresh = standing.tx == signed.tx
        if standing.purpose != purpose:
            raise Refused(
                "key-of-another-purpose",
                f"{key} stands in the outbox for {standing.purpose!r} and can't be sent for {purpose!r}",
            )
        if standing.status is OutboxStatus.REFUSED:
            raise refused(standing, "every endpoint refused it when it was offered")
        if standing.status is OutboxStatus.STORED and (fresh or await cancellation_of(self._outbox, key) is None):
            await self._offer(standing, fresh=fresh)
        return standing.sent

    async def _offer(self, entry: OutboxEntry, *, fresh: bool) -> None:
        said = await offer(self._nodes, entry.raw)
        if said.accepted:
            return
        if said.refused_for_good:
            if fresh:
                await self._outbox.settle(entry.key, OutboxStatus.REFUSED, None)
                raise refused(entry, said.reasons)
            # Offered before, perhaps accepted before: that it is refused now (it expired, or its funds are spent by its
            # own inclusion) says nothing about then. The wait finds out.
            return
        raise undecided(entry, said)

    async def seal(
        self, key: str, calls: Sequence[Invocation], *, purpose: str, terms: SealTerms | None = None
    ) -> OutboxEntry:
        """Rehearses and signs the calls as an entry for an outbox; stores nothing and sends nothing.

        Raises:
            Refused: as `submit` does before it sends anything.
        """
        draft = Draft.of(calls, await self._keys.key(purpose))
        prepared = await self._preparation.prepare(draft, terms)
        sealed = draft.signed(prepared.fees, prepared.valid_until_block, self._nodes.config.magic)
        return OutboxEntry(key, sealed.tx, sealed.raw, prepared.valid_until_block, purpose, self._clock.now())
