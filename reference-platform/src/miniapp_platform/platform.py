"""Starts the whole platform on this machine and takes it down again: three nodes, accounts, contracts, funds.

Everything lives in one folder and one process group, both of which end with the process that started them, whatever
ends it (see `leash`). What users, attackers and admins then do stands in `traffic`, `attack` and `admin`.
"""

import asyncio
import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from miniapp_platform.accounts import Accounts
from miniapp_platform.chain import Chain
from miniapp_platform.deploy import Contracts, deploy
from miniapp_platform.errors import NodeFailed, PlatformError, PortClash, PreparedFolderUnusable, StartFailed
from miniapp_platform.leash import Leash
from miniapp_platform.node import ConsensusWallet, Node, NodePlan, free_ports
from miniapp_platform.prepared import ChainIdentity, PreparedChain, prepared_database, prepared_name

BLOCK_MS_DEFAULT = 1_000
BLOCK_MS_MIN = 20
START_ATTEMPTS_MAX = 5

VALIDATOR = "validator"
PROVIDERS = {VALIDATOR: "alder", "follower-1": "birch", "follower-2": "cedar"}
"""The nodes and who runs them: three different providers, so that two of them make a quorum."""

type PortChoice = Callable[[int], Sequence[int]]


@dataclass(frozen=True, slots=True)
class PlatformOptions:
    """How to start a platform."""

    block_ms: int | None = None
    """Time between blocks, at least 20; by default that of the prepared chain, or else one second."""
    directory: Path | None = None
    """Where to keep it: a folder that is not there yet, and stays. By default a temporary one that is removed."""
    prepared: Path | None = None
    """A folder made by `Platform.prepare`: its chain is copied and continued instead of deployed anew."""
    seed: bytes | None = None
    """What the keys of a new chain are derived from; random by default."""
    ready_s_max: float = 20.0
    """How long a node may take to answer, and followers to have what the validator has."""
    choose_ports: PortChoice = free_ports


