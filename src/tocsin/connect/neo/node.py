"""One endpoint with its connections and what has been learnt about it."""

import asyncio

from tocsin.connect.neo.line import Line
from tocsin.connect.neo.network import Endpoint
from tocsin.connect.neo.rpc import RpcClient, TransportFailed
from tocsin.connect.neo.wire import VERSION, Protocol

RECHECK_S = 60.0
"""How long an endpoint of another network stays set aside before it is asked again."""
LATENCY_WEIGHT = 0.3
"""How much of a measured latency goes into the running mean."""


class Node:
    """An endpoint of the network `magic`.

    `rehearsals` and `sending` are lines of their own, so that a busy rehearsal holds up no transaction.
    """

    def __init__(self, endpoint: Endpoint, rpc: RpcClient, *, magic: int, request_s: float) -> None:
        self.endpoint = endpoint
        self.rpc = rpc
        self.rehearsals = Line(endpoint, rpc, magic=magic, request_s=request_s)
        self.sending = Line(endpoint, rpc, magic=magic, request_s=request_s)
        self.height = -1
        """The newest block it has told of; -1 before that."""
        self.latency_s: float | None = None
        """How long a light call takes, a running mean; None before the first."""
        self.protocol: Protocol | None = None
        self.suspended: str | None = None
        """Why it is asked nothing for now, though it is of this network: it lags or contradicts the others."""
        self._magic = magic
        self._foreign: str | None = None
        self._checked_at = 0.0
        self._doubted_until = 0.0

    @property
    def set_aside(self) -> str | None:
        """Why it is asked nothing for now, or None."""
        return self._foreign or self.suspended

    async def admit(self) -> Protocol:
        """Makes sure, once, that this is a node of the network.

        Raises:
            RpcFailure: it does not answer, or it is of another network.
        """
        now = asyncio.get_running_loop().time()
        if self._foreign is not None and now - self._checked_at < RECHECK_S:
            raise TransportFailed(self._foreign, delivered=False)
        if self.protocol is None:
            protocol = (await self.rpc.call(VERSION, "getversion")).protocol
            self._checked_at = now
            if protocol.network != self._magic:
                self._foreign = f"set aside: it is of network {protocol.network}, not {self._magic}"
                raise TransportFailed(self._foreign, delivered=False)
            self.protocol, self._foreign = protocol, None
        return self.protocol

    def saw(self, count: int) -> int:
        """Notes a block count that it gave; returns the index of its newest block."""
        self.height = count - 1
        return self.height

    def took(self, seconds: float) -> None:
        """Notes how long a light call took."""
        mean = seconds if self.latency_s is None else self.latency_s
        self.latency_s = mean + LATENCY_WEIGHT * (seconds - mean)

    def suspend(self, reason: str) -> None:
        """Has it asked nothing, until it is readmitted; transactions are offered to it all the same."""
        self.suspended = f"set aside: {reason}"

    def readmit(self) -> None:
        self.suspended = None

    def doubted(self, now: float) -> bool:
        return now < self._doubted_until

    def doubt(self, until: float) -> None:
        self._doubted_until = until

    async def close(self) -> None:
        """Closes its lines. The HTTP client is somebody else's."""
        await asyncio.gather(self.rehearsals.close(), self.sending.close())
