"""What a drill may do to a node, and what its users then see."""

import pytest

from miniapp_platform.chain import Chain
from miniapp_platform.errors import ChainUnreachable, NotIncluded
from miniapp_platform.platform import Platform, PlatformOptions

BLOCK_MS = 50


async def test_a_frozen_node_times_out_and_catches_up_when_thawed() -> None:
    async with Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform, platform.client() as validator:
        node = platform.node("follower-1")
        node.freeze()
        assert node.frozen
        assert node.running
        async with Chain(node.http_url, platform.magic, BLOCK_MS, timeout_s=0.3) as chain:
            with pytest.raises(ChainUnreachable):
                await chain.height()
            height = await validator.wait_height(await validator.height() + 3)
            node.thaw()
            assert not node.frozen
        async with platform.client(node) as chain:
            assert await chain.wait_height(height, 20) >= height


async def test_a_killed_node_refuses_connections_and_comes_back_on_its_ports() -> None:
    async with Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform, platform.client() as validator:
        node = platform.node("follower-2")
        async with platform.client(node) as chain:
            url, pid = node.http_url, node.pid
            node.kill()
            assert not node.running
            with pytest.raises(ChainUnreachable):
                await chain.height()
            await node.restart()
            assert node.http_url == url
            assert node.pid != pid
            assert await chain.wait_height(await validator.height(), 20)
            assert "starting rpc-server" in node.log_tail(50)


async def test_without_the_validator_heights_go_stale_until_it_is_back() -> None:
    async with (
        Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform,
        platform.client(platform.node("follower-1")) as chain,
    ):
        await platform.validator.stop()
        # A block that was on its way may still arrive; after that there is none.
        stale = await chain.height() + 1
        with pytest.raises(NotIncluded):
            await chain.wait_height(stale + 1, 0.5)
        await platform.validator.restart()
        await chain.wait_height(stale + 3, 20)


async def test_a_platform_with_a_frozen_node_stops_in_good_order() -> None:
    platform = await Platform.start(PlatformOptions(block_ms=BLOCK_MS))
    try:
        platform.nodes[1].freeze()
    finally:
        await platform.stop()
    assert platform.processes() == ()
    assert not platform.directory.exists()
