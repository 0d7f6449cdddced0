"""Transactions that are signed now and sent by somebody else later: for break glass and its bundles.

Signing is `sender`'s, offering is `broadcast`'s. What is added here is recognising such bytes again: they are read by
themselves, and the script that they carry is compared with the one that the expected calls make, byte by byte, so that
nothing that is written beside them needs to be believed.
"""

from collections.abc import Sequence

from tocsin.connect.neo import mamba
from tocsin.connect.neo.broadcast import Word, offer
from tocsin.connect.neo.nodes import Answer, Nodes, answers_in, unavailable
from tocsin.connect.neo.preparing import SealTerms
from tocsin.connect.neo.quorum import agreed_height
from tocsin.connect.neo.script import scope_of, script_for
from tocsin.connect.neo.sender import NeoSender
from tocsin.connect.ports import Horizon, Invocation, Offered, OutboxEntry, Unsealed
from tocsin.domain.errors import Refused


class NeoPresigner:
    """`Presigner` over the endpoints of a network and the sender that has the keys."""

    def __init__(self, nodes: Nodes, sender: NeoSender) -> None:
        self._nodes = nodes
        self._sender = sender

    async def horizon(self) -> Horizon:
        """See `Presigner.horizon`."""
        replies = await self._nodes.heights()
        heights = [Answer(each.endpoint, each.value) for each in answers_in(replies)]
        height = agreed_height(heights, self._nodes.config.quorum)
        if height is None:
            raise unavailable("the height", replies)
        return Horizon(height, await self._nodes.validity_max(), await self._nodes.block_ms())

    async def seal(
        self,
        key: str,
        calls: Sequence[Invocation],
        *,
        purpose: str,
        valid_until_block: int | None = None,
        margin_percent: int = 0,
        although_it_faults: bool = False,
    ) -> OutboxEntry:
        """See `Presigner.seal`."""
        terms = SealTerms(valid_until_block, margin_percent, although_it_faults)
        return await self._sender.seal(key, calls, purpose=purpose, terms=terms)

    def unseal(self, raw: bytes, calls: Sequence[Invocation]) -> Unsealed:
        """See `Presigner.unseal`."""
        try:
            opened = mamba.opened(raw)
        except ValueError as error:
            raise Refused(
                "bytes-unusable",
                f"these are not the bytes of a transaction that Tocsin has signed: {error}",
                next_step="take the file from its source again, or make a new one",
            ) from error
        contracts = scope_of(calls, opened.account).contracts
        if opened.script != script_for(calls) or opened.contracts != contracts:
            raise Refused(
                "bytes-do-something-else",
                f"transaction {opened.tx} does not do what is written beside it: {', '.join(map(str, calls))}",
                next_step="don't send it; find out who changed the file, and make a new one",
                data={"tx": opened.tx},
            )
        message = self._nodes.config.magic.to_bytes(4, "little") + opened.digest
        if not mamba.verify(message, opened.signature, opened.public_key):
            raise Refused(
                "signature-wrong",
                f"the signature of transaction {opened.tx} is not right for network {self._nodes.config.magic}: "
                "the bytes were changed, or they were signed for another network",
                next_step="check network.magic of the configuration, or make a new file",
                data={"tx": opened.tx, "network": self._nodes.config.magic},
            )
        return Unsealed(opened.tx, opened.account, opened.valid_until_block)

    async def offer(self, raw: bytes) -> Offered:
        """See `Presigner.offer`."""
        said = await offer(self._nodes, raw)
        accepted = tuple(a.endpoint.name for a in answers_in(said.replies) if a.value.word is Word.ACCEPTED)
        return Offered(accepted, len(said.replies), said.refused_for_good, said.reasons)
