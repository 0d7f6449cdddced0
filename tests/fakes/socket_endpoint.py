"""The WebSocket of an endpoint between Tocsin and a real node, that may lie, fall silent or break off; on loopback."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

type Message = dict[str, Any]


def honest(message: Message) -> Message:
    return message


@dataclass
class SocketEndpoint:
    """A running proxy. `lie` gets every message of the node and gives the one to pass on, or None to swallow it."""

    node_url: str
    lie: Callable[[Message], Message | None] = honest
    url: str = ""
    accepting: bool = True
    asked: list[str] = field(default_factory=list[str])
    connections: set[ServerConnection] = field(default_factory=set[ServerConnection])

    async def serve(self, connection: ServerConnection) -> None:
        if not self.accepting:
            return
        async with connect(self.node_url, max_size=None, compression=None, proxy=None) as node:
            self.connections.add(connection)
            pumps = [
                asyncio.create_task(self._ask(connection, node)),
                asyncio.create_task(self._tell(connection, node)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self.connections.discard(connection)

    async def tell(self, message: Message) -> None:
        """Tells every client something that the node did not say."""
        for connection in tuple(self.connections):
            await connection.send(json.dumps(message))

    async def break_off(self) -> None:
        """Closes every connection."""
        for connection in tuple(self.connections):
            await connection.close()

    async def _ask(self, client: ServerConnection, node: Any) -> None:
        try:
            async for text in client:
                self.asked.append(json.loads(text)["method"])
                await node.send(text)
        except ConnectionClosed:
            return

    async def _tell(self, client: ServerConnection, node: Any) -> None:
        try:
            async for text in node:
                told = self.lie(json.loads(text))
                if told is not None:
                    await client.send(json.dumps(told))
        except ConnectionClosed:
            return


@asynccontextmanager
async def socket_proxy(
    node_url: str, lie: Callable[[Message], Message | None] = honest
) -> AsyncGenerator[SocketEndpoint]:
    """A proxy before the WebSocket of a node."""
    endpoint = SocketEndpoint(node_url, lie)
    async with serve(endpoint.serve, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        endpoint.url = f"ws://127.0.0.1:{port}/ws"
        yield endpoint
        await endpoint.break_off()
