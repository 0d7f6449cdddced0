"""Prepares calls so that sending them takes a signature, a line in the outbox and one message, and sends them so.

Everything slow is done when arming: the wallet is opened, the calls are rehearsed and priced, the connections stand.
The fee is chosen when firing, since only then is it known what is to be overtaken. Bytes stand in the outbox before
anybody is offered them, as everywhere.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from tocsin.connect.neo.broadcast import Offer, Said, Word, offering, refused, undecided
from tocsin.connect.neo.mamba import Conflicts
from tocsin.connect.neo.nodes import Answer, Nodes, Reply
from tocsin.connect.neo.preparing import Preparation, Prepared
from tocsin.connect.neo.quorum import agreed_height
from tocsin.connect.neo.rivals import cancellation_of, refuse_reserved
from tocsin.connect.neo.transactions import Draft, Fees, network_fee_of, valid_until_of
from tocsin.connect.neo.wallets import Key, KeyRing
from tocsin.connect.ports import Invocation, Outbox, OutboxEntry, OutboxStatus, Signer
from tocsin.connect.reflex_ports import ArmedCall, FeeBid, Fired, Ladder, Rung
from tocsin.domain.amounts import Gas
from tocsin.domain.clock import Clock
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import TxHash

RUNG_FACTOR = 4
RUNGS_MAX = 16
"""The topmost rung names all others, and a transaction has at most 16 signers and attributes together."""
OPEN_S_MAX = 1.0
"""How long arming waits for the connections; what is not open by then is opened later, and HTTP serves until then."""


class NeoArmedSender:
    """`ArmedSender` over the endpoints of a network, a key ring and an outbox."""

    def __init__(self, nodes: Nodes, keys: KeyRing, outbox: Outbox, clock: Clock) -> None:
        self._nodes = nodes
        self._keys = keys
        self._outbox = outbox
        self._clock = clock
        self._preparation = Preparation(nodes)
        self._offers: set[asyncio.Task[Reply[Said]]] = set()
        """Offers that are still under way after somebody has accepted."""

    async def arm(self, calls: Sequence[Invocation], *, purpose: str) -> ArmedCall:
        """See `ArmedSender.arm`."""
        key = await self._keys.key(purpose)
        draft = Draft.of(calls, key)
        prepared = await self._preparation.prepare(draft)
        opening = [asyncio.create_task(line.ready()) for n in self._nodes.all for line in (n.sending, n.rehearsals)]
        await asyncio.wait(opening, timeout=OPEN_S_MAX)
        return ArmedCall(
            purpose=purpose,
            calls=tuple(calls),
            account=key.account,
            script=draft.script,
            contracts=draft.signer.contracts,
            system_fee=Gas(prepared.fees.system),
            network_fee=Gas(prepared.fees.network),
            size=len(draft.sample()),
            armed_at=prepared.height,
            armed_until=prepared.valid_until_block,
        )

    async def rearm(self, armed: ArmedCall) -> ArmedCall:
        """See `ArmedSender.rearm`."""
        return await self.arm(armed.calls, purpose=armed.purpose)

    async def fire(self, key: str, armed: ArmedCall, *, above: FeeBid | None = None) -> Fired:
        """See `ArmedSender.fire`."""
        refuse_reserved(key)
        signing = await self._signing_key(armed)
        fee = armed.network_fee if above is None else max(armed.network_fee, above.beaten_by(armed.size))
        fee = min(fee, self._nodes.config.fees.network_max)
        fees = Fees(armed.system_fee.fractions, fee.fractions)
        sealed = _draft(armed, signing).signed(fees, self._valid_until(armed), self._nodes.config.magic)
        return await self._launch(key, armed, Rung(sealed.tx, sealed.raw, fee), above)

    async def rungs(self, armed: ArmedCall) -> Ladder:
        """See `ArmedSender.rungs`.

        Two transactions of one account with different fees are two transactions, whatever their nonces, and both could
        be included. So each rung names all lower ones in `Conflicts` attributes. Whichever a block holds first: a lower
        one bars the higher ones (their attribute names what is on the chain), a higher one the lower ones (they are
        named by it, with the same signer). In a pool the higher one replaces the lower one, since it pays more.
        """
        key = await self._keys.key(armed.purpose)
        draft = _draft(armed, key)
        # Measured with as many attributes as the topmost rung has: they take room, and the chain may charge for them.
        steps = len(_steps(armed.network_fee, self._nodes.config.fees.network_max))
        sample = replace(draft, attributes=tuple(Conflicts(_placeholder(n)) for n in range(steps - 1)))
        prepared: Prepared = await self._preparation.prepare(sample)
        armed = replace(
            armed,
            system_fee=Gas(prepared.fees.system),
            armed_at=prepared.height,
            armed_until=prepared.valid_until_block,
        )
        rungs: list[Rung] = []
        for fee in _steps(Gas(prepared.fees.network), self._nodes.config.fees.network_max):
            conflicts = tuple(Conflicts(lower.tx) for lower in rungs)
            fees = Fees(prepared.fees.system, fee.fractions)
            sealed = replace(_draft(armed, key), attributes=conflicts).signed(
                fees, prepared.valid_until_block, self._nodes.config.magic
            )
            rungs.append(Rung(sealed.tx, sealed.raw, fee))
        return Ladder(armed, tuple(rungs))

    async def fire_rung(self, key: str, ladder: Ladder, *, above: FeeBid | None = None) -> Fired:
        """See `ArmedSender.fire_rung`."""
        refuse_reserved(key)
        rung = next((each for each in ladder.rungs if above is None or _outbids(each, above)), ladder.rungs[-1])
        return await self._launch(key, ladder.armed, rung, above)

    async def close(self) -> None:
        """Lets the offers that are under way end, each within its time-out."""
        await asyncio.gather(*self._offers, return_exceptions=True)

    async def _signing_key(self, armed: ArmedCall) -> Key:
        key = await self._keys.key(armed.purpose)
        if key.account != armed.account:
            raise Refused(
                "armed-for-another-account",
                f"the call is armed for {armed.account}, and the key for {armed.purpose!r} is that of {key.account}",
                next_step="arm it again",
            )
        return key

    def _valid_until(self, armed: ArmedCall) -> int:
        """The last block for what is signed now: `armed_until`, or later if that comes too near.

        From what is known already, since this is no moment for asking.
        """
        heights = [Answer(node.endpoint, node.height) for node in self._nodes.all if node.height >= 0]
        height = agreed_height(heights, self._nodes.config.quorum) or armed.armed_at
        return max(armed.armed_until, height + (armed.armed_until - armed.armed_at) // 2)

    async def _launch(self, key: str, armed: ArmedCall, rung: Rung, above: FeeBid | None) -> Fired:
        """Stores the bytes, unless others stand under the key, and offers what stands."""
        entry = OutboxEntry(key, rung.tx, rung.raw, valid_until_of(rung.raw), armed.purpose, self._clock.now())
        standing = await self._outbox.put(entry)
        if standing.purpose != armed.purpose:
            raise Refused(
                "key-of-another-purpose",
                f"{key} stands in the outbox for {standing.purpose!r} and can't be sent for {armed.purpose!r}",
            )
        if standing.status is OutboxStatus.REFUSED:
            raise refused(standing, "every endpoint refused it when it was offered")
        fresh = standing.tx == rung.tx
        accepted_by = ""
        if fresh or (standing.status is OutboxStatus.STORED and await cancellation_of(self._outbox, key) is None):
            accepted_by = await self._offer(standing, fresh=fresh)
        fee = Gas(network_fee_of(standing.raw))
        outbids = above is None or _outbids(Rung(standing.tx, standing.raw, fee), above)
        return Fired(key, standing.tx, standing.valid_until_block, fee, outbids, accepted_by)

    async def _offer(self, entry: OutboxEntry, *, fresh: bool) -> str:
        """Offers the bytes to all endpoints at once; returns the name of the first that accepts, without waiting on.

        The others are not cut short: the first may keep the bytes to itself.
        """
        question = offering(entry.raw)
        nearest_first = sorted(self._nodes.all, key=lambda node: node.latency_s or 0.0)
        offers = [asyncio.create_task(self._nodes.put(node, question, everybody=True)) for node in nearest_first]
        self._offers.update(offers)
        for each in offers:
            each.add_done_callback(self._offers.discard)
        replies: list[Reply[Said]] = []
        async for each in asyncio.as_completed(offers):
            replies.append(reply := each.result())
            if isinstance(reply, Answer) and reply.value.word is Word.ACCEPTED:
                return reply.endpoint.name
        said = Offer(tuple(replies))
        if not said.refused_for_good:
            raise undecided(entry, said)
        if fresh:
            await self._outbox.settle(entry.key, OutboxStatus.REFUSED, None)
            raise refused(entry, said.reasons)
        return ""


def _draft(armed: ArmedCall, key: Key) -> Draft:
    return Draft(armed.script, Signer(armed.account, contracts=armed.contracts), key)


def _outbids(rung: Rung, above: FeeBid) -> bool:
    """Whether nodes take it first: they compare what is paid per byte, in whole units."""
    return rung.bid.per_byte > above.per_byte


def _steps(least: Gas, most: Gas) -> list[Gas]:
    """The network fees of a ladder: the least times 1, 4, 16, … and at last the most."""
    steps: list[Gas] = []
    fee = least.fractions
    while fee < most.fractions and len(steps) < RUNGS_MAX - 1:
        steps.append(Gas(fee))
        fee *= RUNG_FACTOR
    return [*steps, most]


def _placeholder(number: int) -> TxHash:
    return TxHash(f"0x{number + 1:064x}")
