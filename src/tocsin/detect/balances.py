"""What contracts held at blocks of the past: read from nodes that keep old states, or else reckoned from transfers."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
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
from tocsin.detect.transfers import GAS_CONTRACT, net_flows
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
    """`PastBalances` of a node that keeps old states."""

    source = BalanceSource.HISTORIC

    def __init__(self, states: StateHistory) -> None:
        self._states = states

    async def after(self, blocks: Sequence[Block], wanted: Collection[At]) -> Mapping[At, Gas]:
        """See `PastBalances.after`.

        Raises:
            Refused: `states-not-kept`.
        """
        asked = list(wanted)
        executions = await self._states.test_invoke_at([(height, balance_call(contract)) for height, contract in asked])
        return {at: balance_in(execution, at[1]) for at, execution in zip(asked, executions, strict=True)}


class ReckonedBalances:
    """`PastBalances` from what the contracts held before the first block, and what the blocks' transactions moved."""

    source = BalanceSource.RECONSTRUCTED

    def __init__(self, before: Mapping[ScriptHash, Gas]) -> None:
        self._held = dict(before)

    async def after(self, blocks: Sequence[Block], wanted: Collection[At]) -> Mapping[At, Gas]:
        """See `PastBalances.after`; every block must be shown, in order and once."""
        await asyncio.sleep(0)  # nothing is waited for, but a long reckoning must let others run
        found: dict[At, Gas] = {}
        for block in blocks:
            for contract, flow in net_flows(block, self._held).items():
                self._held[contract] += flow
                if (block.height, contract) in wanted:
                    found[block.height, contract] = self._held[contract]
        return found


async def open_balances(
    contracts: Collection[ScriptHash], first: int, history: BlockHistory, states: StateHistory, reader: ChainReader
) -> PastBalances:
    """The balances of these contracts from block `first` on: historic where a node keeps states, else reckoned.

    To reckon them, every block from `first` to the newest is read once.

    Raises:
        Unavailable: blocks or balances can't be read now.
    """
    historic = HistoricBalances(states)
    try:
        await historic.after((), [(first, contract) for contract in contracts])
    except Refused as refused:
        if refused.code != STATES_NOT_KEPT:
            raise
    else:
        return historic
    newest, held = await _present(contracts, reader)
    async for block in history.blocks(first, newest):
        for contract, flow in net_flows(block, contracts).items():
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
