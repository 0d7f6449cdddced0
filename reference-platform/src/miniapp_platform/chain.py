"""Speaks to one node, for the platform's own use: JSON-RPC, test invocations, building, signing, sending and waiting.

Deliberately small and independent of any other client: what it reports is used to judge others. It trusts its node,
never fails over and keeps no outbox. Amounts are integers of GAS fractions (10⁻⁸ GAS). Scripts and values stand in
`script`.
"""

import asyncio
import base64
import itertools
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypedDict, cast

import httpx2
from neo3.core.types import UInt160
from neo3.network.payloads.transaction import Transaction
from neo3.network.payloads.verification import Signer, Witness, WitnessScope

from miniapp_platform.accounts import Signatory
from miniapp_platform.errors import ChainUnreachable, NotIncluded, RehearsalFaulted, RpcError, TransactionFaulted
from miniapp_platform.script import GAS, Call, Execution, JsonExecution, JsonItem, StackValue, script, stack_value

VALID_BLOCKS = 100
WAIT_S_MAX = 60.0
NOT_ON_THE_CHAIN = frozenset({-103, -105})
"""Unknown transaction, unknown script container: how a node says that no block holds a transaction yet."""


class _Invocation(TypedDict):
    state: str
    gasconsumed: str
    exception: str | None
    stack: list[JsonItem]


class _ApplicationLog(TypedDict):
    executions: list[JsonExecution]


class _JsonSigner(TypedDict):
    account: str


class _JsonTransaction(TypedDict):
    hash: str
    signers: list[_JsonSigner]


class _Block(TypedDict):
    tx: list[_JsonTransaction]


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs, and where the signature counts: in the contracts named, or only where the script itself calls."""

    account: Signatory
    contracts: tuple[UInt160, ...] = ()

    def signer(self) -> Signer:
        if self.contracts:
            return Signer(self.account.script_hash, WitnessScope.CUSTOM_CONTRACTS, allowed_contracts=self.contracts)
        return Signer(self.account.script_hash, WitnessScope.CALLED_BY_ENTRY)


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction pays, in GAS fractions."""

    system: int
    network: int


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction ready to be sent, as often as one likes."""

    hash: str
    raw: bytes
    valid_until: int
    """The last block that may hold it."""
    fees: Fees


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a test invocation came to."""

    halted: bool
    fault: str
    gas_consumed: int
    stack: tuple[StackValue, ...]