class Platform:
    """A running platform. Made by `start`, ended by `stop` or by leaving its context."""

    def __init__(self, directory: Path, chain: PreparedChain, nodes: tuple[Node, ...], leash: Leash) -> None:
        self._chain = chain
        self._leash = leash
        self.directory = directory
        self.nodes = nodes

    @classmethod
    def start(cls, options: PlatformOptions | None = None) -> "Starting":
        """Start a platform: `platform = await Platform.start(…)`, or `async with Platform.start(…) as platform:`.

        Raises StartFailed, or what `deploy` raises. Nothing is left behind then, nor when it is cancelled, but for a
        `directory` that the caller named: its logs may tell why.
        """
        return Starting(options or PlatformOptions())

    @classmethod
    async def prepare(cls, folder: Path, block_ms: int = BLOCK_MS_DEFAULT, seed: bytes | None = None) -> Path:
        """Make a folder to start from later: deploy on a new chain, stop it, keep its databases and its keys.

        Raises what `start` and `keep` raise.
        """
        async with cls.start(PlatformOptions(block_ms=block_ms, seed=seed)) as platform:
            await platform.keep(folder)
        return folder

    @classmethod
    async def prepared_in(cls, cache: Path, block_ms: int = BLOCK_MS_DEFAULT) -> Path:
        """The prepared folder for this platform and block time under `cache`, made now if it is not there.

        Several processes may ask at once: each that finds none makes one, and the first to finish is kept.
        """
        folder = cache / prepared_name(block_ms)
        if not folder.exists():
            with contextlib.suppress(FileExistsError):
                await cls.prepare(folder, block_ms)
        return folder

    @property
    def accounts(self) -> Accounts:
        return self._chain.identity.accounts

    @property
    def contracts(self) -> Contracts:
        return self._chain.contracts

    @property
    def magic(self) -> int:
        """The network number, different for every platform that was deployed anew."""
        return self._chain.identity.magic

    @property
    def block_ms(self) -> int:
        return self._chain.identity.block_ms

    @property
    def validator(self) -> Node:
        return self.node(VALIDATOR)

    def node(self, name: str) -> Node:
        """The node of this name. Raises KeyError."""
        return {node.name: node for node in self.nodes}[name]

    def client(self, node: Node | None = None) -> Chain:
        """A client of one node, by default the validator; to be used as a context, or closed."""
        return Chain((node or self.validator).http_url, self.magic, self.block_ms)

    def wallet(self, name: str) -> Path:
        """The NEP-6 wallet of the account of this name; its password is `accounts.wallet_password`."""
        return wallets_in(self.directory) / f"{name}.json"

    def processes(self) -> tuple[int, ...]:
        """Ids of this platform's processes that exist now, nodes and reaper; none after `stop`."""
        reaper = (self._leash.pid,) if self._leash.running else ()
        return reaper + tuple(node.pid for node in self.nodes if node.pid is not None)

    async def keep(self, folder: Path) -> None:
        """Stop the nodes, and keep their databases and all keys in a folder to start from again.

        The folder can be copied and moved, and only its owner can read it. It appears at once and complete, or not at
        all. Raises FileExistsError when it is there already.
        """
        await asyncio.gather(*(node.stop() for node in self.nodes))
        draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        self._leash.guard(draft)
        databases = {node.name: node.plan.database for node in self.nodes}
        await asyncio.to_thread(self._chain.write, draft, databases)
        try:
            draft.rename(folder)
        except OSError as error:
            raise FileExistsError(folder) from error

    async def stop(self) -> None:
        """End the nodes in good order and remove the temporary folder. May be called again.

        Raises PlatformError when something is still there after a bounded time.
        """
        try:
            await asyncio.gather(*(node.stop() for node in self.nodes))
        finally:
            cleared = await self._leash.release()
        if not cleared:
            message = f"not everything was cleared away in time: processes {self.processes()}, folder {self.directory}"
            raise PlatformError(message)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class Starting:
    """A platform about to be started: await it, or enter it to have it stopped on the way out."""

    def __init__(self, options: PlatformOptions) -> None:
        self._options = options
        self._platform: Platform | None = None

    def __await__(self) -> Generator[object, None, Platform]:
        return _start(self._options).__await__()

    async def __aenter__(self) -> Platform:
        self._platform = await _start(self._options)
        return self._platform

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._platform is not None
        await self._platform.stop()


def wallets_in(directory: Path) -> Path:
    return directory / "wallets"


async def _start(options: PlatformOptions) -> Platform:
    prepared = None if options.prepared is None else await asyncio.to_thread(PreparedChain.read, options.prepared)
    identity = _identity(options, prepared)
    leash = Leash.start()
    nodes: list[Node] = []
    try:
        directory = _make_directory(options, leash)
        identity.accounts.write_wallets(wallets_in(directory))
        for attempt in range(1, START_ATTEMPTS_MAX + 1):
            nodes[:] = [Node(plan, leash) for plan in _plans(options, identity, directory)]
            try:
                chain = await _bring_up(nodes, options, identity, prepared)
                return Platform(directory, chain, tuple(nodes), leash)
            except PlatformError as error:
                # A node that can't have its ports may end well after it has answered for the first time, so what we see
                # may be anything. It may also be that the chain is half made: begin again with an empty one.
                clash = _clash(nodes, error)
                if clash is None:
                    raise
                if attempt == START_ATTEMPTS_MAX:
                    message = f"no free ports in {attempt} attempts"
                    raise StartFailed(message) from clash
            for node in nodes:
                node.kill()
            await asyncio.to_thread(shutil.rmtree, _nodes_in(directory))
        raise AssertionError("the last attempt returns or raises")
    except BaseException:
        # Not only errors: a cancelled start must not leave anything behind either.
        for node in nodes:
            node.kill()
        await leash.release()
        raise


