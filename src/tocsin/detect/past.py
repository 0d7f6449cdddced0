"""Where in the past a moment lies: the block to begin with, so that a window of time is complete. Pure but for reading.

Blocks' times only ever grow, so a handful of them tells.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

from tocsin.connect.ports import Block


async def first_since(moment: datetime, earliest: int, latest: int, block: Callable[[int], Awaitable[Block]]) -> int:
    """The newest block from `earliest` to `latest` that is not younger than `moment`, found by halving the way.

    It is `earliest` when even that one is younger; then whoever asked reaches back less far than it wanted.
    """
    assert earliest <= latest, "there is at least one block to begin with"
    low, high = earliest, latest
    while low < high:
        middle = (low + high + 1) // 2
        if (await block(middle)).time <= moment:
            low = middle
        else:
            high = middle - 1
    return low
