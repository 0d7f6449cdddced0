"""Final blocks as they come: woken by a WebSocket, read by RPC, and polled for when no WebSocket tells of them in time.

What a WebSocket says is only ever a wake-up: a subscription that is lost, that freezes, or that misses a block costs
time and no block, since whoever follows reads every block from the last one it knows.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from tocsin.connect.neo.listener import HeadListener
from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Nodes, answers_in
from tocsin.connect.neo.rpc import RpcRejected, TransportFailed, read
from tocsin.connect.neo.values import execution_of
from tocsin.connect.neo.wire import APPLICATION_LOG, BLOCK, BlockAnswer, BlockTransactionAnswer
from tocsin.connect.ports import Block, BlockTransaction
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import BlockHash, ScriptHash, TxHash

BLOCK_S_UNKNOWN = 1.0
"""The pace while no endpoint says how long a block takes; used for nothing but how often to ask."""
STALL_BLOCKS = 10
STALL_S_MIN = 5.0


class NeoFeed:
    """`BlockFeed` over the endpoints of a network."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def heads(self) -> AsyncGenerator[int]:
        """See `BlockFeed.heads`. The first head comes at once; a slow reader gets the newest and not all between.

        An endpoint that claims blocks which never come holds the others' heads back for a bounded time (ten blocks or
        five seconds); then the heads go on from those that grow, which may be lower.
        """
        listener = HeadListener(self._nodes)
        listening = asyncio.create_task(listener.run())
        tracker = HeadTracker()
        try:
            heights = await self._poll()
            while True:
                block_s = await self._block_s()
                stall_s = max(STALL_S_MIN, STALL_BLOCKS * block_s)
                head = tracker.head_after(heights, asyncio.get_running_loop().time(), stall_s)
                if head is not None:
                    yield head
                if listening.done():
                    listening.result()  # it never ends but by a fault of ours, which must not be silent
                # A living subscription tells of a block before it is looked for; half a block late, look all the same.
                heights = await listener.next(1.5 * block_s if listener.live else min(0.5, max(0.02, block_s / 10)))
                if not heights:
                    heights = await self._poll()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def block(self, height: int) -> Block:
        """See `BlockFeed.block`. Read from one endpoint, the others in turn where it fails."""

        async def question(node: Node) -> Block:
            answer = await node.rpc.call(BLOCK, "getblock", height, 1)
            if answer.index != height:
                raise TransportFailed(f"gave block {answer.index} for {height}", delivered=True)
            logs = await node.rpc.batch([("getapplicationlog", (each.hash,)) for each in answer.tx])
            return _block(answer, logs)

        return await self._nodes.first(question, what=f"block {height}")

    async def _poll(self) -> dict[str, int]:
        return {answer.endpoint.name: answer.value for answer in answers_in(await self._nodes.heights())}

    async def _block_s(self) -> float:
        try:
            return await self._nodes.block_ms() / 1000
        except Unavailable:
            return BLOCK_S_UNKNOWN


class HeadTracker:
    """Says when the newest block has grown, from what the endpoints say about their own. Pure."""

    def __init__(self) -> None:
        self._grown: dict[str, tuple[int, float]] = {}
        self._head = -1
        self._head_at = 0.0

    def head_after(self, heights: dict[str, int], now: float, stall_s: float) -> int | None:
        """The new head, or None if there is none. `now` and `stall_s` in seconds; see `NeoFeed.heads`."""
        for name, height in heights.items():
            if height > self._grown.get(name, (-1, now))[0]:
                self._grown[name] = (height, now)
        growing = [height for height, at in self._grown.values() if now - at <= stall_s]
        head = max(growing, default=self._head)
        overdue = head < self._head and now - self._head_at > stall_s
        if head > self._head or overdue:
            self._head, self._head_at = head, now
            return head
        return None


def _block(answer: BlockAnswer, logs: list[Json | RpcRejected]) -> Block:
    return Block(
        height=answer.index,
        hash=BlockHash(answer.hash),
        time=datetime.fromtimestamp(answer.time / 1000, UTC),
        transactions=tuple(itertools.starmap(_transaction, zip(answer.tx, logs, strict=True))),
    )


def _transaction(answer: BlockTransactionAnswer, log: Json | RpcRejected) -> BlockTransaction:
    if isinstance(log, RpcRejected):
        raise log
    tx = TxHash(answer.hash)
    execution = execution_of(read(APPLICATION_LOG, log).executions[0], container=tx)
    signers = tuple(ScriptHash(signer.account) for signer in answer.signers)
    # The sender is the first signer, by the protocol.
    return BlockTransaction(tx, signers[0], signers, execution.halted, execution.notifications)