async def _bring_up(
    nodes: Sequence[Node], options: PlatformOptions, identity: ChainIdentity, prepared: PreparedChain | None
) -> PreparedChain:
    """Start the nodes on a copy of the prepared chain, or deploy, and wait until all have what the validator has."""
    if options.prepared is not None:
        await asyncio.to_thread(_copy_databases, options.prepared, nodes)
    for node in nodes:
        node.start()
    for node in nodes:
        await node.wait_ready(options.ready_s_max)
    async with Chain(nodes[0].http_url, identity.magic, identity.block_ms) as validator:
        chain = prepared or PreparedChain(identity, await deploy(validator, identity.accounts))
        height = await validator.height()
    for node in nodes:
        async with Chain(node.http_url, identity.magic, identity.block_ms) as each:
            await each.wait_height(height, options.ready_s_max)
    for node in nodes:
        node.check()
    return chain


def _clash(nodes: Sequence[Node], error: PlatformError) -> PortClash | None:
    """The clash of ports behind a failed start, if that was the reason."""
    if isinstance(error, PortClash):
        return error
    for node in nodes:
        try:
            node.check()
        except PortClash as clash:
            return clash
        except NodeFailed:
            continue
    return None


def _identity(options: PlatformOptions, prepared: PreparedChain | None) -> ChainIdentity:
    if prepared is None:
        block_ms = BLOCK_MS_DEFAULT if options.block_ms is None else options.block_ms
        if block_ms < BLOCK_MS_MIN:
            message = f"blocks every {block_ms} ms are too many; the least is {BLOCK_MS_MIN} ms"
            raise StartFailed(message)
        return ChainIdentity(options.seed or secrets.token_bytes(32), block_ms)
    # The chain itself says how long a block takes; a node that was told otherwise would disagree with it.
    if options.block_ms not in {None, prepared.identity.block_ms}:
        message = f"{options.prepared} was prepared with blocks every {prepared.identity.block_ms} ms"
        raise PreparedFolderUnusable(message)
    if options.seed not in {None, prepared.identity.seed}:
        message = f"{options.prepared} was prepared with another seed"
        raise PreparedFolderUnusable(message)
    return prepared.identity


def _make_directory(options: PlatformOptions, leash: Leash) -> Path:
    directory = options.directory
    if directory is None:
        directory = Path(tempfile.gettempdir()) / f"miniapp-platform-{secrets.token_hex(8)}"
        leash.guard(directory)
    try:
        directory.mkdir(mode=0o700, parents=True)
    except OSError as error:
        message = f"can't make the platform's folder: {error}"
        raise StartFailed(message) from error
    return directory.absolute()


def _nodes_in(directory: Path) -> Path:
    return directory / "nodes"


def _copy_databases(prepared: Path, nodes: Sequence[Node]) -> None:
    for node in nodes:
        shutil.copytree(prepared_database(prepared, node.name), node.plan.database)


def _plans(options: PlatformOptions, identity: ChainIdentity, directory: Path) -> list[NodePlan]:
    ports = list(options.choose_ports(2 * len(PROVIDERS)))
    accounts = identity.accounts
    validator = accounts.validators[0]
    wallet = ConsensusWallet(wallets_in(directory) / f"{validator.name}.json", accounts.wallet_password)
    rpc_ports, p2p_ports = ports[: len(PROVIDERS)], ports[len(PROVIDERS) :]
    return [
        NodePlan(
            name=name,
            provider=provider,
            directory=_nodes_in(directory) / name,
            magic=identity.magic,
            block_ms=identity.block_ms,
            committee=tuple(account.public_key_hex for account in accounts.validators),
            rpc_port=rpc_port,
            p2p_port=p2p_port,
            seed_ports=() if name == VALIDATOR else (p2p_ports[0],),
            consensus=wallet if name == VALIDATOR else None,
        )
        for (name, provider), rpc_port, p2p_port in zip(PROVIDERS.items(), rpc_ports, p2p_ports, strict=True)
    ]
