"""Watches for "unusual fund movements": GAS that leaves guarded contracts, judged by the rules as blocks come.

Time is the blocks' own, so sums do not depend on when a block is seen; a balance can only be read as it stands now, so
while catching up `share_percent` is judged by the present one. A detection's id is made of the rule, the contract and
the transaction that tipped it, so that seeing a block twice detects nothing twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tocsin.connect.ports import Block, ChainReader
from tocsin.detect.balances import balance_call, balance_in
from tocsin.detect.rules import VARIABLES, OutflowRule, RuleBench, before, detections_in
from tocsin.detect.transfers import GAS_CONTRACT, GasTransfer, gas_transfers
from tocsin.domain.amounts import Gas
from tocsin.domain.detections import Detection
from tocsin.domain.hashes import ScriptHash

__all__ = ["GAS_CONTRACT", "VARIABLES", "GasTransfer", "OutflowRule", "OutflowWatch", "gas_transfers"]


class OutflowWatch:
    """Evaluates outflow rules over blocks as they come."""

    def __init__(self, rules: Sequence[OutflowRule], reader: ChainReader) -> None:
        self._bench, self._reader = RuleBench(rules), reader
        self._stock: Mapping[ScriptHash, Gas] = {}
        self.newest: tuple[int, datetime] | None = None
        """Index and time of the newest block that was taken in."""

    @property
    def longest_window(self) -> timedelta:
        return self._bench.longest_window

    async def see(self, block: Block, *, quiet: bool = False) -> Sequence[Detection]:
        """Takes a block into the windows and returns what the rules detect in it.

        With `quiet` the windows are filled and nothing is evaluated: for blocks that were handled before a restart.

        Raises:
            Unavailable: a balance can't be read now; the block was not taken in and may be offered again.
        """
        movements = self._bench.outflows.of(block)
        detections: Sequence[Detection] = ()
        if quiet:
            self._bench.rewind(block.height)
            self._bench.fill(movements)
        else:
            held = {contract: await self._balance(contract) for contract in {m.contract for m in movements}}
            self._bench.rewind(block.height)
            detections = detections_in(self._bench.judge(movements, before(movements, held)))
        self.newest = (block.height, block.time)
        return detections

    async def take_stock(self) -> None:
        """Reads what every watched contract holds, for `consider`; call it after each block.

        Raises:
            Unavailable: a balance can't be read now; the stock of before stands.
        """
        self._stock = {contract: await self._balance(contract) for contract in self._bench.watched}

    def consider(self, pending: Block) -> Sequence[Detection]:
        """What the rules would detect if this block came next, judged by the newest stock. Nothing is remembered.

        Nothing is detected before the first `take_stock`.
        """
        movements = self._bench.outflows.of(pending)
        if not movements or not self._stock:
            return ()
        judgements = self._bench.judge(movements, self._stock)
        self._bench.rewind(pending.height)
        found = detections_in(judgements)
        return [replace(each, summary=f"seen in the pool, in no block yet: {each.summary}") for each in found]

    async def _balance(self, contract: ScriptHash) -> Gas:
        return balance_in(await self._reader.test_invoke([balance_call(contract)]), contract)
