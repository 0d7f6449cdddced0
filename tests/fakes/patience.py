"""Waiting for a condition with a bound, in tests."""

import asyncio
from collections.abc import Awaitable, Callable

POLL_S = 0.01


async def until(holds: Callable[[], bool] | Callable[[], Awaitable[bool]], *, within_s: float = 10.0) -> None:
    """Waits until the condition holds; fails when it does not in time."""
    async with asyncio.timeout(within_s):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(POLL_S)
