"""Sends transactions so that each key has at most one on the chain: rehearse, sign, store, and only then broadcast.

The outbox decides. Whatever bytes stand under a key are the only ones that are ever sent for it, by this process or the
next one. Waiting for the outcome is `waiter`'s; what one broadcast came to is `broadcast`'s.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.connect.neo.broadcast import Offer, offer
from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Answer, Nodes, answers_in, height_in, unavailable
from tocsin.connect.neo.quorum import agreed_height, providers_of
from tocsin.connect.neo.rpc import RpcRejected, read
from tocsin.connect.neo.script import signers_json
from tocsin.connect.neo.transactions import Draft, Fees
from tocsin.connect.neo.values import as_json, execution_of
from tocsin.connect.neo.waiter import Waiter
from tocsin.connect.neo.wallets import KeyRing
from tocsin.connect.neo.wire import INVOCATION, NETWORK_FEE
from tocsin.connect.ports import Execution, Included, Invocation, Outbox, OutboxEntry, OutboxStatus, Sent
from tocsin.domain.amounts import Gas
from tocsin.domain.clock import Clock
from tocsin.domain.errors import OutcomeUnknown, Refused, Unavailable
from tocsin.domain.hashes import ScriptHash

VALIDITY_MS = 120_000
"""How long a transaction stays valid by default; then its failure is certain, and a new one may be built."""
VALIDITY_BLOCKS_MIN = 20


FORCED_SYSTEM_FEE = Gas(10**8)
"""What a transaction pays whose rehearsal FAULTs, and which is sent all the same: nothing measured what it needs."""


@dataclass(frozen=True, slots=True)
class SealTerms:
    """How bytes are signed that somebody else will send, perhaps much later.

    `valid_until_block`: the last block that may hold them; None as for a transaction sent at once. `margin_percent` is
    added to both fees, since prices may have changed by then. `although_it_faults`: sign even if the rehearsal FAULTs.
    """

    valid_until_block: int | None = None
    margin_percent: int = 0
    although_it_faults: bool = False


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What one endpoint says a draft would do and cost now. Fees in units of 10⁻⁸ GAS."""

    height: int
    execution: Execution
    network_fee: int


