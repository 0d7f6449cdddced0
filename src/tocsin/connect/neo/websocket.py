"""JSON-RPC over one WebSocket: calls side by side, and what the node tells unasked handed on as it comes.

One connection from opening to loss. Opening it again, and where else to turn, is `line`'s and `subscription`'s.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self, cast

from pydantic import TypeAdapter

from tocsin.connect.neo.rpc import TransportFailed, read, result_of
from tocsin.domain.canonical import Json

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

CLOSE_S_MAX = 0.2
"""How long a peer gets to say good-bye; a frozen one says nothing."""

type Event = Mapping[str, Json]
"""A message that answers no call: `method` says what it is about, `params` what happened."""


class RpcSocket:
    """An open connection."""

    def __init__(
        self, connection: "ClientConnection", request_s: float, on_event: Callable[[Event], None] | None
    ) -> None:
        self._connection = connection
        self._request_s = request_s
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._lost: str | None = None
        self._ended = asyncio.Event()
        self.heard_at = asyncio.get_running_loop().time()
        """When the last message came, in the event loop's seconds."""
        self._receiving = asyncio.create_task(self._receive())

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        open_s: float,
        request_s: float,
        message_bytes_max: int,
        on_event: Callable[[Event], None] | None = None,
    ) -> Self:
        """Connects; at most `open_s` seconds.

        Raises:
            TransportFailed: there is no connection to be had.
        """
        # A tenth of a second to import, which sending a pause should not wait for.
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        try:
            connection = await connect(
                url,
                open_timeout=open_s,
                close_timeout=CLOSE_S_MAX,
                ping_interval=None,  # calls have time-outs of their own, which notice a frozen node sooner
                max_size=message_bytes_max,
                compression=None,
                proxy=None,
            )
        except (OSError, TimeoutError, WebSocketException, ValueError) as error:
            raise TransportFailed(f"no WebSocket: {error or type(error).__name__}", delivered=False) from error
        return cls(connection, request_s, on_event)

    @property
    def alive(self) -> bool:
        return self._lost is None

    @property
    def lost(self) -> str:
        """Why the connection is no more; empty while it stands."""
        return self._lost or ""

    async def call[T](self, shape: TypeAdapter[T], method: str, *parameters: Json) -> T:
        """The result of one call; a node answers the calls of one connection in turn.

        Raises:
            TransportFailed: no answer in time, or none that can be read, or the connection is lost.
            RpcRejected: the node answered with an error.
        """
        if self._lost is not None:
            raise TransportFailed(self._lost, delivered=False)
        number = next(self._ids)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            async with asyncio.timeout(self._request_s):
                await self._send(json.dumps(request))
                return read(shape, result_of(await reply, method))
        except TimeoutError as error:
            raise TransportFailed(f"no answer within {self._request_s:g} s", delivered=True) from error
        finally:
            self._waiting.pop(number, None)

    async def wait_lost(self, wait_s: float) -> None:
        """Waits until the connection is lost, or for `wait_s` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._ended.wait()

    async def close(self) -> None:
        """Closes the connection, and waits a bounded time for the peer."""
        self._receiving.cancel()
        await asyncio.gather(self._receiving, return_exceptions=True)
        await self._connection.close()

    async def _send(self, message: str) -> None:
        from websockets.exceptions import WebSocketException

        try:
            await self._connection.send(message)
        except (OSError, WebSocketException) as error:
            raise TransportFailed(f"the WebSocket is lost: {error}", delivered=True) from error

    async def _receive(self) -> None:
        from websockets.exceptions import WebSocketException

        why = "the WebSocket was closed"
        try:
            async for message in self._connection:
                self.heard_at = asyncio.get_running_loop().time()
                self._take(json.loads(message))
        except (OSError, WebSocketException) as error:
            why = f"the WebSocket is lost: {error}"
        except (ValueError, RecursionError):
            why = "the WebSocket told something that is no JSON"
        finally:
            self._lost = why
            self._ended.set()
            for reply in self._waiting.values():
                if not reply.done():
                    reply.set_exception(TransportFailed(why, delivered=True))

    def _take(self, message: object) -> None:
        if not isinstance(message, dict):
            return
        members = cast("dict[str, Json]", message)
        number = members.get("id")
        if isinstance(number, int):
            reply = self._waiting.get(number)
            if reply is not None and not reply.done():
                reply.set_result(members)
        elif self._on_event is not None and "method" in members:
            self._on_event(members)