class JsonRpc:
    """JSON-RPC over HTTP with one node. An async context that holds the connections."""

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        self.url = url
        self._ids = itertools.count(1)
        # Loopback only: no proxies from the environment, and no certificates to load.
        self._http = httpx2.AsyncClient(timeout=timeout_s, trust_env=False, verify=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def call(self, method: str, *parameters: object) -> object:
        """The result of a call. Raises ChainUnreachable, or RpcError with the node's code and words."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(parameters)}
        try:
            response = await self._http.post(self.url, json=request)
            reply = cast(dict[str, object], response.json())
        except (httpx2.TransportError, ValueError) as error:
            raise ChainUnreachable(f"{self.url} did not answer {method}: {error!r}") from error
        if (failure := cast("dict[str, object] | None", reply.get("error"))) is not None:
            code, message, data = failure.get("code", 0), failure.get("message", ""), failure.get("data", "")
            raise RpcError(cast(int, code), str(message), str(data))
        return reply["result"]


class Chain(JsonRpc):
    """A node's view of the chain, and the way in for transactions."""

    def __init__(self, url: str, magic: int, block_ms: int, timeout_s: float = 5.0) -> None:
        super().__init__(url, timeout_s)
        self.magic = magic
        self.block_ms = block_ms

    @property
    def poll_s(self) -> float:
        """How long to wait between two looks: a twentieth of a block, within bounds."""
        return min(0.05, max(0.005, self.block_ms / 20_000))

    async def height(self) -> int:
        """The index of the newest block."""
        return cast(int, await self.call("getblockcount")) - 1

    async def wait_height(self, height: int, wait_s_max: float = WAIT_S_MAX) -> int:
        """Wait for a block of at least this index, and return the newest one's. Raises NotIncluded in the end."""
        deadline = time.monotonic() + wait_s_max
        while (current := await self.height()) < height:
            if time.monotonic() > deadline:
                raise NotIncluded(f"no block {height} within {wait_s_max:g} s; the newest is {current}")
            await asyncio.sleep(self.poll_s)
        return current

    async def rehearse(self, calls: Sequence[Call], authorities: Sequence[Authority] = ()) -> Rehearsal:
        """Run calls on the newest state without changing it."""
        # neo-mamba does not say what its JSON is made of.
        signers = [cast(object, each.signer().to_json()) for each in authorities]  # pyright: ignore[reportUnknownMemberType]
        code = base64.b64encode(script(calls)).decode()
        result = cast(_Invocation, await self.call("invokescript", code, signers))
        return Rehearsal(
            halted=result["state"] == "HALT",
            fault=result.get("exception") or "",
            gas_consumed=int(result["gasconsumed"]),
            stack=tuple(stack_value(item) for item in result["stack"]),
        )

    async def read(self, call: Call) -> StackValue:
        """The result of a reading call. Raises RehearsalFaulted."""
        rehearsal = await self.rehearse([call])
        if not rehearsal.halted:
            raise RehearsalFaulted(rehearsal.fault)
        return rehearsal.stack[-1]

    async def gas_of(self, account: UInt160) -> int:
        """GAS fractions held by an account."""
        balance = await self.read(Call(GAS, "balanceOf", (account,)))
        assert isinstance(balance, int)
        return balance

    async def fees(self, calls: Sequence[Call], authorities: Sequence[Authority]) -> Fees:
        """What these calls cost now, found by a rehearsal. Raises RehearsalFaulted."""
        rehearsal = await self.rehearse(calls, authorities)
        if not rehearsal.halted:
            raise RehearsalFaulted(rehearsal.fault)
        draft = self._sign(calls, authorities, Fees(rehearsal.gas_consumed, 1), VALID_BLOCKS)
        answer = cast("dict[str, str]", await self.call("calculatenetworkfee", base64.b64encode(draft.raw).decode()))
        return Fees(rehearsal.gas_consumed, int(answer["networkfee"]))

    async def build(
        self, calls: Sequence[Call], authorities: Sequence[Authority], fees: Fees | None = None
    ) -> SignedTransaction:
        """Build and sign a transaction; the first authority pays. With `fees` given there is no rehearsal.

        Raises RehearsalFaulted when the calls would fault now.
        """
        if fees is None:
            fees = await self.fees(calls, authorities)
        return self._sign(calls, authorities, fees, await self.height() + VALID_BLOCKS)

    async def send(self, transaction: SignedTransaction) -> None:
        """Hand a transaction to the node. Raises RpcError when it is refused, ChainUnreachable when nobody knows."""
        await self.call("sendrawtransaction", base64.b64encode(transaction.raw).decode())

    async def execution(self, transaction: str) -> Execution | None:
        """What became of a transaction: None as long as no block holds it."""
        try:
            log = cast(_ApplicationLog, await self.call("getapplicationlog", transaction))
        except RpcError as error:
            if error.code in NOT_ON_THE_CHAIN:
                return None
            raise
        return Execution.from_json(transaction, log["executions"][0])

    async def block_of(self, transaction: str) -> tuple[str, ...]:
        """All transactions of the block that holds this one, in their order. Raises RpcError when no block holds it."""
        height = await self.call("gettransactionheight", transaction)
        block = cast("_Block", await self.call("getblock", height, 1))
        return tuple(each["hash"] for each in block["tx"])

    async def transactions_of(self, account: UInt160, block: int) -> tuple[str, ...]:
        """Hashes of the transactions in a block that an account has signed, in their order."""
        found = cast(_Block, await self.call("getblock", block, True))
        signed_by = f"0x{account}"
        return tuple(
            each["hash"] for each in found["tx"] if any(signer["account"] == signed_by for signer in each["signers"])
        )

    async def wait(self, transaction: SignedTransaction, wait_s_max: float = WAIT_S_MAX) -> Execution:
        """Wait until a block holds the transaction, whether it HALTed or FAULTed there.

        Raises NotIncluded when its validity or the time has ended before.
        """
        deadline = time.monotonic() + wait_s_max
        while time.monotonic() < deadline:
            expired = await self.height() >= transaction.valid_until
            if (execution := await self.execution(transaction.hash)) is not None:
                return execution
            if expired:
                break
            await asyncio.sleep(self.poll_s)
        raise NotIncluded(f"transaction {transaction.hash} is in no block")

    async def execute(self, calls: Sequence[Call], authorities: Sequence[Authority]) -> Execution:
        """Rehearse, send and wait. Raises RehearsalFaulted, TransactionFaulted, NotIncluded, and what `send` raises."""
        transaction = await self.build(calls, authorities)
        await self.send(transaction)
        execution = await self.wait(transaction)
        if not execution.halted:
            raise TransactionFaulted(transaction.hash, execution.fault)
        return execution

    def _sign(
        self, calls: Sequence[Call], authorities: Sequence[Authority], fees: Fees, valid_until: int
    ) -> SignedTransaction:
        assert authorities
        transaction = Transaction(
            version=0,
            nonce=secrets.randbits(32),  # so that the same call at the same height is not the same transaction
            system_fee=fees.system,
            network_fee=fees.network,
            valid_until_block=valid_until,
            signers=[authority.signer() for authority in authorities],
            script=script(calls),
        )
        message = self.magic.to_bytes(4, "little") + transaction.hash().to_array()
        transaction.witnesses = [
            Witness(authority.account.invocation_script(message), authority.account.verification_script)
            for authority in authorities
        ]
        return SignedTransaction(f"0x{transaction.hash()}", transaction.to_array(), valid_until, fees)
