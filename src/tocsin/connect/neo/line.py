"""Calls to one endpoint over a WebSocket that is kept open; by HTTP while there is none.

Saves what a connection and the HTTP client cost where a millisecond counts. Everything called through it must be
harmless to call twice: a call whose WebSocket breaks is made again by HTTP.
"""

import asyncio

from pydantic import TypeAdapter

from tocsin.connect.neo.network import Endpoint
from tocsin.connect.neo.rpc import RpcClient, RpcFailure, TransportFailed
from tocsin.connect.neo.websocket import RpcSocket
from tocsin.connect.neo.wire import VERSION
from tocsin.domain.canonical import Json

OPEN_S_MAX = 3.0
REOPEN_S_MIN = 0.5
"""After a failure to open, calls go by HTTP for this long before it is tried again."""
MESSAGE_BYTES_MAX = 8 * 1024 * 1024


class Line:
    """The connection to one endpoint, opened by the first call that finds it closed, which does not wait for it."""

    def __init__(self, endpoint: Endpoint, http: RpcClient, *, magic: int, request_s: float) -> None:
        self._endpoint = endpoint
        self._http = http
        self._magic = magic
        self._request_s = request_s
        self._socket: RpcSocket | None = None
        self._opening: asyncio.Task[None] | None = None
        self._opened_at = float("-inf")
        self._closed = False
        self.under_way = 0
        """How many calls wait for their answer; a node answers those of one connection in turn."""

    @property
    def open(self) -> bool:
        return self._socket is not None and self._socket.alive

    async def ready(self) -> bool:
        """Opens the connection if there is none, and waits for that; returns whether it stands."""
        self._open_soon()
        if self._opening is not None:
            await asyncio.wait([self._opening])
        return self.open

    async def call[T](self, shape: TypeAdapter[T], method: str, *parameters: Json) -> T:
        """The result of one call.

        Raises:
            TransportFailed: no answer in time, or none that can be read.
            RpcRejected: the node answered with an error.
        """
        self.under_way += 1
        try:
            socket = self._socket
            if socket is None or not socket.alive:
                self._open_soon()
                return await self._http.call(shape, method, *parameters)
            try:
                return await socket.call(shape, method, *parameters)
            except TransportFailed:
                # A call that took too long would take as long by HTTP.
                if socket.alive:
                    raise
                self._open_soon()
                return await self._http.call(shape, method, *parameters)
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        """Closes the connection for good."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    def _open_soon(self) -> None:
        now = asyncio.get_running_loop().time()
        idle = self._opening is None or self._opening.done()
        if self.open or self._closed or self._endpoint.ws is None or not idle or now - self._opened_at < REOPEN_S_MIN:
            return
        self._opened_at = now
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        assert self._endpoint.ws is not None
        if self._socket is not None:
            await self._socket.close()
            self._socket = None
        try:
            socket = await RpcSocket.open(
                self._endpoint.ws, open_s=OPEN_S_MAX, request_s=self._request_s, message_bytes_max=MESSAGE_BYTES_MAX
            )
        except TransportFailed:
            return
        try:
            # The address of the WebSocket may lead elsewhere than that for HTTP does.
            if (await socket.call(VERSION, "getversion")).protocol.network == self._magic:
                self._socket = socket
        except RpcFailure:
            return
        finally:
            if self._socket is not socket:
                await socket.close()
