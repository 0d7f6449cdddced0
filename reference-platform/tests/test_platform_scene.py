"""Users, an attacker and the admin on the platform: what a drill is made of."""

import asyncio

import pytest

from miniapp_platform.admin import Admin
from miniapp_platform.attack import Attack, Broadcast
from miniapp_platform.chain import Authority, Chain
from miniapp_platform.deploy import MINI_APP_ID, POT_GAS
from miniapp_platform.errors import PlatformError, RehearsalFaulted
from miniapp_platform.platform import Platform, PlatformOptions
from miniapp_platform.script import FRACTIONS_PER_GAS, Call, Execution, script_hash
from miniapp_platform.traffic import HonestTraffic, place_order

BLOCK_MS = 100
POT = POT_GAS * FRACTIONS_PER_GAS
BOUND_S = 30


async def pause_all(platform: Platform, chain: Chain) -> Execution:
    registry = script_hash(platform.contracts.pause_registry)
    call = Call(registry, "pauseAll", ("a rehearsal",), must_be_true=True)
    return await chain.execute([call], [Authority(platform.accounts.operator, (registry,))])


async def test_an_attack_left_alone_takes_everything_in_ten_blocks() -> None:
    async with (
        Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform,
        platform.client(platform.node("follower-1")) as chain,
        platform.client() as validator,
    ):
        heard: list[Broadcast] = []
        attack = Attack(platform, chain, on_broadcast=heard.append)
        assert await attack.lost() == 0
        claims = await attack.run()
        assert [claim.state for claim in claims] == ["HALT"] * 10
        assert [claim.broadcast for claim in claims] == heard
        assert heard[0] == await attack.first_broadcast()
        assert await attack.lost() == sum(claim.taken for claim in claims) == POT
        assert await validator.gas_of(script_hash(platform.contracts.vulnerable_app)) == 0


async def test_a_pause_stops_the_attack_and_the_chain_tells_what_was_lost() -> None:
    async with (
        Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform,
        platform.client(platform.node("follower-1")) as chain,
        platform.client() as validator,
        asyncio.timeout(BOUND_S),
    ):
        attack = Attack(platform, chain, faults_max=2)
        running = asyncio.create_task(attack.run())
        await attack.first_broadcast()
        await pause_all(platform, validator)
        claims = await running
        assert [claim.state for claim in claims[-2:]] == ["FAULT"] * 2
        assert "paused by registry" in claims[-1].fault
        lost = await attack.lost(validator)
        assert lost == sum(claim.taken for claim in claims)
        assert lost + await validator.gas_of(script_hash(platform.contracts.vulnerable_app)) == POT
        assert lost < POT


async def test_an_attack_that_can_not_begin_says_so_to_those_who_wait_for_it() -> None:
    async with Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform, platform.client() as chain:
        await pause_all(platform, chain)
        attack = Attack(platform, chain)
        with pytest.raises(RehearsalFaulted):
            await attack.run()
        with pytest.raises(PlatformError):
            await attack.first_broadcast()


async def test_honest_users_are_served_until_a_pause_and_again_after_the_admin_resumed() -> None:
    async with (
        Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform,
        platform.client(platform.node("follower-2")) as users,
        platform.client() as chain,
        asyncio.timeout(BOUND_S),
        HonestTraffic(platform, users, orders_per_block=2) as traffic,
    ):
        while (await traffic.changed()).placed < 4:
            pass
        await pause_all(platform, chain)
        while not (await traffic.changed()).failed:
            pass
        assert set(traffic.report.failed) == {"paused by registry"}
        await Admin(platform, chain).resume_all()
        placed = traffic.report.placed
        while (await traffic.changed()).placed < placed + 2:
            pass


async def test_traffic_is_bounded_in_count() -> None:
    async with (
        Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform,
        platform.client() as chain,
        HonestTraffic(platform, chain, orders_per_block=2, orders_max=3) as traffic,
        asyncio.timeout(BOUND_S),
    ):
        while (await traffic.changed()).placed < 3:
            pass
        await chain.wait_height(await chain.height() + 3)
        assert traffic.report.placed == 3


async def test_the_admin_pauses_and_resumes_a_single_app() -> None:
    async with Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform, platform.client() as chain:
        admin = Admin(platform, chain)
        payer = platform.accounts.payers[0]
        await admin.set_app_paused(MINI_APP_ID, paused=True)
        with pytest.raises(RehearsalFaulted, match="paused by registry"):
            await place_order(platform, chain, payer)
        await admin.set_app_paused(MINI_APP_ID, paused=False)
        assert (await place_order(platform, chain, payer, memo="after the pause")).halted


async def test_an_operator_that_the_admin_removed_can_not_pause_until_added_again() -> None:
    async with Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform, platform.client() as chain:
        admin = Admin(platform, chain)
        await admin.remove_operator(platform.accounts.operator)
        with pytest.raises(RehearsalFaulted, match="not authorised"):
            await pause_all(platform, chain)
        await admin.add_operator(platform.accounts.operator)
        assert (await pause_all(platform, chain)).halted
