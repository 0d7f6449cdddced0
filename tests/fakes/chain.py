"""A small chain in memory: `ChainReader`, `ChainSender` and `BlockFeed` over contracts that are Python functions.

A contract is a manifest, a state and a function a method. Test invocations run on a copy of the state; a transaction is
included when the test says so (`mine`). Faults are knobs: `fault`, `answer`, `silence` and `answering`.
"""

import asyncio
import copy
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from tocsin.connect.ports import (
    Argument,
    Block,
    BlockTransaction,
    Execution,
    Included,
    Invocation,
    Manifest,
    ManifestMethod,
    Notification,
    ParameterType,
    QuorumReading,
    Sent,
    Signer,
    StackValue,
)
from tocsin.domain.actions import QuorumResult
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import Failed, OutcomeUnknown, Refused, Unavailable
from tocsin.domain.hashes import BlockHash, ScriptHash, TxHash, script_hash

GAS = script_hash("0xd2a4cff31913016155e38e474a2c06d08be276cf")
GENESIS = datetime(2025, 1, 1, tzinfo=UTC)
VALID_BLOCKS = 10
CONSUMED = Gas(1_000_000)

type State = dict[StackValue, StackValue]
type World = dict[ScriptHash, State]
type Method = Callable[[Frame], StackValue]


class Fault(Exception):
    """What a method raises to FAULT the script."""


@dataclass(frozen=True)
class Frame:
    """What a method sees of the script that calls it."""

    world: World
    contract: ScriptHash
    arguments: tuple[StackValue, ...]
    witnesses: frozenset[ScriptHash]
    notifications: list[Notification]

    @property
    def state(self) -> State:
        return self.world[self.contract]

    def pay(self, recipient: StackValue, amount: int) -> None:
        """GAS from this contract to an account, with its Transfer event."""
        move_gas(self, self.contract, recipient, amount)


@dataclass(frozen=True)
class FakeContract:
    """A contract: `methods` by signature, such as `{"isPaused(app: String) -> Boolean": f}`."""

    hash: ScriptHash
    name: str
    methods: Mapping[str, Method]
    state: State = field(default_factory=dict[StackValue, StackValue])

    def manifest(self) -> Manifest:
        return Manifest(self.hash, self.name, tuple(_signature(text) for text in self.methods))

    def method(self, name: str, arity: int) -> Method | None:
        for text, method in self.methods.items():
            declared = _signature(text)
            if (declared.name, len(declared.parameters)) == (name, arity):
                return method
        return None


@dataclass(frozen=True)
class _Pending:
    tx: TxHash
    signers: tuple[Signer, ...]
    calls: tuple[Invocation, ...]


