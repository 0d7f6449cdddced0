"""The past of a `FakeChain`: its blocks, and balances as they once were."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from fakes.chain import CONSUMED, GAS, FakeChain, hash_bytes
from tocsin.connect.ports import Block, Execution, Invocation
from tocsin.domain.errors import Refused, Unavailable
from tocsin.domain.hashes import ScriptHash


@dataclass
class FakeHistory:
    """`BlockHistory` and `StateHistory`. `asked` has the ranges that were asked for."""

    chain: FakeChain
    keeps_states: bool = True
    breaks_at: int | None = None
    """The block that can't be had, once."""
    asked: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    open: int = 0
    """How many readings are under way."""

    async def blocks(self, first: int, last: int) -> AsyncGenerator[Block]:
        self.asked.append((first, last))
        self.open += 1
        try:
            for height in range(first, last + 1):
                await asyncio.sleep(0)
                if height == self.breaks_at:
                    self.breaks_at = None
                    raise Unavailable("no-endpoint", "no endpoint answers")
                if height >= len(self.chain.blocks):
                    raise Unavailable("block-unknown", f"no endpoint has block {height}")
                yield self.chain.blocks[height]
        finally:
            self.open -= 1

    async def test_invoke_at(self, questions: Sequence[tuple[int, Invocation]]) -> Sequence[Execution]:
        await asyncio.sleep(0)
        if not self.keeps_states:
            raise Refused("states-not-kept", "no endpoint has the old states")
        return [Execution(True, None, (self._balance(height, call),), CONSUMED) for height, call in questions]

    def _balance(self, height: int, call: Invocation) -> int:
        assert (call.contract, call.method) == (GAS, "balanceOf")
        account = call.arguments[0].value
        assert isinstance(account, str)
        raw = hash_bytes(ScriptHash(account))
        balance = self.chain.state(GAS).get(raw, 0)
        assert isinstance(balance, int)
        for block in self.chain.blocks[height + 1 :]:
            for transaction in block.transactions:
                for source, recipient, amount in (event.values for event in transaction.notifications):
                    assert isinstance(amount, int)
                    balance += amount * ((source == raw) - (recipient == raw))
        return balance
