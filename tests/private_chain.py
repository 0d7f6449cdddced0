"""A private Neo N3 chain for tests: a validator and two followers, three providers, 100 ms blocks, a funded account.

The nodes are the reference platform's; here is only what tests want of them: a session's fixture, the configuration
that describes the chain to Tocsin, and faults that mend themselves. No contracts of the platform are deployed.
"""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from neo3.core.types import UInt160

from miniapp_platform.accounts import Accounts, KeyAccount
from miniapp_platform.chain import Authority, Chain
from miniapp_platform.errors import PortClash
from miniapp_platform.leash import Leash
from miniapp_platform.node import ConsensusWallet, Node, NodePlan, free_ports
from miniapp_platform.script import GAS as GAS_CONTRACT
from miniapp_platform.script import transfer_gas
from tocsin.connect.neo.network import Endpoint, FeeLimits, KeySource, NetworkConfig, TimeLimits
from tocsin.domain.hashes import ScriptHash, script_hash

BLOCK_MS = 100
QUORUM = 2
READY_S_MAX = 20.0
START_ATTEMPTS_MAX = 3
FUNDS = 1_000 * 10**8
PROVIDERS = {"validator": "alder", "follower-1": "birch", "follower-2": "cedar"}
GAS = script_hash(f"{GAS_CONTRACT}")

QUICK = TimeLimits(request_s=1.0, grace_s=0.1, doubt_s=1.0, quorum_s=3.0, confirm_s=1.5, silence_s=1.5, outcome_s=30.0)
"""Bounds that suit 100 ms blocks on loopback."""


@dataclass(frozen=True)
class PrivateChain:
    """The running chain."""

    nodes: tuple[Node, ...]
    accounts: Accounts
    wallets: Path
    magic: int

    @property
    def validator(self) -> Node:
        return self.nodes[0]

    @property
    def followers(self) -> tuple[Node, Node]:
        return self.nodes[1], self.nodes[2]

    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(Endpoint(node.name, node.provider, node.http_url, node.ws_url) for node in self.nodes)

    def key(self, purpose: str, account: KeyAccount) -> KeySource:
        return KeySource(purpose, self.wallets / f"{account.name}.json", password_file=self.wallets / "password")

    def config(
        self,
        *,
        endpoints: tuple[Endpoint, ...] | None = None,
        quorum: int = QUORUM,
        magic: int | None = None,
        times: TimeLimits = QUICK,
        fees: FeeLimits | None = None,
        valid_until_blocks: int | None = None,
    ) -> NetworkConfig:
        """The chain as `tocsin.toml` would describe it; the keys are "refill" (funded) and "pause" (without GAS)."""
        return NetworkConfig(
            magic=self.magic if magic is None else magic,
            quorum=quorum,
            endpoints=self.endpoints() if endpoints is None else endpoints,
            keys=(self.key("refill", self.accounts.refill), self.key("pause", self.accounts.attacker)),
            fees=fees or FeeLimits(),
            times=times,
            valid_until_blocks=valid_until_blocks,
        )

    async def height(self, node: Node | None = None) -> int:
        """The newest block of a node, by default the validator's."""
        async with self.client(node) as client:
            return await client.height()

    async def gas_of(self, account: ScriptHash) -> int:
        """GAS of an account in units of 10⁻⁸, read from the validator."""
        async with self.client() as client:
            return await client.gas_of(UInt160.from_string(account))

    def client(self, node: Node | None = None) -> Chain:
        return Chain((node or self.validator).http_url, self.magic, BLOCK_MS)

    @contextmanager
    def frozen(self, *nodes: Node) -> Generator[None]:
        """The nodes halt where they stand, and go on afterwards."""
        for node in nodes:
            node.freeze()
        try:
            yield
        finally:
            for node in nodes:
                node.thaw()

    @asynccontextmanager
    async def stopped(self, *nodes: Node) -> AsyncGenerator[None]:
        """The nodes are down, and up again and in step afterwards."""
        await asyncio.gather(*(node.stop() for node in nodes))
        try:
            yield
        finally:
            await asyncio.gather(*(node.restart() for node in nodes))
            await self.in_step()

    async def in_step(self) -> None:
        """Waits until every node has what the validator has now."""
        height = await self.height()
        for node in self.nodes:
            async with self.client(node) as client:
                await client.wait_height(height, READY_S_MAX)


@pytest.fixture(scope="session")
def private_chain() -> Generator[PrivateChain]:
    """One chain for all tests of a worker. Tests that break it mend it."""
    leash = Leash.start()
    directory = Path(tempfile.gettempdir()) / f"tocsin-tests-{secrets.token_hex(8)}"
    leash.guard(directory)
    directory.mkdir(mode=0o700)
    try:
        chain = asyncio.run(_start(directory, leash))
        yield chain
        # Nobody needs their databases any more; ending in good order would take seconds.
        for node in chain.nodes:
            node.kill()
    finally:
        # Kills what still runs and removes the folder, also if the start failed half-way.
        cleared = asyncio.run(leash.release())
    assert cleared


async def _start(directory: Path, leash: Leash) -> PrivateChain:
    accounts = Accounts.derive(secrets.token_bytes(32))
    wallets = directory / "wallets"
    accounts.write_wallets(wallets)
    magic = 1 + secrets.randbelow(2**31)
    for attempt in range(START_ATTEMPTS_MAX):
        nodes = tuple(Node(plan, leash) for plan in _plans(directory / f"nodes-{attempt}", accounts, wallets, magic))
        try:
            for node in nodes:
                node.start()
            for node in nodes:
                await node.wait_ready(READY_S_MAX)
            break
        except PortClash:
            for node in nodes:
                node.kill()
    else:
        raise AssertionError(f"no free ports in {START_ATTEMPTS_MAX} attempts")
    chain = PrivateChain(nodes, accounts, wallets, magic)
    committee = accounts.committee
    async with chain.client() as client:
        await client.wait_height(1, READY_S_MAX)
        call = transfer_gas(committee.script_hash, accounts.refill.script_hash, FUNDS)
        await client.execute([call], [Authority(committee)])
    await chain.in_step()
    return chain


def _plans(directory: Path, accounts: Accounts, wallets: Path, magic: int) -> list[NodePlan]:
    ports = list(free_ports(2 * len(PROVIDERS)))
    rpc_ports, p2p_ports = ports[: len(PROVIDERS)], ports[len(PROVIDERS) :]
    wallet = ConsensusWallet(wallets / f"{accounts.validators[0].name}.json", accounts.wallet_password)
    return [
        NodePlan(
            name=name,
            provider=provider,
            directory=directory / name,
            magic=magic,
            block_ms=BLOCK_MS,
            committee=tuple(account.public_key_hex for account in accounts.validators),
            rpc_port=rpc_port,
            p2p_port=p2p_port,
            seed_ports=() if name == "validator" else (p2p_ports[0],),
            consensus=wallet if name == "validator" else None,
        )
        for (name, provider), rpc_port, p2p_port in zip(PROVIDERS.items(), rpc_ports, p2p_ports, strict=True)
    ]
