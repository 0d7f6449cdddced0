"""Honest users: they place orders in the MiniApp at a steady rate, and tell how that went.

They show that the platform works, and that a pause reaches those who use it.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Self

from miniapp_platform.accounts import KeyAccount
from miniapp_platform.chain import Authority, Chain
from miniapp_platform.errors import ChainUnreachable, NotIncluded, RehearsalFaulted, RpcError, TransactionFaulted
from miniapp_platform.platform import Platform
from miniapp_platform.script import GAS, Call, Execution, script_hash

ORDER_FRACTIONS = 10_000_000
"""What an order costs: 0.1 GAS."""
ORDERS_MAX = 10_000
BLOCK_S_MAX = 30.0
PAUSE_AFTER_OUTAGE_S = 0.2


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """How the orders went so far."""

    placed: int
    failed: Mapping[str, int]
    """How many orders did not go through, by the contract's reason or by what was wrong with the node."""


class HonestTraffic:
    """Places orders from entering the context to leaving it, or until `orders_max` were tried."""

    def __init__(
        self, platform: Platform, client: Chain, *, orders_per_block: int = 1, orders_max: int = ORDERS_MAX
    ) -> None:
        assert orders_per_block >= 1
        self._platform = platform
        self._client = client
        self._orders_per_block = orders_per_block
        self._orders_max = orders_max
        self._tried = 0
        self._placed = 0
        self._failed: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def report(self) -> TrafficReport:
        return TrafficReport(self._placed, MappingProxyType(dict(self._failed)))

    async def changed(self) -> TrafficReport:
        """Wait for the next order to end, one way or the other; the caller sets the bound."""
        self._changed.clear()
        await self._changed.wait()
        return self.report

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="honest traffic")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (failure := self._task.exception()) is not None:
            raise failure

    async def _run(self) -> None:
        while self._tried < self._orders_max:
            orders = min(self._orders_per_block, self._orders_max - self._tried)
            first = self._tried
            self._tried += orders
            try:
                height = await self._client.height()
                await asyncio.gather(*(self._order(first + number) for number in range(orders)))
                await self._client.wait_height(height + 1, BLOCK_S_MAX)
            except (ChainUnreachable, NotIncluded):
                # Orders count their own failures; here there was no height. Try again, but not in a spin.
                await asyncio.sleep(PAUSE_AFTER_OUTAGE_S)

    async def _order(self, number: int) -> None:
        payers = self._platform.accounts.payers
        try:
            await place_order(self._platform, self._client, payers[number % len(payers)], memo=f"order {number}")
        except (RehearsalFaulted, TransactionFaulted) as error:
            self._failed[reason_of(error.fault)] += 1
        except ChainUnreachable:
            self._failed["node unreachable"] += 1
        except NotIncluded:
            self._failed["not included"] += 1
        except RpcError as error:
            self._failed[f"refused by the node ({error.code})"] += 1
        else:
            self._placed += 1
        self._changed.set()


async def place_order(
    platform: Platform, client: Chain, payer: KeyAccount, *, fractions: int = ORDER_FRACTIONS, memo: str = ""
) -> Execution:
    """Place one order of `fractions` GAS fractions and wait for its block. Raises what `Chain.execute` raises."""
    shop = script_hash(platform.contracts.mini_app)
    call = Call(shop, "order", (payer.script_hash, fractions, memo))
    # The payer is asked for by the app and, for the transfer that the app asks for, by the GAS contract.
    return await client.execute([call], [Authority(payer, (shop, GAS))])


def reason_of(fault: str) -> str:
    """The reason that a contract gave, out of neo-go's sentence about a FAULT; the sentence when there is none."""
    found = re.search(r"Reason: (.+)$", fault, re.DOTALL)
    return found[1] if found else fault