class FakeChain:
    """The chain and the network in front of it. `sent` counts what was handed to the network, by key."""

    def __init__(
        self, accounts: Mapping[str, ScriptHash] | None = None, *, providers: int = 3, needed: int = 2
    ) -> None:
        self.accounts = dict(accounts or {})
        self.providers, self.needed = providers, needed
        self.answering = providers
        """How many providers answer a question for a quorum; fewer than needed make it `Unavailable`."""
        self.blocks = [Block(0, _block_hash(0), GENESIS, ())]
        self.sent: dict[str, Sent] = {}
        self._cancellations: dict[str, Sent] = {}
        self._contracts: dict[ScriptHash, FakeContract] = {}
        self._world: World = {}
        self._overrides: dict[tuple[ScriptHash, str], Method] = {}
        self._pending: list[_Pending] = []
        self._included: dict[TxHash, Included] = {}
        self._silent_reads = 0
        self._grown = asyncio.Event()
        self.deploy(FakeContract(GAS, "GasToken", {"balanceOf(account: Hash160) -> Integer": _balance_of}))

    # What tests do to the chain.

    def deploy(self, contract: FakeContract) -> None:
        self._contracts[contract.hash] = contract
        self._world[contract.hash] = dict(contract.state)

    def state(self, contract: ScriptHash) -> State:
        """The contract's state, to look at and to change."""
        return self._world[contract]

    def endow(self, account: ScriptHash, amount: Gas) -> None:
        """Gives an account this much GAS, and no more."""
        self._world[GAS][hash_bytes(account)] = amount.fractions

    def fault(self, contract: ScriptHash, method: str, reason: str) -> None:
        """From now on the method FAULTs for this reason."""

        def faulty(frame: Frame) -> StackValue:
            raise Fault(reason)

        self._overrides[contract, method] = faulty

    def answer(self, contract: ScriptHash, method: str, value: StackValue) -> None:
        """From now on the method does nothing and answers this."""
        self._overrides[contract, method] = lambda frame: value

    def mend(self, contract: ScriptHash, method: str) -> None:
        """The method is itself again."""
        del self._overrides[contract, method]

    def silence(self, reads: int) -> None:
        """So many reads from now on find no endpoint that answers."""
        self._silent_reads = reads

    def transact(self, account: ScriptHash, *calls: Invocation) -> TxHash:
        """Anybody's transaction, included with the next block."""
        tx = _tx_hash(f"{account} {len(self.blocks)} {len(self._pending)}")
        self._pending.append(_Pending(tx, (Signer(account),), calls))
        return tx

    def mine(self, *, at: datetime | None = None, include: bool = True) -> Block:
        """The next block, a second after the last unless told; without `include` it leaves transactions waiting."""
        height = len(self.blocks)
        pending, self._pending = (self._pending, []) if include else ([], self._pending)
        transactions = tuple(self._execute(each, height) for each in pending)
        block = Block(height, _block_hash(height), at or self.blocks[-1].time + timedelta(seconds=1), transactions)
        self.blocks.append(block)
        self._grown.set()
        self._grown = asyncio.Event()
        return block

    # ChainReader

    async def height(self) -> int:
        await self._read()
        return self.blocks[-1].height

    async def manifest(self, contract: ScriptHash) -> Manifest:
        await self._read()
        if contract not in self._contracts:
            raise Refused("contract-unknown", f"no contract stands at {contract}")
        return self._contracts[contract].manifest()

    async def test_invoke(self, calls: Sequence[Invocation], signers: Sequence[Signer] = ()) -> Execution:
        await self._read()
        return self._run(copy.deepcopy(self._world), calls, signers, None)

    async def quorum_invoke(
        self, calls: Sequence[Invocation], signers: Sequence[Signer] = (), *, at_least: int
    ) -> QuorumReading:
        height = self.blocks[-1].height
        if self.answering < self.needed or height < at_least:
            raise Unavailable("no-quorum", f"{self.answering} of {self.providers} providers answer at block {height}")
        execution = await self.test_invoke(calls, signers)
        return QuorumReading(execution, height, self._quorum())

    # ChainSender

    async def account(self, purpose: str) -> ScriptHash:
        await asyncio.sleep(0)
        if purpose not in self.accounts:
            raise Refused("no-key", f"no key is configured for {purpose!r}")
        return self.accounts[purpose]

    async def submit(self, key: str, calls: Sequence[Invocation], *, purpose: str) -> Sent:
        if key in self.sent:
            return self.sent[key]
        signer = Signer(await self.account(purpose), "custom_contracts", tuple({call.contract for call in calls}))
        execution = await self.test_invoke(calls, [signer])
        if not execution.halted:
            raise Refused("test-invocation-faulted", f"it would fail: {execution.exception}")
        tx = _tx_hash(key)
        self._pending.append(_Pending(tx, (signer,), tuple(calls)))
        self.sent[key] = Sent(key, tx, self.blocks[-1].height + VALID_BLOCKS)
        return self.sent[key]

    async def recall(self, key: str) -> Sent | None:
        await asyncio.sleep(0)
        return self.sent.get(key)

    async def wait(self, sent: Sent) -> Included:
        await asyncio.sleep(0)
        if self.answering < self.needed:
            raise OutcomeUnknown("no-quorum", "too few providers answer")
        if sent.tx in self._included:
            return self._included[sent.tx]
        cancellation = self._cancellations.get(sent.key)
        if cancellation is not None and cancellation.tx in self._included:
            raise Failed("cancelled", f"{cancellation.tx} took its place")
        if self.blocks[-1].height > sent.valid_until_block:
            raise Failed("expired", f"block {sent.valid_until_block} has passed")
        raise OutcomeUnknown("not-included", f"{sent.tx} is in no block yet")

    async def cancel(self, key: str) -> Sent:
        await asyncio.sleep(0)
        if key in self._cancellations:
            return self._cancellations[key]
        sent = self.sent.get(key)
        if sent is None:
            raise Refused("nothing-pending", f"nothing was sent under {key}")
        if sent.tx in self._included:
            raise Failed("cancel-lost", f"{sent.tx} is in a block")
        # It pays more than what it conflicts with, so that of the two the next block takes this one.
        signers = next(each.signers for each in self._pending if each.tx == sent.tx)
        self._pending = [each for each in self._pending if each.tx != sent.tx]
        self._cancellations[key] = replace(sent, tx=_tx_hash(f"instead of {key}"))
        self._pending.append(_Pending(self._cancellations[key].tx, signers, ()))
        return self._cancellations[key]

    # BlockFeed

    async def heads(self) -> AsyncIterator[int]:
        told = -1
        while True:
            grown, head = self._grown, self.blocks[-1].height
            if head > told:
                told = head
                yield head
            else:
                await grown.wait()

    async def block(self, height: int, *, confirmed: bool = False) -> Block:
        await self._read()
        if confirmed and self.answering < self.needed:
            raise Unavailable("block-unconfirmed", f"no {self.needed} providers agree on block {height}")
        if height >= len(self.blocks):
            raise Unavailable("block-unknown", f"no endpoint has block {height}")
        return self.blocks[height]

    async def _read(self) -> None:
        await asyncio.sleep(0)
        if self._silent_reads > 0:
            self._silent_reads -= 1
            raise Unavailable("no-endpoint", "no endpoint answers")

    def _quorum(self) -> QuorumResult:
        return QuorumResult(self.needed, self.answering, self.providers)

    def _execute(self, pending: _Pending, height: int) -> BlockTransaction:
        world = copy.deepcopy(self._world)
        execution = self._run(world, pending.calls, pending.signers, pending.tx)
        if execution.halted:
            for contract, state in world.items():
                # The tests may hold on to a state, so it changes in place.
                self._world[contract].clear()
                self._world[contract].update(state)
        self._included[pending.tx] = Included(pending.tx, height, execution, self._quorum())
        signers = tuple(signer.account for signer in pending.signers)
        return BlockTransaction(pending.tx, signers[0], signers, execution.halted, execution.notifications)

    def _run(
        self, world: World, calls: Sequence[Invocation], signers: Sequence[Signer], container: TxHash | None
    ) -> Execution:
        stack: list[StackValue] = []
        notifications: list[Notification] = []
        for call in calls:
            # Custom contracts' scope, as far as it matters here: a witness counts in the contracts that it names.
            witnesses = frozenset(s.account for s in signers if not s.contracts or call.contract in s.contracts)
            arguments = tuple(_stack_value(argument) for argument in call.arguments)
            try:
                stack.append(self._method(call)(Frame(world, call.contract, arguments, witnesses, notifications)))
            except Fault as fault:
                return Execution(False, str(fault), (), CONSUMED)
        told = tuple(replace(event, container=container) for event in notifications)
        return Execution(True, None, tuple(stack), CONSUMED, told)

    def _method(self, call: Invocation) -> Method:
        override = self._overrides.get((call.contract, call.method))
        if override is not None:
            return override
        contract = self._contracts.get(call.contract)
        method = contract.method(call.method, len(call.arguments)) if contract is not None else None
        if method is None:
            raise Fault(f"method not found: {call.method}/{len(call.arguments)}")
        return method


