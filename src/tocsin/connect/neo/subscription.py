"""One subscription to one endpoint, kept alive: subscribed again after a loss, for as long as it runs.

A node that is quiet is asked whether it lives, since a frozen one keeps its connections open and says nothing. What the
events mean is for those who subscribe.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tocsin.connect.neo.network import Endpoint
from tocsin.connect.neo.nodes import Nodes
from tocsin.connect.neo.rpc import RpcRejected, TransportFailed
from tocsin.connect.neo.websocket import Event, RpcSocket
from tocsin.connect.neo.wire import COUNT, SUBSCRIPTION, VERSION
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Unavailable

OPEN_S_MAX = 3.0
QUIET_S_MAX = 1.0
"""How long an endpoint may be silent before it is asked whether it lives."""
BACK_OFF_S_MIN = 0.05
BACK_OFF_S_MAX = 5.0
OFF_RECHECK_S = 60.0
"""How long a refusal to subscribe is taken for an answer; somebody may change the node's configuration."""
MESSAGE_BYTES_MAX = 8 * 1024 * 1024

type State = Literal["connecting", "listening", "lost", "off"]


@dataclass(frozen=True, slots=True)
class Stream:
    """What to subscribe to.

    With a filter wherever one is possible: it makes neo-go say that a stream is disabled, where a subscription without
    one is accepted and nothing ever comes.
    """

    name: str
    filter: Json = None

    @property
    def parameters(self) -> tuple[Json, ...]:
        return (self.name,) if self.filter is None else (self.name, self.filter)


class Subscription:
    """A stream of one endpoint. `on_event` gets every event, `on_state` every change of the state with a reason."""

    def __init__(
        self,
        nodes: Nodes,
        endpoint: Endpoint,
        stream: Stream,
        *,
        on_event: Callable[[Event], None],
        on_state: Callable[[State, str], None],
    ) -> None:
        self._nodes = nodes
        self._endpoint = endpoint
        self._stream = stream
        self._on_event = on_event
        self._on_state = on_state

    async def run(self) -> None:
        """Listens until it is cancelled."""
        if self._endpoint.ws is None:
            self._on_state("off", "no WebSocket is configured")
            return
        back_off_s = BACK_OFF_S_MIN
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._listen(self._endpoint.ws)
            except RpcRejected as rejected:
                self._on_state("off", str(rejected))
                await asyncio.sleep(OFF_RECHECK_S)
            except (TransportFailed, Unavailable) as failure:
                self._on_state("lost", str(failure))
                lasted = asyncio.get_running_loop().time() - started > BACK_OFF_S_MAX
                back_off_s = BACK_OFF_S_MIN if lasted else min(BACK_OFF_S_MAX, 2 * back_off_s)
                await asyncio.sleep(back_off_s)

    async def attempt(self) -> None:
        """Subscribes once and leaves at once, telling the state only."""
        if self._endpoint.ws is None:
            self._on_state("off", "no WebSocket is configured")
            return
        try:
            socket = await self._subscribed(self._endpoint.ws)
        except RpcRejected as rejected:
            self._on_state("off", str(rejected))
        except (TransportFailed, Unavailable) as failure:
            self._on_state("lost", str(failure))
        else:
            self._on_state("listening", "")
            await socket.close()

    async def _listen(self, url: str) -> None:
        """Listens until the connection is lost.

        Raises:
            TransportFailed: it is lost, or was not to be had.
            RpcRejected: the endpoint does not offer this stream.
            Unavailable: the endpoint is of another network, or does not answer.
        """
        socket = await self._subscribed(url)
        try:
            self._on_state("listening", "")
            while socket.alive:
                quiet_s = asyncio.get_running_loop().time() - socket.heard_at
                if quiet_s < QUIET_S_MAX:
                    await socket.wait_lost(QUIET_S_MAX - quiet_s)
                else:
                    await socket.call(COUNT, "getblockcount")
            raise TransportFailed(socket.lost, delivered=True)
        finally:
            await socket.close()

    async def _subscribed(self, url: str) -> RpcSocket:
        await self._nodes.admitted(self._endpoint)
        socket = await RpcSocket.open(
            url,
            open_s=OPEN_S_MAX,
            request_s=self._nodes.config.times.request_s,
            message_bytes_max=MESSAGE_BYTES_MAX,
            on_event=self._on_event,
        )
        try:
            # The address of the WebSocket may lead elsewhere than that for HTTP does.
            network = (await socket.call(VERSION, "getversion")).protocol.network
            if network != self._nodes.config.magic:
                raise TransportFailed(f"its WebSocket is of network {network}", delivered=False)
            await socket.call(SUBSCRIPTION, "subscribe", *self._stream.parameters)
        except BaseException:
            await socket.close()
            raise
        return socket
