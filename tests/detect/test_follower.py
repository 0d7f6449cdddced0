"""The follower: every block once and in order, whatever is lost, late or restarted in between."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from detect.vaults import MALLORY, VAULT, mine, rule, vaults
from fakes.chain import GAS, GENESIS, FakeChain
from fakes.repositories import MemoryCursor
from tocsin.connect.ports import Block, BlockFeed
from tocsin.detect.follower import CURSOR, WARM_UP_BLOCKS_MAX, Follower
from tocsin.detect.outflow import OutflowRule, OutflowWatch
from tocsin.domain.detections import Detection
from tocsin.domain.hashes import BlockHash

TURNS_MAX = 20_000


class Died(Exception):
    """The process would have ended here."""


class CursorThatDies(MemoryCursor):
    """Dies once instead of moving to a height."""

    def __init__(self, height: int) -> None:
        super().__init__()
        self._fatal = height

    async def set(self, name: str, height: int, block_hash: BlockHash) -> None:
        if height == self._fatal:
            self._fatal = -1
            raise Died
        await super().set(name, height, block_hash)


class RecordingWatch(OutflowWatch):
    """Remembers which blocks it was shown, and how."""

    def __init__(self, rules: list[OutflowRule], chain: FakeChain) -> None:
        super().__init__(rules, chain)
        self.seen: list[int] = []
        self.warmed: list[int] = []

    async def see(self, block: Block, *, quiet: bool = False) -> list[Detection]:
        found = list(await super().see(block, quiet=quiet))
        (self.warmed if quiet else self.seen).append(block.height)
        return found


@dataclass
class AnnouncedHeads:
    """A feed that announces what it is told to, whatever the chain has, and ends."""

    chain: FakeChain
    announced: Sequence[int]

    async def heads(self) -> AsyncIterator[int]:
        for head in self.announced:
            yield head

    async def block(self, height: int, *, confirmed: bool = False) -> Block:
        return await self.chain.block(height, confirmed=confirmed)


@dataclass
class Scene:
    """A chain, one rule, and what outlives a restart: the cursor and what was delivered."""

    chain: FakeChain = field(default_factory=vaults)
    rule: OutflowRule = field(default_factory=lambda: rule('amount_ge(sum, "20")'))
    cursor: MemoryCursor = field(default_factory=MemoryCursor)
    delivered: list[Detection] = field(default_factory=list[Detection])
    watch: RecordingWatch = field(init=False)
    feed: BlockFeed | None = None

    def follower(self) -> Follower:
        """A follower as a process that has just started makes it."""
        self.watch = RecordingWatch([self.rule], self.chain)

        async def deliver(detection: Detection) -> None:
            self.delivered.append(detection)

        return Follower(self.feed or self.chain, self.cursor, self.watch, deliver, retry_s=0)

    @asynccontextmanager
    async def following(self) -> AsyncGenerator[Follower]:
        """A follower that runs; its end is an error unless it is we who end it."""
        follower = self.follower()
        task = asyncio.create_task(follower.follow())
        try:
            yield follower
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Gives the others turns until the condition holds."""
    for _ in range(TURNS_MAX):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("it never came to that")


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_the_very_first_start_begins_at_the_head(scene: Scene) -> None:
    for _ in range(5):
        mine(scene.chain, (VAULT, MALLORY, "100"))
    async with scene.following() as follower:
        assert follower.handled == -1
        await until(lambda: follower.handled == 5)
    assert (scene.watch.seen, scene.watch.warmed) == ([5], [])
    assert await scene.cursor.get(CURSOR) == 5


async def test_blocks_are_handled_in_order_as_they_come_and_none_is_skipped(scene: Scene) -> None:
    async with scene.following() as follower:
        await until(lambda: follower.handled == 0)
        scene.chain.mine()
        await until(lambda: follower.handled == 1)
        for _ in range(10):  # all at once: of most of them nobody is told
            scene.chain.mine()
        await until(lambda: follower.handled == 11)
    assert scene.watch.seen == list(range(12))


async def test_a_restart_goes_on_after_the_last_handled_block(scene: Scene) -> None:
    async with scene.following() as follower:
        await until(lambda: follower.handled == 0)
    for _ in range(3):
        scene.chain.mine()
    async with scene.following() as follower:
        await until(lambda: follower.handled == 3)
    assert scene.watch.seen == [1, 2, 3]


async def test_a_restart_knows_where_it_stands_before_a_new_block_comes(scene: Scene) -> None:
    async with scene.following() as follower:
        await until(lambda: follower.handled == 0)
    async with scene.following() as follower:
        await until(lambda: follower.handled == 0)
    assert scene.watch.seen == []


async def test_detections_are_delivered(scene: Scene) -> None:
    async with scene.following() as follower:
        for _ in range(3):
            mine(scene.chain, (VAULT, MALLORY, "10"))
            await until(lambda: follower.handled == scene.chain.blocks[-1].height)
    assert [d.height for d in scene.delivered] == [2, 3]


