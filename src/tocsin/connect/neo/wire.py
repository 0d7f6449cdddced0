"""The shapes of the JSON-RPC answers that Tocsin reads, checked as they come in. Only what is used is named."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SkipValidation, TypeAdapter, field_validator

BLOCK_MS_MAX = 3_600_000
"""The longest block time that is believed: an hour."""

type Hash160 = Annotated[str, Field(pattern=r"^0x[0-9a-f]{40}$")]
type Hash256 = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
type Index = Annotated[int, Field(ge=0, le=2**31)]
"""A block's index or a number of blocks. The chain's own are unsigned 32-bit; what is near their end is no answer."""
type Milliseconds = Annotated[int, Field(ge=0, le=253_402_300_799_000)]
"""Since the epoch, up to the year 9999."""


class Answer(BaseModel):
    """Base: other members are ignored, so that newer nodes may say more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class StackItem(Answer):
    """A VM stack item; what `value` is depends on `type`, see `values`."""

    type: str
    # JSON it is, having come as such; what it must be besides is looked at when it is translated.
    value: Annotated[JsonValue, SkipValidation] = None


class NotificationAnswer(Answer):
    contract: Hash160
    eventname: str
    state: StackItem


class ScriptAnswer(Answer):
    """What a script did: the part that a test invocation and an application log have in common."""

    exception: str | None = None
    gasconsumed: int = Field(ge=0)
    stack: tuple[StackItem, ...] = ()
    notifications: tuple[NotificationAnswer, ...] = ()

    @field_validator("stack", mode="before")
    @classmethod
    def _unshowable(cls, stack: object) -> object:
        # neo-go writes "error: …" in place of a stack that it can't show (recursive or too large).
        return ({"type": "InteropInterface"},) if isinstance(stack, str) else stack

    @field_validator("notifications", mode="before")
    @classmethod
    def _none(cls, notifications: object) -> object:
        return notifications or ()


class InvocationAnswer(ScriptAnswer):
    state: str


class LoggedExecution(ScriptAnswer):
    trigger: str
    vmstate: str


class ApplicationLog(Answer):
    executions: tuple[LoggedExecution, ...] = Field(min_length=1)


class TransactionSigner(Answer):
    account: Hash160


class BlockTransactionAnswer(Answer):
    hash: Hash256
    signers: tuple[TransactionSigner, ...] = Field(min_length=1)


class PendingSigner(TransactionSigner):
    """A signer with all that is signed of it; see `content`."""

    scopes: str
    allowedcontracts: tuple[Hash160, ...] = ()
    allowedgroups: tuple[str, ...] = ()
    rules: tuple[JsonValue, ...] = ()


class PendingWitness(Answer):
    invocation: str = ""
    verification: str = ""


class PendingTransaction(Answer):
    """A transaction in a pool, with all that is signed of it."""

    hash: Hash256
    size: int = Field(gt=0, le=2**31)
    version: int = 0
    nonce: int
    sysfee: int = Field(ge=0)
    netfee: int = Field(ge=0)
    validuntilblock: Index
    attributes: tuple[dict[str, JsonValue], ...] = ()
    signers: tuple[PendingSigner, ...] = Field(min_length=1)
    script: str
    witnesses: tuple[PendingWitness, ...] = ()


class MempoolNews(Answer):
    type: str
    transaction: JsonValue


class MempoolEvent(Answer):
    """A WebSocket notification of what entered or left a pool."""

    method: Literal["mempool_event"]
    params: tuple[MempoolNews]


class BlockAnswer(Answer):
    """A verbose block."""

    hash: Hash256
    index: Index
    time: Milliseconds
    tx: tuple[BlockTransactionAnswer, ...] = ()


class Protocol(Answer):
    network: int
    msperblock: int = Field(gt=0, le=BLOCK_MS_MAX)
    maxvaliduntilblockincrement: int = Field(gt=0, le=2**31)


class Version(Answer):
    useragent: str = ""
    protocol: Protocol


class NetworkFee(Answer):
    networkfee: int = Field(ge=0)


class ManifestParameter(Answer):
    name: str
    type: str


class ManifestMethodAnswer(Answer):
    name: str
    parameters: tuple[ManifestParameter, ...] = ()
    returntype: str
    safe: bool = False


class Abi(Answer):
    methods: tuple[ManifestMethodAnswer, ...] = ()


class ManifestAnswer(Answer):
    name: str
    abi: Abi


class ContractState(Answer):
    hash: Hash160
    manifest: ManifestAnswer


class Sending(Answer):
    hash: str


class AddedHeader(Answer):
    index: Index


class HeaderEvent(Answer):
    """A WebSocket notification of a new block's header."""

    method: Literal["header_of_added_block"]
    params: tuple[AddedHeader]


COUNT = TypeAdapter[int](Index)
INVOCATION = TypeAdapter(InvocationAnswer)
APPLICATION_LOG = TypeAdapter(ApplicationLog)
BLOCK = TypeAdapter(BlockAnswer)
BLOCK_HASH = TypeAdapter[str](Hash256)
VERSION = TypeAdapter(Version)
NETWORK_FEE = TypeAdapter(NetworkFee)
CONTRACT_STATE = TypeAdapter(ContractState)
SENDING = TypeAdapter(Sending)
SUBSCRIPTION = TypeAdapter[str](str)
TEXT = TypeAdapter[str](str)
HEADER_EVENT = TypeAdapter(HeaderEvent)
MEMPOOL_EVENT = TypeAdapter(MempoolEvent)
PENDING = TypeAdapter(PendingTransaction)
POOL = TypeAdapter(list[Hash256])
