"""The protocols of the outside world, in the words of the domain. Vendors implement them; rooms depend on nothing else.

Reads raise `Unavailable`; `submit` raises `Refused` before anything was sent; `wait` raises `Failed` when the chain has
said no, and `OutcomeUnknown` when it has not said anything in time.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

from tocsin.domain.actions import QuorumResult
from tocsin.domain.amounts import Gas
from tocsin.domain.canonical import Json
from tocsin.domain.hashes import BlockHash, ScriptHash, TxHash

type StackValue = None | bool | int | bytes | tuple[StackValue, ...]
"""A value that a contract left on the stack. Strings and hashes are bytes (hashes little-endian, as on the chain);
maps are tuples of (key, value) pairs; an iterator or interop item is None."""


class ParameterType(StrEnum):
    """Neo's contract parameter types, spelled as manifests spell them."""

    ANY = "Any"
    BOOLEAN = "Boolean"
    INTEGER = "Integer"
    BYTE_ARRAY = "ByteArray"
    STRING = "String"
    HASH160 = "Hash160"
    HASH256 = "Hash256"
    PUBLIC_KEY = "PublicKey"
    SIGNATURE = "Signature"
    ARRAY = "Array"
    MAP = "Map"
    INTEROP = "InteropInterface"
    VOID = "Void"


type ArgumentValue = None | bool | int | str | bytes | tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Argument:
    """One typed argument of a call. A Hash160 or Hash256 is a `0x…` string, a ByteArray is bytes, Any is None."""

    type: ParameterType
    value: ArgumentValue


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call of a contract's method."""

    contract: ScriptHash
    method: str
    arguments: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(str(a.value) for a in self.arguments)
        return f"{self.contract}.{self.method}({shown})"


@dataclass(frozen=True, slots=True)
class Signer:
    """An account whose witness a call carries, and the contracts that may use it.

    `scope` "custom_contracts" limits the witness to `contracts`; "called_by_entry" to the contract that the script
    calls itself; "none" pays the fee and proves nothing. Global is not offered (DESIGN, "Least power").
    """

    account: ScriptHash
    scope: Literal["none", "called_by_entry", "custom_contracts"] = "custom_contracts"
    contracts: tuple[ScriptHash, ...] = ()


@dataclass(frozen=True, slots=True)
class Notification:
    """An event that a contract emitted. `container` is the transaction's hash, or the block's for OnPersist."""

    contract: ScriptHash
    name: str
    values: tuple[StackValue, ...]
    container: TxHash | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """What a script did when it ran, on the chain or as a test invocation (which changes nothing)."""

    halted: bool
    exception: str | None
    stack: tuple[StackValue, ...]
    gas_consumed: Gas
    notifications: tuple[Notification, ...] = ()

    @property
    def reason(self) -> str:
        """Why it FAULTed, for people: what the contract itself gave as its reason, else the node's whole sentence."""
        _, found, given = (self.exception or "").partition("Reason: ")
        return given if found else self.exception or "no reason given"


@dataclass(frozen=True, slots=True)
class ManifestMethod:
    name: str
    parameters: tuple[tuple[str, ParameterType], ...]
    returns: ParameterType
    safe: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a deployed contract says of itself."""

    contract: ScriptHash
    name: str
    methods: tuple[ManifestMethod, ...]


@dataclass(frozen=True, slots=True)
class QuorumReading:
    """One answer that a quorum of independent providers gave, each at `height` or above.

    `dissent` names endpoints that answered otherwise or not at all, with the reason.
    """

    execution: Execution
    height: int
    quorum: QuorumResult
    dissent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that stands in the outbox and was offered to the chain. Submitted is not done."""

    key: str
    tx: TxHash
    valid_until_block: int


@dataclass(frozen=True, slots=True)
class Included:
    """A transaction that a block contains, with what its execution did, on the word of `quorum`."""

    tx: TxHash
    height: int
    execution: Execution
    quorum: QuorumResult


