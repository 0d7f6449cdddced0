"""Subscribes to new block headers over one endpoint's WebSocket after the other, for as long as it runs.

Tells what it hears and whether it is hearing at all; what that means is the feed's to judge.
"""

import asyncio
import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tocsin.connect.neo.network import Endpoint
from tocsin.connect.neo.nodes import Nodes
from tocsin.connect.neo.wire import HEADER_EVENT
from tocsin.domain.errors import Unavailable

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

OPEN_S_MAX = 3.0
CLOSE_S_MAX = 0.2
SILENCE_BLOCKS = 3
SILENCE_S_MIN = 1.0
BACK_OFF_S_MIN = 0.05
BACK_OFF_S_MAX = 5.0
MESSAGE_BYTES_MAX = 1024 * 1024

_SUBSCRIBE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": ["header_of_added_block"]})


class HeadListener:
    """The newest heads that the subscriptions told of."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._endpoints = [endpoint for endpoint in nodes.config.endpoints if endpoint.ws is not None]
        self._told: dict[str, int] = {}
        self._woken = asyncio.Event()
        self.live = False
        """Whether a subscription stands that has told of a block not long ago."""

    async def next(self, wait_s: float) -> dict[str, int]:
        """What was heard since the last call: endpoint's name to newest block. Empty if nothing came in time."""
        try:
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        except TimeoutError:
            return {}
        self._woken.clear()
        told, self._told = self._told, {}
        return told

    async def run(self) -> None:
        """Listens until it is cancelled, changing to the next endpoint whenever one fails or falls silent.

        After a whole round without a block it rests, longer each time up to a bound.
        """
        back_off_s = BACK_OFF_S_MIN
        while True:
            heard = False
            for endpoint in self._endpoints:
                heard = await self._listen(endpoint) or heard
                self.live = False
            back_off_s = BACK_OFF_S_MIN if heard else min(BACK_OFF_S_MAX, 2 * back_off_s)
            await asyncio.sleep(back_off_s)

    async def _listen(self, endpoint: Endpoint) -> bool:
        """Listens to one endpoint until it fails or falls silent; returns whether it told of any block."""
        # A tenth of a second to import, which sending a pause should not wait for.
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        heard = False
        assert endpoint.ws is not None
        try:
            await self._nodes.admitted(endpoint)
            # Pings would take a frozen node for dead as well, but later than its silence does.
            async with connect(
                endpoint.ws,
                open_timeout=OPEN_S_MAX,
                close_timeout=CLOSE_S_MAX,
                ping_interval=None,
                max_size=MESSAGE_BYTES_MAX,
                compression=None,
            ) as socket:
                await socket.send(_SUBSCRIBE)
                while True:
                    async with asyncio.timeout(await self._silence_s()):
                        height = await _head(socket)
                    heard = self.live = True
                    self._told[endpoint.name] = height
                    self._woken.set()
        except (OSError, TimeoutError, WebSocketException, Unavailable):
            # Nothing is lost by it: the feed polls while nobody tells.
            return heard

    async def _silence_s(self) -> float:
        return max(SILENCE_S_MIN, SILENCE_BLOCKS * await self._nodes.block_ms() / 1000)


async def _head(socket: "ClientConnection") -> int:
    """The next header that the subscription tells of. The reply to subscribing is passed by."""
    while True:
        message = await socket.recv()
        try:
            return HEADER_EVENT.validate_json(message).params[0].index
        except ValidationError:
            continue