class NeoSender:
    """`ChainSender` over the endpoints of a network, a key ring and an outbox."""

    def __init__(self, nodes: Nodes, keys: KeyRing, outbox: Outbox, clock: Clock) -> None:
        self._nodes = nodes
        self._keys = keys
        self._outbox = outbox
        self._clock = clock
        self._waiter = Waiter(nodes, outbox)

    async def account(self, purpose: str) -> ScriptHash:
        """See `ChainSender.account`."""
        return (await self._keys.key(purpose)).account

    async def recall(self, key: str) -> Sent | None:
        """See `ChainSender.recall`."""
        entry = await self._outbox.get(key)
        return None if entry is None else _sent(entry)

    async def wait(self, sent: Sent) -> Included:
        """See `ChainSender.wait`; the outcome is settled in the outbox."""
        return await self._waiter.wait(sent)

    async def submit(self, key: str, calls: Sequence[Invocation], *, purpose: str) -> Sent:
        """See `ChainSender.submit`.

        An entry that stands already is offered again (unless it is settled) and never looked at otherwise, whatever
        `calls` say: after a crash they are the same, and if they are not, the bytes that may be on their way decide.

        A refusal after signing needs care, because the bytes exist. It is `Refused` only where it is certain that
        nobody has them: this call stored them, so nobody was offered them before, and every endpoint that could be
        reached said no for good. The entry is then settled as refused, so that nobody offers these bytes later when,
        say, the account has been funded; and it stays, so that the key never signs others. Whoever wants to try again
        does so under a new key, which is a new decision. (An endpoint that refuses and yet keeps the bytes could still
        bring them to the chain until `valid_until_block`, which the error's data therefore names.)
        """
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
            raise _refused(standing, "every endpoint refused it when it was offered")
        if standing.status is OutboxStatus.STORED:
            await self._offer(standing, fresh=fresh)
        return _sent(standing)

    async def _offer(self, entry: OutboxEntry, *, fresh: bool) -> None:
        said = await offer(self._nodes, entry.raw)
        if said.accepted:
            return
        if said.refused_for_good:
            if fresh:
                await self._outbox.settle(entry.key, OutboxStatus.REFUSED, None)
                raise _refused(entry, said.reasons)
            # Offered before, perhaps accepted before: that it is refused now (it expired, or its funds are spent by its
            # own inclusion) says nothing about then. The wait finds out.
            return
        raise _undecided(entry, said)

    async def seal(
        self, key: str, calls: Sequence[Invocation], *, purpose: str, terms: SealTerms | None = None
    ) -> OutboxEntry:
        """Rehearses and signs the calls as an entry for an outbox; stores nothing and sends nothing.

        Raises:
            Refused: as `submit` does before it sends anything.
        """
        terms = terms or SealTerms()
        draft = Draft.of(calls, await self._keys.key(purpose))
        try:
            rehearsals = await self._rehearse(draft)
            valid_until_block = terms.valid_until_block
            if valid_until_block is None:
                valid_until_block = self._height(rehearsals) + await self._validity_blocks()
        except Unavailable as error:
            raise Refused(
                "not-rehearsed",
                f"nothing was sent, for want of a rehearsal: {error.message}",
                next_step=error.next_step,
            ) from error
        fees = self._fees(_counted(rehearsals, although_it_faults=terms.although_it_faults), terms)
        sealed = draft.signed(fees, valid_until_block, self._nodes.config.magic)
        return OutboxEntry(key, sealed.tx, sealed.raw, valid_until_block, purpose, self._clock.now())

    async def _rehearse(self, draft: Draft) -> list[Answer[Rehearsal]]:
        invocation = (as_json(draft.script), signers_json([draft.signer]))
        sample = as_json(draft.sample())

        async def question(node: Node) -> Rehearsal:
            count, invoked, fee = await node.rpc.batch(
                [("getblockcount", ()), ("invokescript", invocation), ("calculatenetworkfee", (sample,))]
            )
            height = height_in(node, count)
            if isinstance(invoked, RpcRejected):
                raise invoked
            if isinstance(fee, RpcRejected):
                raise fee
            execution = execution_of(read(INVOCATION, invoked))
            return Rehearsal(height, execution, read(NETWORK_FEE, fee).networkfee)

        def enough(answers: Sequence[Answer[Rehearsal]]) -> bool:
            # One endpoint that says HALT will do (in an emergency it may be the only one); to be stopped takes more.
            quorate = len(providers_of(answers)) >= self._nodes.config.quorum
            return quorate or any(answer.value.execution.halted for answer in answers)

        replies = await self._nodes.ask(question, enough=enough)
        if not (answers := answers_in(replies)):
            raise unavailable("a rehearsal", replies)
        return answers

    def _height(self, rehearsals: Sequence[Answer[Rehearsal]]) -> int:
        heights = [Answer(each.endpoint, each.value.height) for each in rehearsals]
        height = agreed_height(heights, self._nodes.config.quorum)
        assert height is not None
        return height

    async def _validity_blocks(self) -> int:
        blocks = self._nodes.config.valid_until_blocks
        if blocks is None:
            blocks = max(VALIDITY_BLOCKS_MIN, -(-VALIDITY_MS // await self._nodes.block_ms()))
        return min(blocks, await self._nodes.validity_max())

    def _fees(self, rehearsals: Sequence[Rehearsal], terms: SealTerms) -> Fees:
        """Fees from the middle one of the rehearsals, so that a single endpoint can't set them, within the limits."""
        limits = self._nodes.config.fees
        gas = statistics.median_high([each.execution.gas_consumed.fractions for each in rehearsals])
        if terms.although_it_faults:
            gas = max(gas, FORCED_SYSTEM_FEE.fractions)
        network = statistics.median_high([each.network_fee for each in rehearsals])
        _within("system", gas, limits.system_max)
        _within("network", network, limits.network_max)
        margin = max(limits.system_margin_percent, terms.margin_percent)
        system = min(gas * (100 + margin) // 100, limits.system_max.fractions)
        network = min(network * (100 + terms.margin_percent) // 100, limits.network_max.fractions)
        return Fees(system=max(1, system), network=max(1, network))


def _counted(rehearsals: Sequence[Answer[Rehearsal]], *, although_it_faults: bool) -> list[Rehearsal]:
    """The rehearsals that the fees are made from.

    Raises:
        Refused: the rehearsal FAULTs, and that is not to be overridden.
    """
    return [each.value for each in rehearsals] if although_it_faults else _halting(rehearsals)


def _halting(rehearsals: Sequence[Answer[Rehearsal]]) -> list[Rehearsal]:
    """The rehearsals that HALT, if at least as many providers say HALT as say FAULT.

    A tie goes on: what a wrong HALT costs is a fee; what a wrong FAULT costs is the pause.

    Raises:
        Refused: the rehearsal FAULTs.
    """
    halting = [answer for answer in rehearsals if answer.value.execution.halted]
    faulting = [answer for answer in rehearsals if not answer.value.execution.halted]
    if halting and len(providers_of(halting)) >= len(providers_of(faulting)):
        return [answer.value for answer in halting]
    exception = faulting[0].value.execution.exception or "no reason given"
    raise Refused(
        "rehearsal-faulted",
        f"the test invocation ends in FAULT: {exception}",
        next_step="nothing was sent; check the method, its parameters and the account's rights",
        data={"exception": exception},
    )


def _within(kind: str, fee: int, limit: Gas) -> None:
    if fee > limit.fractions:
        raise Refused(
            "fee-over-limit",
            f"the {kind} fee would be {Gas(fee)} GAS, and the limit is {limit} GAS",
            next_step="raise the limit in the configuration if this is right",
            data={"fee": str(Gas(fee)), "limit": str(limit)},
        )


def _sent(entry: OutboxEntry) -> Sent:
    return Sent(entry.key, entry.tx, entry.valid_until_block)


def _refused(entry: OutboxEntry, reasons: str) -> Refused:
    return Refused(
        "transaction-refused",
        f"no endpoint took transaction {entry.tx}: {reasons}",
        next_step="mend the cause, then decide again: a new run signs a new transaction",
        data={"tx": entry.tx, "valid_until_block": entry.valid_until_block},
    )


def _undecided(entry: OutboxEntry, said: Offer) -> OutcomeUnknown:
    return OutcomeUnknown(
        "not-acknowledged",
        f"no endpoint said that it took transaction {entry.tx}: {said.reasons}",
        next_step="its bytes are kept; sending again under the same key offers the same transaction",
        data={"tx": entry.tx, "valid_until_block": entry.valid_until_block},
    )
