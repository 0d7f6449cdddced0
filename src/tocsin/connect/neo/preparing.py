"""What must be known before a transaction is signed: that it HALTs, what it costs, and until when it may be valid.

Asked of several endpoints, so that a single one can neither stop a transaction nor set its price. Signing, storing and
sending are for those who asked.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Answer, Nodes, answers_in, height_in, unavailable
from tocsin.connect.neo.quorum import agreed_height, providers_of
from tocsin.connect.neo.rpc import RpcRejected, read
from tocsin.connect.neo.script import signers_json
from tocsin.connect.neo.transactions import Draft, Fees
from tocsin.connect.neo.values import as_json, execution_of
from tocsin.connect.neo.wire import INVOCATION, NETWORK_FEE
from tocsin.connect.ports import Execution
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import Refused, Unavailable

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


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a draft is signed with: fees, and the last block that may hold it. `height`: the state it was tried on."""

    fees: Fees
    height: int
    valid_until_block: int


class Preparation:
    """Rehearses and prices drafts at the endpoints of a network."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def prepare(self, draft: Draft, terms: SealTerms | None = None) -> Prepared:
        """Tries the draft.

        Raises:
            Refused: it FAULTs, costs more than the limits allow, or no endpoint could try it.
        """
        terms = terms or SealTerms()
        try:
            rehearsals = await self._rehearse(draft)
            height = self._height(rehearsals)
            valid_until_block = terms.valid_until_block
            if valid_until_block is None:
                valid_until_block = height + await self.validity_blocks()
        except Unavailable as error:
            raise Refused(
                "not-rehearsed",
                f"nothing was sent, for want of a rehearsal: {error.message}",
                next_step=error.next_step,
            ) from error
        fees = self._fees(_counted(rehearsals, although_it_faults=terms.although_it_faults), terms)
        return Prepared(fees, height, valid_until_block)

    async def validity_blocks(self) -> int:
        """For how many blocks a transaction is valid that is sent at once.

        Raises:
            Unavailable: no endpoint answered.
        """
        blocks = self._nodes.config.valid_until_blocks
        if blocks is None:
            blocks = max(VALIDITY_BLOCKS_MIN, -(-VALIDITY_MS // await self._nodes.block_ms()))
        return min(blocks, await self._nodes.validity_max())

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

    def _fees(self, rehearsals: Sequence[Rehearsal], terms: SealTerms) -> Fees:
        """Fees from the middle one of the rehearsals, so that a single endpoint can't set them, within the limits."""
        limits = self._nodes.config.fees
        gas = statistics.median_high([each.execution.gas_consumed.fractions for each in rehearsals])
        if terms.although_it_faults:
            gas = max(gas, FORCED_SYSTEM_FEE.fractions)
        network = statistics.median_high([each.network_fee for each in rehearsals])
        within("system", gas, limits.system_max)
        within("network", network, limits.network_max)
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


def within(kind: str, fee: int, limit: Gas) -> None:
    """Refuses a fee (in units of 10⁻⁸ GAS) above its limit.

    Raises:
        Refused: it is above.
    """
    if fee > limit.fractions:
        raise Refused(
            "fee-over-limit",
            f"the {kind} fee would be {Gas(fee)} GAS, and the limit is {limit} GAS",
            next_step="raise the limit in the configuration if this is right",
            data={"fee": str(Gas(fee)), "limit": str(limit)},
        )
