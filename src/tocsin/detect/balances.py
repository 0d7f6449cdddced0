"""What contracts held at blocks of the past: read from nodes that keep old states, or else reckoned from transfers."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from enum import StrEnum
from typing import Protocol

from tocsin.connect.ports import (
    Argument,
    Block,
    BlockHistory,
    ChainReader,
    Execution,
    Invocation,
    ParameterType,
    StateHistory,
)
from tocsin.detect.transfers import GAS_CONTRACT, Flows
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import Refused, Unavailable
from tocsin.domain.hashes import ScriptHash

STATES_NOT_KEPT = "states-not-kept"
PRESENT_TRIES_MAX = 20

type At = tuple[int, ScriptHash]
"""A contract after the block of this height."""


def balance_call(contract: ScriptHash) -> Invocation:
    """The call that tells how much GAS a contract holds."""
    return Invocation(GAS_CONTRACT, "balanceOf", (Argument(ParameterType.HASH160, contract),))


def balance_in(execution: Execution, contract: ScriptHash) -> Gas:
    """What that call said.

    Raises:
        Unavailable: it FAULTed, or said no number.
    """
    if not execution.halted or not execution.stack or not isinstance(execution.stack[0], int):
        raise Unavailable("balance-unreadable", f"the GAS balance of {contract} can't be read")
    return Gas(execution.stack[0])


class BalanceSource(StrEnum):
    """Where past balances come from."""

    HISTORIC = "historic"
    """Read from a node, as it was after each block."""
    RECONSTRUCTED = "reconstructed"
    """Reckoned back from the present one by transfers. Fees that a contract paid as a sender are not in it."""


class PastBalances(Protocol):
    """What contracts held after blocks that are taken in order."""

    @property
    def source(self) -> BalanceSource: ...

    async def after(self, blocks: Sequence[Block], wanted: Collection[At]) -> Mapping[At, Gas]:
        """The balances that are wanted, all of them after one of these blocks.

        Raises:
            Unavailable: one can't be read.
        """
        ...


class HistoricBalances:
    """`PastBalances` of a node that keeps old states.

    A call on an old state takes milliseconds, so one is made for each contract and run of blocks: what transfers say
    of the blocks in between is taken when they lead from the balance before the run to exactly the one after it. Where
    they don't, since the contract paid fees or got rewards, every balance that is wanted is read.
    """

    source = BalanceSource.HISTORIC

    def __init__(self, states: StateHistory, held: Mapping[ScriptHash, Gas]) -> None:
        """`held` is what the contracts held before the first block, all of which are shown in order and once."""
        self._states = states
        self._held = dict(held)
        self._flows = Flows(held)

    async def after(self, blocks: Sequence[Block], wanted: Collection[At]) -> Mapping[At, Gas]:
        """See `PastBalances.after`.

        Raises:
            Refused: `states-not-kept`.
        """
        if not blocks:
            return {}
        reckoned = dict(self._held)
        found = _reckon(blocks, wanted, self._flows, reckoned)
        moved = [contract for contract, amount in reckoned.items() if amount != self._held[contract]]
        concerned = sorted({*moved, *(contract for _, contract in wanted)})
        newest = blocks[-1].height
        read = await read_balances(self._states, [(newest, contract) for contract in concerned])
        wrong = {contract for contract in concerned if read[newest, contract] != reckoned[contract]}
        found |= await read_balances(self._states, sorted(at for at in wanted if at[1] in wrong))
        self._held |= {contract: read[newest, contract] for contract in concerned}
        return found


class ReckonedBalances:
    """`PastBalances` from what the contracts held before the first block, and what the blocks' transactions moved."""

    source = BalanceSource.RECONSTRUCTED

    def __init__(self, held: Mapping[ScriptHash, Gas]) -> None:
        """`held` is what the contracts held before the first block, all of which are shown in order and once."""
        self._held = dict(held)
        self._flows = Flows(held)

    async def after(self, blocks: Sequence[Block], wanted: Collection[At]) -> Mapping[At, Gas]:
        """See `PastBalances.after`."""
        await asyncio.sleep(0)  # nothing is waited for, but a long reckoning must let others run
        return _reckon(blocks, wanted, self._flows, self._held)


def _reckon(
    blocks: Sequence[Block], wanted: Collection[At], flows: Flows, held: dict[ScriptHash, Gas]
) -> dict[At, Gas]:
    """The balances that are wanted, by transfers; `held` goes on from before the blocks to after them."""
    found: dict[At, Gas] = {}
    for block in blocks:
        for contract, flow in flows.of(block).items():
            held[contract] += flow
            if (block.height, contract) in wanted:
                found[block.height, contract] = held[contract]
    return found


async def read_balances(states: StateHistory, wanted: Sequence[At]) -> dict[At, Gas]:
    """Reads balances as they were.

    Raises:
        Refused: `states-not-kept`.
        Unavailable: one can't be read.
    """
    executions = await states.test_invoke_at([(height, balance_call(contract)) for height, contract in wanted])
    return {at: balance_in(execution, at[1]) for at, execution in zip(wanted, executions, strict=True)}


async def open_balances(
    contracts: Collection[ScriptHash], first: int, history: BlockHistory, states: StateHistory, reader: ChainReader
) -> PastBalances:
    """The balances of these contracts from block `first` on: historic where a node keeps states, else reckoned.

    To reckon them, every block from `first` to the newest is read once.

    Raises:
        Unavailable: blocks or balances can't be read now.
    """
    try:
        # Also those of the first block: where a node forgets, it forgets the oldest.
        before = await read_balances(states, [(first - 1, contract) for contract in contracts] if first else [])
        await read_balances(states, [(first, contract) for contract in contracts])
    except Refused as refused:
        if refused.code != STATES_NOT_KEPT:
            raise
    else:
        return HistoricBalances(states, {contract: before.get((first - 1, contract), Gas(0)) for contract in contracts})
    newest, held = await _present(contracts, reader)
    flows = Flows(contracts)
    async with aclosing(history.blocks(first, newest)) as blocks:
        async for block in blocks:
            for contract, flow in flows.of(block).items():
                held[contract] -= flow
    return ReckonedBalances(held)


async def _present(contracts: Collection[ScriptHash], reader: ChainReader) -> tuple[int, dict[ScriptHash, Gas]]:
    """What the contracts hold now, and after which block that is: one during which nothing else came in between."""
    for _ in range(PRESENT_TRIES_MAX):
        height = await reader.height()
        held = {c: balance_in(await reader.test_invoke([balance_call(c)]), c) for c in contracts}
        if await reader.height() == height:
            return height, held
    raise Unavailable(
        "present-balance-unreadable",
        "blocks come faster than the contracts' balances can be read",
        next_step="ask a node that keeps old states",
    )
