"""Follows the chain block by block: none skipped, none handled twice, also across restarts and lost connections.

A new head only wakes the follower; blocks are always taken in order from the one after the last handled, so catching up
after a gap and following live are the same path. Over a long gap they are read in batches, where there is a history to
read them from. A block counts as handled once its detections were delivered and the cursor was moved; after a crash in
between it is seen again, which detects nothing new (see `Detection.id`).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

import structlog

from tocsin.connect.ports import Block, BlockFeed, BlockHistory
from tocsin.detect.outflow import OutflowWatch
from tocsin.detect.past import first_since
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import BlockHash

log = structlog.get_logger(__name__)

CURSOR = "chain"
WARM_UP_BLOCKS_MAX = 500
WARM_UP_BLOCKS_IN_BATCHES_MAX = 30_000
"""A day of blocks of three seconds, which takes seconds to read in batches."""
GAP_BLOCKS_MIN = 10
"""How many blocks are worth a batch. A single one comes sooner by itself."""
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
        history: BlockHistory | None = None,
        retry_s: float = RETRY_S,
    ) -> None:
        self._feed, self._cursor, self._watch, self._deliver = feed, cursor, watch, deliver
        self._history = history
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
                last = head - 1
                if last >= 0:
                    # Written down before a block is handled, so that a crash in the first one skips none.
                    before = await self._fetch(last)
                    await self._cursor.set(CURSOR, before.height, before.hash)
            if last < head:
                async with aclosing(self._blocks(last + 1, head)) as blocks:
                    async for block in blocks:
                        for detection in await self._judge(block):
                            await self._deliver(detection)
                        await self._cursor.set(CURSOR, block.height, block.hash)
                        self.handled = last = block.height

    async def _warm_up(self, last: int) -> None:
        """Fills the windows with the blocks before the cursor, so that a restart forgets no outflow."""
        newest = await self._fetch(last)
        since = newest.time - self._watch.longest_window
        blocks_max = WARM_UP_BLOCKS_MAX if self._history is None else WARM_UP_BLOCKS_IN_BATCHES_MAX
        earliest = max(0, last - blocks_max + 1)
        # The one at the edge is as old as the window is long and shows that the edge is reached.
        first = await first_since(since, earliest, last, self._fetch)
        if first == earliest > 0 and (edge := await self._fetch(first)).time > since:
            log.warning("warm_up_cut_short", blocks=blocks_max, reaches_back_to=edge.time.isoformat())
        async with aclosing(self._blocks(first, last)) as blocks:
            async for block in blocks:
                await self._watch.see(block, quiet=True)

    async def _blocks(self, first: int, last: int) -> AsyncGenerator[Block]:
        """These blocks in order, waiting for as long as it takes for each."""
        following = first
        while following <= last:
            if self._history is not None and last - following >= GAP_BLOCKS_MIN:
                async with aclosing(self._history.blocks(following, last)) as blocks:
                    try:
                        async for block in blocks:
                            yield block
                            following = block.height + 1
                    except Unavailable as error:
                        log.warning("catching_up_interrupted", height=following, why=error.message)
            if following <= last:
                yield await self._fetch(following)
                following += 1

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
