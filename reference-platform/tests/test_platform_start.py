"""Starting: what is there afterwards, port clashes, failures, prepared chains."""

import asyncio
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from miniapp_platform.chain import Chain
from miniapp_platform.errors import ChainUnreachable, PreparedFolderUnusable, StartFailed
from miniapp_platform.node import free_ports
from miniapp_platform.platform import Platform, PlatformOptions
from miniapp_platform.script import FRACTIONS_PER_GAS, Call, script_hash

BLOCK_MS = 50
PORTS = 6
"""An RPC port for each of the three nodes, then a P2P port for each."""


def children() -> set[str]:
    """The processes that this one has started and that have not gone."""
    listing = subprocess.run(["ps", "-axo", "ppid=,command="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=1) for line in listing.splitlines()]
    return {row[1] for row in rows if int(row[0]) == os.getpid() and not row[1].startswith("ps -axo")}


def first_these_then_free(first: Sequence[int]) -> Callable[[int], Sequence[int]]:
    answers = iter([first])
    return lambda count: next(answers, None) or free_ports(count)


async def test_three_nodes_of_three_providers_agree_on_the_contracts() -> None:
    async with Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform:
        assert len({node.provider for node in platform.nodes}) == 3
        for node in platform.nodes:
            async with platform.client(node) as chain:
                registry = await chain.read(Call(script_hash(platform.contracts.mini_app), "registry"))
                assert registry == script_hash(platform.contracts.pause_registry).to_array()
                operator = platform.accounts.operator.script_hash
                registered = Call(script_hash(platform.contracts.pause_registry), "isOperator", (operator,))
                assert await chain.read(registered)
                assert await chain.gas_of(script_hash(platform.contracts.vulnerable_app)) == 1_000 * FRACTIONS_PER_GAS
                version = await chain.call("getversion")
                assert isinstance(version, dict)
                assert version["protocol"]["network"] == platform.magic
                assert version["protocol"]["msperblock"] == BLOCK_MS


async def test_after_stop_there_is_neither_a_process_nor_a_folder() -> None:
    before = children()
    platform = await Platform.start(PlatformOptions(block_ms=BLOCK_MS))
    assert len(platform.processes()) == 4
    assert platform.wallet("operator").exists()
    await platform.stop()
    assert platform.processes() == ()
    assert not platform.directory.exists()
    assert children() == before
    await platform.stop()


async def test_a_folder_named_by_the_caller_stays(tmp_path: Path) -> None:
    directory = tmp_path / "a platform"
    async with Platform.start(PlatformOptions(block_ms=BLOCK_MS, directory=directory)) as platform:
        assert platform.directory == directory
    assert (directory / "nodes" / "validator" / "node.log").exists()


@pytest.mark.parametrize("taken", range(PORTS))
async def test_a_port_taken_meanwhile_is_answered_with_other_ports(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        ports = list(free_ports(PORTS))
        ports[taken] = stranger.getsockname()[1]
        options = PlatformOptions(block_ms=BLOCK_MS, choose_ports=first_these_then_free(ports))
        async with Platform.start(options) as platform:
            assert str(ports[taken]) not in {node.http_url.rpartition(":")[2] for node in platform.nodes}
            assert len(platform.processes()) == 4


async def test_another_node_of_the_same_chain_is_not_taken_for_ours(tmp_path: Path) -> None:
    prepared = await Platform.prepare(tmp_path / "prepared", BLOCK_MS)
    async with Platform.start(PlatformOptions(prepared=prepared)) as first:
        ports = list(free_ports(PORTS))
        ports[1] = first.nodes[1].plan.rpc_port
        options = PlatformOptions(prepared=prepared, choose_ports=first_these_then_free(ports))
        async with Platform.start(options) as second:
            assert second.magic == first.magic
            assert not {node.http_url for node in first.nodes} & {node.http_url for node in second.nodes}


async def test_a_start_that_fails_leaves_nothing() -> None:
    before = children()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]
        options = PlatformOptions(block_ms=BLOCK_MS, choose_ports=lambda count: [*free_ports(count - 1), taken])
        with pytest.raises(StartFailed, match="no free ports"):
            await Platform.start(options)
    assert children() == before


async def test_a_start_that_is_cancelled_leaves_nothing() -> None:
    before = children()
    chosen = asyncio.Event()

    def choose(count: int) -> Sequence[int]:
        chosen.set()
        return free_ports(count)

    async def start() -> None:
        await Platform.start(PlatformOptions(block_ms=2_000, choose_ports=choose))

    task = asyncio.create_task(start())
    await chosen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == before


async def test_too_many_blocks_are_refused() -> None:
    with pytest.raises(StartFailed, match="20 ms"):
        await Platform.start(PlatformOptions(block_ms=1))


async def test_a_prepared_chain_goes_on_wherever_its_folder_is_moved(tmp_path: Path) -> None:
    made = await Platform.prepare(tmp_path / "cache" / "prepared", BLOCK_MS, seed=b"seed")
    moved = tmp_path / "else where"
    shutil.move(made, moved)
    for _ in range(2):
        async with Platform.start(PlatformOptions(prepared=moved)) as platform, platform.client() as chain:
            assert platform.block_ms == BLOCK_MS
            assert await chain.gas_of(script_hash(platform.contracts.gas_bank)) == 1_000 * FRACTIONS_PER_GAS
            height = await chain.height()
            await asyncio.gather(*(wait_height(platform, number, height + 2) for number in range(3)))


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def wait_height(platform: Platform, number: int, height: int) -> None:
    async with platform.client(platform.nodes[number]) as chain:
        await chain.wait_height(height, 10)


async def test_a_prepared_folder_is_complete_private_and_made_once(tmp_path: Path) -> None:
    folder, *others = await asyncio.gather(*(Platform.prepared_in(tmp_path, BLOCK_MS) for _ in range(2)))
    assert others == [folder]
    assert names_in(tmp_path) == {folder.name}, "no drafts are left"
    assert permissions(folder) == 0o700
    assert permissions(folder / "platform.json") == 0o600
    with pytest.raises(FileExistsError):
        await Platform.prepare(folder, BLOCK_MS)
    assert await Platform.prepared_in(tmp_path, BLOCK_MS) == folder


async def test_a_prepared_folder_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreparedFolderUnusable, match="not a prepared chain folder"):
        await Platform.start(PlatformOptions(prepared=tmp_path / "nowhere"))
    folder = await Platform.prepare(tmp_path / "prepared", BLOCK_MS)
    with pytest.raises(PreparedFolderUnusable, match="every 50 ms"):
        await Platform.start(PlatformOptions(prepared=folder, block_ms=1_000))
    state = folder / "platform.json"
    state.write_text(state.read_text().replace('"artifacts": "', '"artifacts": "0'))
    with pytest.raises(PreparedFolderUnusable, match="prepare it anew"):
        await Platform.start(PlatformOptions(prepared=folder))


async def test_a_client_of_nobody_says_so() -> None:
    (port,) = free_ports(1)
    async with Chain(f"http://127.0.0.1:{port}", magic=1, block_ms=BLOCK_MS) as chain:
        with pytest.raises(ChainUnreachable):
            await chain.height()
