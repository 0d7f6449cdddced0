"""What a reflex needs of the chain before any block holds anything: pending transactions, rehearsals, armed calls.

Protocols and values like those of `ports`, for the few milliseconds between an attack's arrival in the pool and the
pause that overtakes it. What a pending transaction means, and when to fire, is the reflex's to decide.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from tocsin.connect.ports import Execution, Invocation, Sent
from tocsin.domain.amounts import Gas
from tocsin.domain.canonical import Json
from tocsin.domain.hashes import ScriptHash, TxHash

FEE_STEP = 1_000
"""By how much per byte, in units of 10⁻⁸ GAS, a fired call pays more than what it is to overtake."""


@dataclass(frozen=True, slots=True)
class FeeBid:
    """What a transaction pays to be taken before others: nodes order by network fee per byte, then by network fee."""

    network_fee: Gas
    size: int
    """In bytes."""

    @property
    def per_byte(self) -> int:
        """In whole units of 10⁻⁸ GAS, as nodes compare it."""
        return self.network_fee.fractions // self.size

    def beaten_by(self, size: int) -> Gas:
        """The network fee with which a transaction of `size` bytes comes before this one."""
        return Gas((self.per_byte + 1 + FEE_STEP) * size)


@dataclass(frozen=True, slots=True)
class MempoolTransaction:
    """A transaction in a node's pool, on the word of `endpoint`: well-formed, but not known to be in any block.

    `tx` is computed from the content where `bound` is True, so that no node can pass another content off under the hash
    of a real transaction; False: the content has parts that this version can't serialise. Witnesses are not checked
    here: whether a second provider has it too (`MempoolFeed.seen_by`) is what shows that its signatures are real.
    """

    tx: TxHash
    sender: ScriptHash
    signers: tuple[ScriptHash, ...]
    network_fee: Gas
    system_fee: Gas
    size: int
    """In bytes."""
    script: bytes
    """Empty where the content is not `bound`."""
    valid_until_block: int
    endpoint: str
    bound: bool
    content: Mapping[str, Json] = field(repr=False, compare=False)
    """The transaction as the node told of it: what a rehearsal runs."""
    heard_at: float = field(default_factory=time.perf_counter, compare=False)
    """When the first word of it came from a node, by `time.perf_counter`, in seconds."""

    @property
    def bid(self) -> FeeBid:
        return FeeBid(self.network_fee, self.size)


class GapReason(StrEnum):
    """Why transactions may have gone by unseen."""

    MISSED = "missed"
    """The node says that it dropped events for us."""
    RECONNECTED = "reconnected"
    """The subscription was lost and stands again."""
    OVERRUN = "overrun"
    """Whoever reads the feed was too slow, and events were dropped on our side."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Transactions may have gone by unseen at this endpoint: read what is `pending` to catch up."""

    endpoint: str
    reason: GapReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MempoolSource:
    """How an endpoint serves as a source of pending transactions.

    "off": it does not offer them (`detail` says why: subscriptions disabled, no WebSocket configured). "lost": not to
    be reached at this moment. `told`: how many transactions it has told of so far. `suspicion`: what speaks against it,
    that it told of something false, or stays silent about what the others tell of.
    """

    endpoint: str
    state: Literal["connecting", "listening", "lost", "off"]
    detail: str = ""
    told: int = 0
    suspicion: str | None = None


class MempoolFeed(Protocol):
    """Transactions as they enter the nodes' pools."""

    def events(self) -> AsyncIterator[MempoolTransaction | Gap]:
        """Every transaction once, from whichever endpoint tells of it first, and gaps; reconnects by itself.

        One reader at a time. It goes on for ever, unless no endpoint offers such a feed.

        Raises:
            Unavailable: `mempool-subscriptions-off`: every endpoint has them switched off, or has no WebSocket; fall
                back to blocks. (One that can't be reached may have them on, and is waited for.)
        """
        ...

    async def pending(self) -> Sequence[MempoolTransaction]:
        """What is in the pools now and was not given out yet; given out by this. For catching up after a `Gap`.

        Raises:
            Unavailable: no endpoint answered.
        """
        ...

    async def probe(self) -> tuple[MempoolSource, ...]:
        """Tries a subscription at every endpoint at once and says what came of it; for start-up. Never raises."""
        ...

    def sources(self) -> tuple[MempoolSource, ...]:
        """How the endpoints stand while `events` is read."""
        ...

    def seen_by(self, tx: TxHash) -> frozenset[str]:
        """The providers that have told of exactly this transaction so far; the memory is bounded."""
        ...


