"""A Neo N3 network, ready to use: makes reader, sender and feed from a configuration, and closes what it opened."""

from types import TracebackType
from typing import Self

import httpx2

from tocsin.connect.neo.arming import NeoArmedSender
from tocsin.connect.neo.feed import NeoFeed
from tocsin.connect.neo.history import NeoHistory
from tocsin.connect.neo.mempool import NeoMempoolFeed
from tocsin.connect.neo.network import NetworkConfig
from tocsin.connect.neo.nodes import EndpointStatus, Nodes
from tocsin.connect.neo.presigned import NeoPresigner
from tocsin.connect.neo.reader import NeoReader
from tocsin.connect.neo.rehearser import NeoRehearser
from tocsin.connect.neo.sender import NeoSender
from tocsin.connect.neo.wallets import KeyRing
from tocsin.connect.neo.watch import Watch
from tocsin.connect.ports import Outbox
from tocsin.domain.clock import Clock, SystemClock

CONNECTIONS_MAX = 64


class NeoChain:
    """An async context that holds the connections. Its members implement the ports that are named like them.

    Nothing is asked of the network on entering: `tocsin pause` must not wait for endpoints that it does not need.
    """

    def __init__(
        self, config: NetworkConfig, outbox: Outbox, clock: Clock | None = None, *, keys: KeyRing | None = None
    ) -> None:
        limits = httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        # Half the time for connecting, so that a request which never got that far is told from one without an answer.
        connect_s = config.times.request_s / 2
        timeout = httpx2.Timeout(config.times.request_s, connect=connect_s, pool=connect_s)
        self._http = httpx2.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False)
        self._nodes = Nodes(config, self._http)
        self._watch = Watch(self._nodes)
        self.config = config
        self.reader = NeoReader(self._nodes)
        self._clock = clock or SystemClock()
        keys = keys or KeyRing(config.keys)
        self.sender = NeoSender(self._nodes, keys, outbox, self._clock)
        self.feed = NeoFeed(self._nodes, self._watch)
        self.history = NeoHistory(self._nodes)
        self.presigner = NeoPresigner(self._nodes, self.sender)
        self.mempool = NeoMempoolFeed(self._nodes, self._watch)
        self.rehearser = NeoRehearser(self._nodes)
        self.armed = NeoArmedSender(self._nodes, keys, outbox, self._clock)

    def sender_over(self, outbox: Outbox) -> NeoSender:
        """A sender without keys for what stands in another outbox: it can wait for that and offer it again."""
        return NeoSender(self._nodes, KeyRing(()), outbox, self._clock)

    async def survey(self) -> tuple[EndpointStatus, ...]:
        """How each endpoint stands now: its newest block, or what is wrong with it. Never raises for an endpoint.

        A look of the watch: endpoints that lag or contradict the others are set aside by it.
        """
        return await self._watch.look()

    async def watch(self) -> None:
        """Watches the endpoints until it is cancelled; `Watch` says what that means. For whoever runs for long."""
        await self._watch.keep()

    async def block_ms(self) -> int:
        """The time between blocks in milliseconds, as the chain says.

        Raises:
            Unavailable: no endpoint answered.
        """
        return await self._nodes.block_ms()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.armed.close()
        await self._nodes.close()
        await self._http.aclose()