def hash_bytes(account: ScriptHash) -> bytes:
    """An account as contracts see it: little-endian bytes."""
    return bytes.fromhex(account[2:])[::-1]


def move_gas(frame: Frame, source: ScriptHash, recipient: StackValue, amount: int) -> None:
    """Moves GAS between accounts as the native contract does, with its Transfer event."""
    balances, giver = frame.world[GAS], hash_bytes(source)
    held = balances.get(giver, 0)
    assert isinstance(held, int)
    if held < amount:
        raise Fault("insufficient funds")
    balances[giver] = held - amount
    received = balances.get(recipient, 0)
    assert isinstance(received, int)
    balances[recipient] = received + amount
    frame.notifications.append(Notification(GAS, "Transfer", (giver, recipient, amount)))


def _balance_of(frame: Frame) -> StackValue:
    return frame.state.get(frame.arguments[0], 0)


def _signature(text: str) -> ManifestMethod:
    """Reads `name(a: String, b: Integer) -> Boolean`; without an arrow the method returns nothing."""
    head, _, returns = text.partition(" -> ")
    name, _, inner = head.rstrip(")").partition("(")
    pairs = [part.split(": ") for part in inner.split(", ") if part]
    parameters = tuple((parameter, ParameterType(kind)) for parameter, kind in pairs)
    return ManifestMethod(name, parameters, ParameterType(returns or "Void"), safe=False)


def _stack_value(argument: Argument) -> StackValue:
    value = argument.value
    if isinstance(value, str):
        is_hash = argument.type in (ParameterType.HASH160, ParameterType.HASH256)
        return hash_bytes(ScriptHash(value)) if is_hash else value.encode()
    if isinstance(value, tuple):
        return tuple(_stack_value(item) for item in value)
    return value


def _tx_hash(text: str) -> TxHash:
    return TxHash(f"0x{hashlib.sha256(text.encode()).hexdigest()}")


def _block_hash(height: int) -> BlockHash:
    return BlockHash(f"0x{hashlib.sha256(f'block {height}'.encode()).hexdigest()}")