@dataclass(frozen=True, slots=True)
class BlockTransaction:
    tx: TxHash
    sender: ScriptHash
    signers: tuple[ScriptHash, ...]
    halted: bool
    notifications: tuple[Notification, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A final block (dBFT has no reorganisations) with what its transactions did, in order."""

    height: int
    hash: BlockHash
    time: datetime
    transactions: tuple[BlockTransaction, ...]


class ChainReader(Protocol):
    """Reads the chain and tries calls without changing it."""

    async def height(self) -> int:
        """The index of the newest block that a quorum of providers has, so that a lie about it moves nothing.

        Where fewer providers answer than the quorum needs, it is one that all of those have.

        Raises:
            Unavailable: no endpoint answered.
        """
        ...

    async def manifest(self, contract: ScriptHash) -> Manifest:
        """The contract's manifest.

        Raises:
            Refused: no contract stands at this hash.
            Unavailable: no endpoint answered.
        """
        ...

    async def test_invoke(self, calls: Sequence[Invocation], signers: Sequence[Signer] = ()) -> Execution:
        """Runs the calls as one script on the best endpoint's present state, with automatic failover.

        The stack holds one value a call, in order. A FAULT is an Execution with `halted` False, not an error.

        Raises:
            Unavailable: no endpoint answered.
        """
        ...

    async def quorum_invoke(
        self, calls: Sequence[Invocation], signers: Sequence[Signer] = (), *, at_least: int
    ) -> QuorumReading:
        """The same test invocation on every endpoint at height `at_least` or above; providers count once.

        Raises:
            Unavailable: fewer independent providers agree than the quorum needs; the message names each one's answer.
        """
        ...


class ChainSender(Protocol):
    """Sends transactions so that each key has at most one on the chain."""

    async def account(self, purpose: str) -> ScriptHash:
        """The account that signs for `purpose`.

        Raises:
            Refused: no key is configured for this purpose, or its wallet can't be opened.
        """
        ...

    async def submit(self, key: str, calls: Sequence[Invocation], *, purpose: str) -> Sent:
        """Test-invokes, signs with the purpose's key, stores the bytes in the outbox, then broadcasts them.

        Idempotent by `key`: a second call with the same key broadcasts the stored bytes again and never signs anew.
        The witness is scoped to the contracts of `calls` (CustomContracts). The script asserts nothing: whether the
        results are true is the caller's to judge from the execution.

        Raises:
            Refused: the test invocation FAULTs, or the key may not be used for this; nothing was sent.
            OutcomeUnknown: the bytes stand in the outbox and no endpoint said whether it took them; or
                `transaction-refused`: every endpoint refused them for good, now or when they were first offered. One
                may have kept them, so only `wait` says what came of them. They are not offered again.
        """
        ...

    async def recall(self, key: str) -> Sent | None:
        """The transaction that stands in the outbox under `key`, or None."""
        ...

    async def wait(self, sent: Sent) -> Included:
        """Waits until a quorum of providers has the transaction in a block, rebroadcasting the same bytes.

        Raises:
            Failed: `expired`: the chain has passed `valid_until_block` on a quorum and the transaction is in no block
                (also for one that every endpoint refused, which is only waited for, never rebroadcast);
                `cancelled`: a quorum has its cancellation in a block; `cancel-lost`: it is a cancellation, and a quorum
                has what it was to cancel in a block.
            OutcomeUnknown: nodes vanished, or the bounded wait ended, before the chain said either.
        """
        ...


class ChainCanceller(Protocol):
    """Takes back what was sent and is still pending."""

    async def cancel(self, key: str) -> Sent:
        """Sends a transaction of the same signer that conflicts with the one under `key` and pays more.

        At most one of the two ever takes effect; `wait` says which, for either of them. Idempotent by `key`: while a
        cancellation stands, it is offered again. It expires when what it cancels does.

        Raises:
            Refused: nothing is pending under this key, or the fee would be above its maximum; nothing changed.
            Failed: `cancel-lost`: a quorum has the transaction in a block.
            OutcomeUnknown: no endpoint said whether it took the cancellation; or `transaction-refused`: every endpoint
                refused it for good, though one may have kept it.
        """
        ...


class BlockFeed(Protocol):
    """Final blocks as they come."""

    def heads(self) -> AsyncIterator[int]:
        """Yields the newest block's index whenever it has grown; reconnects by itself and never ends."""
        ...

    async def block(self, height: int, *, confirmed: bool = False) -> Block:
        """The block with all its transactions' notifications, on the word of one endpoint.

        `confirmed`: on the word of a quorum of independent providers, who must give the same block, transactions,
        outcomes and notifications; those who tell otherwise are named in the survey of the endpoints.

        Raises:
            Unavailable: no endpoint has it (yet); or `block-unconfirmed`: no quorum agrees on it within its bound.
        """
        ...


class BlockHistory(Protocol):
    """Many blocks of the past, quickly: read in batches, ahead of whoever takes them."""

    def blocks(self, first: int, last: int) -> AsyncGenerator[Block]:
        """Yields the blocks from `first` to `last` in order, each on the word of one endpoint, as `BlockFeed.block`.

        How far it reads ahead is bounded. Close it (`contextlib.aclosing`) when not all of them are taken.

        Raises:
            Unavailable: no endpoint gave the block after the last that was yielded; the next try may go on there.
        """
        ...


class StateHistory(Protocol):
    """Old states of the chain, where a node keeps them."""

    async def test_invoke_at(self, questions: Sequence[tuple[int, Invocation]]) -> Sequence[Execution]:
        """Runs each call by itself on the state after the block of its height; answers in the questions' order.

        Raises:
            Refused: `states-not-kept`: endpoints answered, and none of them has these states.
            Unavailable: no endpoint answered.
        """
        ...


class OutboxStatus(StrEnum):
    """What became of an outbox entry. `STORED` covers everything from signed to broadcast without an answer.

    `REFUSED`: every endpoint that was reached refused the bytes for good when they were first offered. They are never
    offered again, and stay so that their key never signs others. It is no outcome: an endpoint may have kept them, so
    what came of them the chain says, by `valid_until_block` at the latest.
    `CANCELLED`: another transaction of the same signer, which conflicts with it, is in block `height`; so it never can
    be. That is a transaction that was cancelled, or a cancellation that came too late.
    """

    STORED = "stored"
    INCLUDED = "included"
    EXPIRED = "expired"
    REFUSED = "refused"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A signed transaction. `raw` is its complete serialisation, witnesses and all."""

    key: str
    tx: TxHash
    raw: bytes
    valid_until_block: int
    purpose: str
    created_at: datetime
    status: OutboxStatus = OutboxStatus.STORED
    height: int | None = None

    @property
    def sent(self) -> Sent:
        """The transaction as something to wait for."""
        return Sent(self.key, self.tx, self.valid_until_block)


class Outbox(Protocol):
    """Signed transactions with what became of them; durable before `put` returns."""

    async def put(self, entry: OutboxEntry) -> OutboxEntry:
        """Stores the entry unless its key has one already; returns the one that stands (first writer wins)."""
        ...

    async def get(self, key: str) -> OutboxEntry | None:
        """The entry under `key`."""
        ...

    async def settle(self, key: str, status: OutboxStatus, height: int | None) -> None:
        """Records what became of the entry. Settling twice with the same outcome is harmless.

        Raises:
            Refused: it was settled otherwise before, or no entry has this key.
        """
        ...

    async def unsettled(self) -> Sequence[OutboxEntry]:
        """Entries still `STORED`, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxPage:
    """An entry with what was said when it was put (who, why), and remarks of what came of it, by their names."""

    entry: OutboxEntry
    about: Mapping[str, Json]
    remarks: Mapping[str, Mapping[str, Json]]


class PauseOutbox(Outbox, Protocol):
    """An outbox that needs no database, and that the server reads later to know what was done without it."""

    async def pages(self) -> Sequence[OutboxPage]:
        """Every entry with what was said of it, in the order in which they were put."""
        ...

    async def remark(self, key: str, name: str, facts: Mapping[str, Json]) -> None:
        """Keeps facts beside an entry; a later remark of the same name takes the place of the one before.

        Raises:
            Refused: no entry has this key.
        """
        ...

    async def damage(self) -> Sequence[str]:
        """Sentences about what was passed over because it can't be read; normally none."""
        ...


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far ahead a transaction may be signed now: nodes take it until it is `blocks_max` blocks past `height`."""

    height: int
    blocks_max: int
    block_ms: int


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What the bytes of a signed transaction say by themselves; the signature is right for this network."""

    tx: TxHash
    account: ScriptHash
    valid_until_block: int


@dataclass(frozen=True, slots=True)
class Offered:
    """What endpoints said to signed bytes: the names of those that took them, of how many, and everybody's reasons.

    `refused_for_good`: every endpoint that was reached says that the bytes can never be valid.
    """

    accepted_by: tuple[str, ...]
    of: int
    refused_for_good: bool
    reasons: str


class Presigner(Protocol):
    """Signs transactions that somebody else sends, perhaps much later; recognises and offers such bytes."""

    async def horizon(self) -> Horizon:
        """Where the chain stands, and how far ahead it takes transactions.

        Raises:
            Unavailable: no endpoint answered.
        """
        ...

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
        """Rehearses and signs the calls as an entry for an outbox; stores nothing and sends nothing.

        Args:
            valid_until_block: the last block that may hold it; None as for a transaction that is sent at once.
            margin_percent: added to both fees, since prices may have changed when it is sent.
            although_it_faults: sign even though the rehearsal FAULTs.

        Raises:
            Refused: as `ChainSender.submit` does before it sends anything.
        """
        ...

    def unseal(self, raw: bytes, calls: Sequence[Invocation]) -> Unsealed:
        """Reads signed bytes, and makes sure that they do these calls and nothing else, on this network.

        Raises:
            Refused: they are no such transaction, or their signature is not right for this network.
        """
        ...

    async def offer(self, raw: bytes) -> Offered:
        """Offers the bytes to every endpoint at once. Offering them again is harmless."""
        ...