class Rehearser(Protocol):
    """Runs a pending transaction on the newest state without changing it."""

    async def rehearse(self, tx: MempoolTransaction, *, providers: int = 1) -> Execution:
        """What the transaction would do now, with its notifications; as all of `providers` independent providers say.

        A HALT and an ordinary FAULT are executions. It sees what is in blocks, not what other pending transactions
        will have done before.

        Raises:
            Unavailable: it can't be judged, so a person should look: `rehearsal-over-gas-limit` (it needs more than
                the node spends on a rehearsal, and pays for more; one that pays for less runs out of GAS in a block
                too, and FAULTs here), `rehearsal-disputed` (providers say different things),
                `rehearsal-unanswered` (no readable answer in time).
        """
        ...


@dataclass(frozen=True, slots=True)
class ArmedCall:
    """Calls that were rehearsed and priced, ready to be signed and sent at once. Nothing of it is secret."""

    purpose: str
    calls: tuple[Invocation, ...]
    account: ScriptHash
    script: bytes
    contracts: tuple[ScriptHash, ...]
    """The only contracts that may use the witness."""
    system_fee: Gas
    network_fee: Gas
    """The least that the network takes."""
    size: int
    """In bytes, once signed."""
    armed_at: int
    """The block on whose state it was rehearsed."""
    armed_until: int
    """Renew it before this block: its rehearsal and prices are not vouched for afterwards, and rungs expire here."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A signed transaction of a ladder, not in the outbox and known to nobody."""

    tx: TxHash
    raw: bytes
    network_fee: Gas

    @property
    def bid(self) -> FeeBid:
        return FeeBid(self.network_fee, len(self.raw))


@dataclass(frozen=True, slots=True)
class Ladder:
    """One armed call, signed ahead with ever higher network fees, for when the key is not at hand at that moment.

    At most one rung ever takes effect: each names all lower ones in `Conflicts` attributes, and all have the same
    signer, so a block or a pool that has one refuses every other, in whichever order they come. All expire after
    `armed.armed_until`. Whoever holds the bytes can send them, so they are to be kept like a key that can only do this.
    """

    armed: ArmedCall
    rungs: tuple[Rung, ...]
    """The cheapest first."""


@dataclass(frozen=True, slots=True)
class Fired(Sent):
    """A fired call: stored in the outbox and accepted by at least one endpoint.

    `outbids`: it pays more per byte than the bid that it was to beat. False where the configured maximum (or the
    topmost rung) does not suffice: then it was sent at that, and may come too late.
    """

    network_fee: Gas
    outbids: bool
    accepted_by: str
    """The endpoint that took it first; empty if the key's transaction stood already and was not offered again."""


class ArmedSender(Protocol):
    """Sends prepared calls within milliseconds. Waiting for the outcome is `ChainSender.wait`'s."""

    async def arm(self, calls: Sequence[Invocation], *, purpose: str) -> ArmedCall:
        """Rehearses and prices the calls, opens the purpose's key and the connections; signs and sends nothing.

        Raises:
            Refused: as `ChainSender.submit` does before it sends anything.
        """
        ...

    async def rearm(self, armed: ArmedCall) -> ArmedCall:
        """The same calls, rehearsed and priced anew.

        Raises:
            Refused: as `arm`.
        """
        ...

    async def fire(self, key: str, armed: ArmedCall, *, above: FeeBid | None = None) -> Fired:
        """Signs with a fee per byte above the bid, stores the bytes in the outbox, then offers them to all endpoints.

        Returns after the first acceptance; the other endpoints get the bytes all the same. Idempotent by `key`: where a
        transaction stands under it already, that one is offered again, whatever it pays. No bid: the least fee.

        Raises:
            Refused: the key is not to be had, or it is another purpose's.
            OutcomeUnknown: the bytes stand in the outbox and no endpoint said whether it took them; or
                `transaction-refused`: every endpoint refused them for good. See `ChainSender.submit`.
        """
        ...

    async def rungs(self, armed: ArmedCall) -> Ladder:
        """Signs the ladder: the least network fee times 1, 4, 16, … and at last the configured maximum.

        Raises:
            Refused: as `arm`.
        """
        ...

    async def fire_rung(self, key: str, ladder: Ladder, *, above: FeeBid | None = None) -> Fired:
        """Fires the lowest rung that outbids, or the topmost; needs no key. Otherwise like `fire`.

        Only what was fired stands in the outbox, and the first rung under a key is the key's for good; a higher one
        that is to replace it is fired under another key.
        """
        ...
