"""A sender whose bytes are there before anybody sends: from a bundle, or signed against the word of a rehearsal.

For everything but the signing it behaves as any `ChainSender`: the outbox first, then every endpoint, then the wait.
"""

from collections.abc import Awaitable, Callable, Sequence

from tocsin.connect.ports import ChainSender, Included, Invocation, Outbox, OutboxEntry, OutboxStatus, Presigner, Sent
from tocsin.domain.errors import OutcomeUnknown
from tocsin.domain.hashes import ScriptHash

type Sign = Callable[[str, Sequence[Invocation]], Awaitable[OutboxEntry]]
"""(key, calls) → the signed entry for that key."""


class PresignedSender:
    """`ChainSender` for bytes that `sign` gives. `account` is who signed them; None asks `sender`, who has the key."""

    def __init__(
        self, sender: ChainSender, presigner: Presigner, outbox: Outbox, sign: Sign, account: ScriptHash | None = None
    ) -> None:
        self._sender, self._presigner, self._outbox = sender, presigner, outbox
        self._sign, self._account = sign, account

    async def account(self, purpose: str) -> ScriptHash:
        """See `ChainSender.account`."""
        return self._account or await self._sender.account(purpose)

    async def recall(self, key: str) -> Sent | None:
        """See `ChainSender.recall`."""
        return await self._sender.recall(key)

    async def wait(self, sent: Sent) -> Included:
        """See `ChainSender.wait`."""
        return await self._sender.wait(sent)

    async def submit(self, key: str, calls: Sequence[Invocation], *, purpose: str) -> Sent:
        """See `ChainSender.submit`; nothing is rehearsed here."""
        standing = await self._outbox.get(key)
        if standing is None:
            standing = await self._outbox.put(await self._sign(key, calls))
        if standing.status is OutboxStatus.REFUSED:
            raise _refused(standing, "every endpoint refused it when it was offered")
        if standing.status is OutboxStatus.STORED:
            await self._offer(standing)
        return Sent(standing.key, standing.tx, standing.valid_until_block)

    async def _offer(self, entry: OutboxEntry) -> None:
        said = await self._presigner.offer(entry.raw)
        if said.accepted_by:
            return
        # Not settled as refused, unlike what is signed when it is sent: the same bytes may be good once, say, the
        # account has been funded, and whoever holds a bundle has no others. That they are refused now does not say that
        # nobody has them.
        if said.refused_for_good:
            raise _refused(entry, said.reasons)
        raise OutcomeUnknown(
            "not-acknowledged",
            f"no endpoint said that it took transaction {entry.tx}: {said.reasons}",
            next_step="its bytes are kept; running the same command again offers the same transaction",
            data={"tx": entry.tx, "valid_until_block": entry.valid_until_block},
        )


def _refused(entry: OutboxEntry, reasons: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        "transaction-refused",
        f"no endpoint took transaction {entry.tx}: {reasons}",
        next_step="mend the cause and send it again, or pause with the key: two pauses do no more than one",
        data={"tx": entry.tx, "valid_until_block": entry.valid_until_block},
    )
