"""The theft of the drills: somebody empties the vulnerable app, a part in every block, until it is empty or stopped.

It speaks to one node as any user would and knows nothing of who watches. What it took is read from the chain
afterwards, not from what it believes.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from miniapp_platform.chain import Authority, Chain, Fees
from miniapp_platform.errors import PlatformError, RpcError
from miniapp_platform.platform import Platform
from miniapp_platform.script import Call, script_hash

CLAIMS_MAX = 100
FAULTS_MAX = 3
ATTACK_S_MAX = 300.0
SYSTEM_FEE_MARGIN = 10_000_000
"""0.1 GAS: claims differ a little in cost, and only the first is rehearsed. A thief does not ask whether to go on."""


@dataclass(frozen=True, slots=True)
class Broadcast:
    """The moment at which the attacker handed a transaction to a node."""

    transaction: str
    monotonic_s: float
    """`time.monotonic()`, which all processes of this machine share."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of the attacker, and what came of it."""

    broadcast: Broadcast
    state: str
    """HALT or FAULT as executed in its block, REFUSED when the node did not take it."""
    fault: str
    taken: int
    """GAS fractions that this transaction moved out of the vulnerable app."""


class Attack:
    """An attacker with one node. Run it once."""

    def __init__(
        self,
        platform: Platform,
        client: Chain,
        *,
        claims_max: int = CLAIMS_MAX,
        faults_max: int = FAULTS_MAX,
        seconds_max: float = ATTACK_S_MAX,
        on_broadcast: Callable[[Broadcast], None] | None = None,
    ) -> None:
        self._client = client
        self._attacker = platform.accounts.attacker
        self._victim = script_hash(platform.contracts.vulnerable_app)
        self._claims_max = claims_max
        self._faults_max = faults_max
        self._seconds_max = seconds_max
        self._on_broadcast = on_broadcast
        self._claims: list[Claim] = []
        self._first: Broadcast | None = None
        self._first_or_over = asyncio.Event()
        self._first_block: int | None = None

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The claims that have ended so far."""
        return tuple(self._claims)

    async def first_broadcast(self) -> Broadcast:
        """Wait for the first transaction to be taken by a node; the caller sets the bound.

        Raises PlatformError when the attack ended without one.
        """
        await self._first_or_over.wait()
        if self._first is None:
            message = "the attack ended before a node took its first transaction"
            raise PlatformError(message)
        return self._first

    async def run(self) -> tuple[Claim, ...]:
        """Claim once a block until the pot is empty, `faults_max` claims in a row failed, or a bound is reached.

        Raises RehearsalFaulted when not even the first claim can succeed, and what `Chain` raises when the node fails.
        """
        assert self._first_block is None, "an attack runs once"
        deadline = time.monotonic() + self._seconds_max
        self._first_block = await self._client.height() + 1
        try:
            rehearsed = await self._client.fees(*self._claim_calls())
            fees = Fees(rehearsed.system + SYSTEM_FEE_MARGIN, rehearsed.network)
            faults = 0
            while len(self._claims) < self._claims_max and faults < self._faults_max and time.monotonic() < deadline:
                claim = await self._claim(fees, deadline)
                self._claims.append(claim)
                faults = 0 if claim.state == "HALT" else faults + 1
                if await self._client.gas_of(self._victim) == 0:
                    break
        finally:
            self._first_or_over.set()
        return self.claims

    async def lost(self, client: Chain | None = None) -> int:
        """GAS fractions that left the vulnerable app through the attacker's transactions, read from the chain.

        Every block since the attack began is looked at, so this does not depend on what the attacker has noticed.
        """
        if self._first_block is None:
            return 0
        chain = client or self._client
        total = 0
        for block in range(self._first_block, await chain.height() + 1):
            for transaction in await chain.transactions_of(self._attacker.script_hash, block):
                execution = await chain.execution(transaction)
                assert execution is not None, "a transaction in a block has been executed"
                total += execution.gas_out_of(self._victim)
        return total

    def _claim_calls(self) -> tuple[list[Call], list[Authority]]:
        call = Call(self._victim, "claimPrize", (self._attacker.script_hash,))
        return [call], [Authority(self._attacker, (self._victim,))]

    async def _claim(self, fees: Fees, deadline: float) -> Claim:
        transaction = await self._client.build(*self._claim_calls(), fees)
        # Taken before sending: whoever watches the node may see the transaction before its answer is here.
        broadcast = Broadcast(transaction.hash, time.monotonic(), datetime.now(UTC))
        try:
            await self._client.send(transaction)
        except RpcError as error:
            await self._client.wait_height(await self._client.height() + 1)
            return Claim(broadcast, "REFUSED", str(error), 0)
        if self._first is None:
            self._first = broadcast
            self._first_or_over.set()
        if self._on_broadcast is not None:
            self._on_broadcast(broadcast)
        # The app pays once a block, so the next claim waits for this one's block.
        execution = await self._client.wait(transaction, max(0.1, deadline - time.monotonic()))
        state = "HALT" if execution.halted else "FAULT"
        return Claim(broadcast, state, execution.fault, execution.gas_out_of(self._victim))
