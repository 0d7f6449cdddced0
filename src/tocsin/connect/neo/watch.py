"""Looks at all endpoints again and again: sets aside those that can't be relied on, and takes them back in time.

A look asks every endpoint, also those set aside, for its height and for the hash of one block that all should have;
what that means is judged in `health`. Without the watch (break glass) nothing is set aside but other networks, and the
quorum alone decides.
"""

import asyncio
from collections.abc import Awaitable, Callable

from tocsin.connect.neo.health import Probation, common_height, hash_faults, head_of, height_faults
from tocsin.connect.neo.network import Endpoint
from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Answer, EndpointStatus, Nodes, Silence, answers_in, height_of
from tocsin.connect.neo.wire import BLOCK_HASH
from tocsin.domain.errors import Unavailable

LOOK_S_MIN = 0.2
LOOK_S_MAX = 5.0
LOOK_S_UNKNOWN = 1.0


class Watch:
    """The watch over the endpoints of a network."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._limits = nodes.config.health
        self._quorum = nodes.config.quorum
        self._probation = Probation(self._limits)

    async def keep(self) -> None:
        """Looks about once a block (0.2 to 5 s) until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(await self._pause_s())

    async def look(self) -> tuple[EndpointStatus, ...]:
        """One look: how each endpoint stands now; every one is waited for. Never raises for an endpoint."""
        replies = await self._nodes.ask(height_of, enough=lambda _: False, everybody=True)
        heights = answers_in(replies)
        faults = height_faults(heights, self._quorum, self._limits)
        if (common := common_height(heights, self._quorum, self._limits)) is not None:
            hashes = answers_in(await self._nodes.ask(_hash_at(common), enough=lambda _: False, everybody=True))
            faults |= hash_faults(hashes, common, self._quorum)
        now = asyncio.get_running_loop().time()
        nodes = {node.endpoint.name: node for node in self._nodes.all}
        for change in self._probation.judge([each.endpoint.name for each in heights], faults, now):
            if change.fault is None:
                nodes[change.endpoint].readmit()
            else:
                nodes[change.endpoint].suspend(change.fault)
        head = head_of(heights, self._quorum)
        return tuple(_status(node, reply, head) for node, reply in zip(self._nodes.all, replies, strict=True))

    def accuse(self, endpoint: Endpoint, reason: str) -> None:
        """Sets an endpoint aside for what was found elsewhere; it comes back like any other."""
        self._probation.accuse(endpoint.name)
        self._nodes.node(endpoint).suspend(reason)

    async def _pause_s(self) -> float:
        try:
            return min(LOOK_S_MAX, max(LOOK_S_MIN, await self._nodes.block_ms() / 1000))
        except Unavailable:
            return LOOK_S_UNKNOWN


def _hash_at(height: int) -> Callable[[Node], Awaitable[str]]:
    async def question(node: Node) -> str:
        return await node.rpc.call(BLOCK_HASH, "getblockhash", height)

    return question


def _status(node: Node, reply: Answer[int] | Silence, head: int | None) -> EndpointStatus:
    latency_ms = None if node.latency_s is None else node.latency_s * 1000
    if isinstance(reply, Silence):
        return EndpointStatus(node.endpoint, None, reply.reason, latency_ms, set_aside=node.set_aside is not None)
    behind = None if head is None else head - reply.value
    set_aside = node.set_aside is not None
    return EndpointStatus(node.endpoint, reply.value, node.set_aside, latency_ms, behind, set_aside)
