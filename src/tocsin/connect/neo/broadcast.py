"""Offers signed bytes to every endpoint and sorts what they say. Offering the same bytes again is harmless."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Answer, Nodes, Question, Reply, Silence, answers_in
from tocsin.connect.neo.quorum import providers_of
from tocsin.connect.neo.rpc import RpcRejected
from tocsin.connect.neo.values import as_json
from tocsin.connect.neo.wire import SENDING
from tocsin.connect.ports import OutboxEntry
from tocsin.domain.errors import OutcomeUnknown

_ALREADY = frozenset({-501, -503})
"""It is on the chain or in the pool already: as good as accepted."""
_FOR_GOOD = frozenset({-500, -504, -505, -506, -507, -508, -509, -510, -511, -512})
"""Verification said no: fee, policy, script, attribute, signature, size, expiry, funds. Not among them: -502, a full
pool, and every error that does not speak of the transaction (internal errors, methods switched off)."""


class Word(StrEnum):
    """What one endpoint said to an offer."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Said:
    word: Word
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What came of offering: whether anybody took the bytes, and what each endpoint said."""

    replies: tuple[Reply[Said], ...]

    @property
    def accepted(self) -> bool:
        return any(answer.value.word is Word.ACCEPTED for answer in answers_in(self.replies))

    @property
    def refused_for_good(self) -> bool:
        """Every endpoint that the bytes may have reached refused them for good, and at least one was reached."""
        reached = [reply for reply in self.replies if isinstance(reply, Answer) or reply.delivered]
        return bool(reached) and all(
            isinstance(reply, Answer) and reply.value.word is Word.REFUSED for reply in reached
        )

    @property
    def reasons(self) -> str:
        return "; ".join(
            str(reply) if isinstance(reply, Silence) else f"{reply.endpoint.name}: {reply.value.reason or 'accepted'}"
            for reply in self.replies
        )


def offering(raw: bytes) -> Question[Said]:
    """Offers the bytes to one endpoint."""
    encoded = as_json(raw)

    async def question(node: Node) -> Said:
        try:
            await node.sending.call(SENDING, "sendrawtransaction", encoded)
        except RpcRejected as rejected:
            if rejected.code in _ALREADY:
                return Said(Word.ACCEPTED, str(rejected))
            return Said(Word.REFUSED if rejected.code in _FOR_GOOD else Word.UNDECIDED, str(rejected))
        return Said(Word.ACCEPTED)

    return question


async def offer(nodes: Nodes, raw: bytes) -> Offer:
    """Sends the bytes to every endpoint at once.

    The first acceptance counts, but all that answer in time get the bytes: one that accepts and keeps them to itself
    must not stop the others from having them. Endpoints that are set aside for reading get them as well.
    """
    question = offering(raw)

    def enough(answers: Sequence[Answer[Said]]) -> bool:
        accepted = [answer for answer in answers if answer.value.word is Word.ACCEPTED]
        return len(providers_of(accepted)) >= nodes.config.quorum

    return Offer(tuple(await nodes.ask(question, enough=enough, everybody=True)))


def refused(entry: OutboxEntry, reasons: str) -> OutcomeUnknown:
    """The error for bytes that every endpoint refused for good.

    A refusal is only a word: an endpoint that gives it may keep the bytes, and bring them to the chain while they are
    valid. So nothing may take their place before a quorum is past `valid_until_block`.
    """
    return OutcomeUnknown(
        "transaction-refused",
        f"no endpoint took transaction {entry.tx}: {reasons}",
        next_step=f"mend the cause; what came of it is certain once block {entry.valid_until_block} is past, and only "
        "then may another take its place",
        data={"tx": entry.tx, "valid_until_block": entry.valid_until_block},
    )


def undecided(entry: OutboxEntry, said: Offer) -> OutcomeUnknown:
    """The error for bytes that somebody may have taken."""
    return OutcomeUnknown(
        "not-acknowledged",
        f"no endpoint said that it took transaction {entry.tx}: {said.reasons}",
        next_step="its bytes are kept; sending again under the same key offers the same transaction",
        data={"tx": entry.tx, "valid_until_block": entry.valid_until_block},
    )