async def test_a_restart_forgets_no_outflow_of_before(scene: Scene) -> None:
    async with scene.following() as follower:
        await until(lambda: follower.handled == 0)
        mine(scene.chain, (VAULT, MALLORY, "12"))
        await until(lambda: follower.handled == 1)
    assert not scene.delivered
    mine(scene.chain, (VAULT, MALLORY, "12"))
    async with scene.following() as follower:
        await until(lambda: follower.handled == 2)
    assert scene.watch.warmed == [0, 1]
    (detection,) = scene.delivered
    assert (detection.evidence["sum"], detection.evidence["count"]) == ("24", 2)


async def test_a_restart_reads_no_further_back_than_the_longest_window(scene: Scene) -> None:
    for seconds in range(0, 600, 20):
        scene.chain.mine(at=GENESIS + timedelta(seconds=seconds))
    await scene.cursor.set(CURSOR, 30, BlockHash("0x"))
    async with scene.following() as follower:
        await until(lambda: follower.handled == 30)
    # 60 s back from block 30; the one at the edge only shows that the edge is reached.
    assert scene.watch.warmed == [27, 28, 29, 30]


async def test_a_restart_reads_a_bounded_number_of_blocks(scene: Scene) -> None:
    scene.rule = rule("true", window=timedelta(days=1))
    for _ in range(WARM_UP_BLOCKS_MAX + 20):
        scene.chain.mine()
    head = scene.chain.blocks[-1].height
    await scene.cursor.set(CURSOR, head, BlockHash("0x"))
    async with scene.following() as follower:
        await until(lambda: follower.handled == head)
    assert scene.watch.warmed == list(range(head - WARM_UP_BLOCKS_MAX + 1, head + 1))


async def test_a_crash_between_delivery_and_cursor_delivers_the_same_detection_again() -> None:
    scene = Scene(cursor=CursorThatDies(2))
    async with scene.following() as follower:
        await until(lambda: follower.handled == 0)
    mine(scene.chain, (VAULT, MALLORY, "15"))
    mine(scene.chain, (VAULT, MALLORY, "15"))
    with pytest.raises(Died):
        await scene.follower().follow()
    assert await scene.cursor.get(CURSOR) == 1
    async with scene.following() as follower:
        await until(lambda: follower.handled == 2)
    first, second = scene.delivered
    assert first == second
    assert first.evidence["sum"] == "30"


async def test_a_crash_delivers_again_also_within_the_same_process() -> None:
    scene = Scene(cursor=CursorThatDies(2))
    follower = scene.follower()
    await scene.cursor.set(CURSOR, 0, BlockHash("0x"))
    mine(scene.chain, (VAULT, MALLORY, "15"))
    mine(scene.chain, (VAULT, MALLORY, "15"))
    with pytest.raises(Died):
        await follower.follow()
    task = asyncio.create_task(follower.follow())
    await until(lambda: follower.handled == 2)
    task.cancel()
    first, second = scene.delivered
    assert first == second


async def test_while_no_endpoint_answers_a_block_is_waited_for_and_counted_once(scene: Scene) -> None:
    async with scene.following() as follower:
        await until(lambda: follower.handled == 0)
        scene.chain.silence(7)
        mine(scene.chain, (VAULT, MALLORY, "15"))
        await until(lambda: follower.handled == 1)
        assert not scene.delivered
        mine(scene.chain, (VAULT, MALLORY, "5"))
        await until(lambda: follower.handled == 2)
    assert scene.watch.seen == [0, 1, 2]
    (detection,) = scene.delivered
    assert (detection.evidence["sum"], detection.evidence["count"]) == ("20", 2)


async def test_while_a_balance_can_not_be_read_a_block_is_waited_for_and_counted_once(scene: Scene) -> None:
    async with scene.following() as follower:
        await until(lambda: follower.handled == 0)
        scene.chain.fault(GAS, "balanceOf", "out of gas")
        mine(scene.chain, (VAULT, MALLORY, "25"))
        for _ in range(50):
            await asyncio.sleep(0)
        assert follower.handled == 0
        scene.chain.mend(GAS, "balanceOf")
        await until(lambda: follower.handled == 1)
    (detection,) = scene.delivered
    assert (detection.evidence["sum"], detection.evidence["count"]) == ("25", 1)


async def test_a_head_that_falls_back_handles_nothing_twice(scene: Scene) -> None:
    for _ in range(4):
        scene.chain.mine()
    await scene.cursor.set(CURSOR, 2, BlockHash("0x"))
    scene.feed = AnnouncedHeads(scene.chain, [1, 3, 0, 4, 4])
    await scene.follower().follow()
    assert scene.watch.seen == [3, 4]


async def test_a_block_that_is_announced_before_it_can_be_read_is_waited_for(scene: Scene) -> None:
    await scene.cursor.set(CURSOR, 0, BlockHash("0x"))
    scene.feed = AnnouncedHeads(scene.chain, [2])
    task = asyncio.create_task(scene.follower().follow())
    scene.chain.mine()
    await until(lambda: scene.watch.seen == [1])
    scene.chain.mine()
    await task
    assert scene.watch.seen == [1, 2]
