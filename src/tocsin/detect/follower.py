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
_RETRY_S = 0.2


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
    ) -> None:
        self._feed, self._cursor, self._watch, self._deliver = feed, cursor, watch, deliver
        self.handled = -1
        """The index of the last handled block; -1 before the first."""

    async def follow(self) -> None:
        """Runs until cancelled. At the very first start it begins at the present head."""
        last = await self._cursor.get(CURSOR)
        if last is not None:
            await self._warm_up(last)
        async for head in self._feed.heads():
            if last is None:
                last = head - 1
            while last < head:
                block = await self._fetch(last + 1)
                for detection in await self._see(block):
                    await self._deliver(detection)
                await self._cursor.set(CURSOR, block.height, block.hash)
                self.handled = last = block.height

    async def _warm_up(self, last: int) -> None:
        """Fills the windows with the blocks before the cursor, so that a restart forgets no outflow."""
        newest = await self._fetch(last)
        blocks = [newest]
        while (
            blocks[-1].height > 0
            and len(blocks) < WARM_UP_BLOCKS_MAX
            and blocks[-1].time > newest.time - self._watch.longest_window
        ):
            blocks.append(await self._fetch(blocks[-1].height - 1))
        for block in reversed(blocks):
            await self._watch.see(block, quiet=True)

    async def _see(self, block: Block) -> Sequence[Detection]:
        while True:
            try:
                return await self._watch.see(block)
            except Unavailable as error:
                log.warning("block_not_judged", height=block.height, why=error.message)
                await asyncio.sleep(_RETRY_S)

    async def _fetch(self, height: int) -> Block:
        while True:
            try:
                return await self._feed.block(height)
            except Unavailable as error:
                log.warning("block_not_fetched", height=height, why=error.message)
                await asyncio.sleep(_RETRY_S)
