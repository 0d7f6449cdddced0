"""Follows the chain block by block: none skipped, none handled twice, also across restarts and lost connections.

A new head only wakes the follower; blocks are always fetched in order from the one after the last handled, so catching
up after a gap and following live are the same path. A block counts as handled once its detections were delivered and
the cursor was moved; after a crash in between it is seen again, which detects nothing new (see `Detection.id`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from tocsin.connect.ports import Block, BlockFeed
from tocsin.detect.outflow import OutflowWatch
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import BlockHash

log = structlog.get_logger(__name__)

CURSOR = "chain"
WARM_UP_BLOCKS_MAX = 500
RETRY_S = 0.2
"""Between two tries to read what no endpoint had; about as long as the shortest blocks take."""


class Cursor(Protocol):
    """Where a follower stands, kept by the store."""

    async def get(self, name: str) -> int | None:
        """The last handled block's index, or None at the very first start."""
        ...

    async def set(self, name: str, height: int, block_hash: BlockHash) -> None:
        """Moves the cursor; never backwards."""
        ...


class Follower:
    """Feeds blocks to the watch, and the watch's detections to `deliver`."""

    def __init__(
        self,
        feed: BlockFeed,
        cursor: Cursor,
        watch: OutflowWatch,
        deliver: Callable[[Detection], Awaitable[object]],
        *,
        retry_s: float = RETRY_S,
    ) -> None:
        self._feed, self._cursor, self._watch, self._deliver = feed, cursor, watch, deliver
        self._retry_s = retry_s
        self.handled = -1
        """The index of the last handled block; -1 before the first."""

    async def follow(self) -> None:
        """Runs until cancelled. At the very first start it begins at the present head."""
        last = await self._cursor.get(CURSOR)
        if last is not None:
            await self._warm_up(last)
            self.handled = last
        async for head in self._feed.heads():
            if last is None:
                # Written down before the first block is handled, so that a crash in it does not skip to a later head.
                before = await self._fetch(max(0, head - 1))
                await self._cursor.set(CURSOR, before.height, before.hash)
                last = before.height
            while last < head:
                block = await self._fetch(last + 1)
                for detection in await self._judge(block):
                    await self._deliver(detection)
                await self._cursor.set(CURSOR, block.height, block.hash)
                self.handled = last = block.height

    async def _warm_up(self, last: int) -> None:
        """Fills the windows with the blocks before the cursor, so that a restart forgets no outflow."""
        blocks = [await self._fetch(last)]
        since = blocks[0].time - self._watch.longest_window
        while blocks[-1].height > 0 and blocks[-1].time > since:
            if len(blocks) == WARM_UP_BLOCKS_MAX:
                log.warning("warm_up_cut_short", blocks=len(blocks), reaches_back_to=blocks[-1].time.isoformat())
                break
            blocks.append(await self._fetch(blocks[-1].height - 1))
        for block in reversed(blocks):
            await self._watch.see(block, quiet=True)

    async def _fetch(self, height: int) -> Block:
        return await self._patiently("fetch", height, lambda: self._feed.block(height))

    async def _judge(self, block: Block) -> Sequence[Detection]:
        return await self._patiently("judge", block.height, lambda: self._watch.see(block))

    async def _patiently[T](self, what: str, height: int, attempt: Callable[[], Awaitable[T]]) -> T:
        """Tries for as long as it takes, since the way on leads through this block; says once that it has to wait."""
        waited = False
        while True:
            try:
                result = await attempt()
            except Unavailable as error:
                if not waited:
                    log.warning("block_waited_for", to=what, height=height, why=error.message)
                waited = True
                await asyncio.sleep(self._retry_s)
            else:
                if waited:
                    log.info("block_no_longer_waited_for", to=what, height=height)
                return result
