"""Final blocks as they come: woken by a WebSocket, read by RPC, and polled for when no WebSocket tells of them in time.

What a WebSocket says is only ever a wake-up: a subscription that is lost, that freezes, or that misses a block costs
time and no block, since whoever follows reads every block from the last one it knows.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence

from tocsin.connect.neo.listener import HeadListener
from tocsin.connect.neo.network import Endpoint
from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Answer, Nodes, Question, Reply, answers_in
from tocsin.connect.neo.quorum import Agreement, agreed_height, agreement, providers_of
from tocsin.connect.neo.rpc import RpcRejected, TransportFailed, read
from tocsin.connect.neo.values import block_of, outcome_of, outline_of
from tocsin.connect.neo.watch import Watch
from tocsin.connect.neo.wire import APPLICATION_LOG, BLOCK, BlockTransactionAnswer
from tocsin.connect.ports import Block, Notification
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import TxHash

BLOCK_S_UNKNOWN = 1.0
"""The pace while no endpoint says how long a block takes; used for nothing but how often to ask."""
STALL_BLOCKS = 10
STALL_S_MIN = 5.0


class NeoFeed:
    """`BlockFeed` over the endpoints of a network."""

    def __init__(self, nodes: Nodes, watch: Watch) -> None:
        self._nodes = nodes
        self._watch = watch
        self._quorum = nodes.config.quorum

    async def heads(self) -> AsyncGenerator[int]:
        """See `BlockFeed.heads`. The first head comes at once; a slow reader gets the newest and not all between.

        A head is the highest block that a quorum of providers has told of, so none rests on one endpoint's word. When
        endpoints fall silent so that no quorum is left, the others' heads are held back for a bounded time (ten blocks
        or five seconds); then the heads go on from those that grow. Following on is better than blindness, and what
        they tell of decides nothing.
        """
        listener = HeadListener(self._nodes)
        listening = asyncio.create_task(listener.run())
        tracker = HeadTracker(self._nodes.config.endpoints, self._quorum)
        try:
            heights = await self._poll()
            while True:
                block_s = await self._block_s()
                poll_s = min(0.5, max(0.02, block_s / 10))
                stall_s = max(STALL_S_MIN, STALL_BLOCKS * block_s)
                head = tracker.head_after(heights, asyncio.get_running_loop().time(), stall_s)
                if head is not None:
                    yield head
                if listening.done():
                    listening.result()  # it never ends but by a fault of ours, which must not be silent
                # A living subscription tells of a block before it is looked for; half a block late, look all the same.
                # Where one provider tells of more than the others, theirs come any moment, or have to be asked for.
                waits_for_more = tracker.claims_more or not listener.live
                heights = await listener.next(poll_s if waits_for_more else 1.5 * block_s)
                if not heights:
                    heights = await self._poll()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def block(self, height: int, *, confirmed: bool = False) -> Block:
        """See `BlockFeed.block`.

        Unconfirmed, it is read from one endpoint, the others in turn where it fails. Confirmed, it is read from all at
        once, and those who tell otherwise than the quorum are set aside with the reason. That costs the bandwidth of
        all, and the time of the slowest that the quorum needs.
        """
        if not confirmed:
            return await self._nodes.first(_block_at(height), what=f"block {height}")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._nodes.config.times.quorum_s
        while True:
            replies = await self._nodes.ask(_block_at(height), enough=lambda blocks: self._agreed(blocks) is not None)
            if (agreed := self._agreed(answers_in(replies))) is not None:
                self._accuse_others(answers_in(replies), agreed)
                return agreed.value
            poll_s = await self._nodes.poll_s()
            if loop.time() + poll_s > deadline:
                raise _unconfirmed(height, replies, self._quorum)
            await asyncio.sleep(poll_s)

    def _agreed(self, blocks: Sequence[Answer[Block]]) -> Agreement[Block] | None:
        return agreement(blocks, self._quorum, lambda block: block)

    def _accuse_others(self, blocks: Sequence[Answer[Block]], agreed: Agreement[Block]) -> None:
        for each in blocks:
            if each.value != agreed.value:
                what = "is another one" if each.value.hash != agreed.value.hash else "has other contents"
                self._watch.accuse(each.endpoint, f"contradicts the majority: its block {each.value.height} {what}")

    def _quorate(self, heights: Sequence[Answer[int]]) -> bool:
        return len(providers_of(heights)) >= self._quorum

    async def _poll(self) -> dict[str, int]:
        return {
            answer.endpoint.name: answer.value for answer in answers_in(await self._nodes.heights(enough=self._quorate))
        }

    async def _block_s(self) -> float:
        try:
            return await self._nodes.block_ms() / 1000
        except Unavailable:
            return BLOCK_S_UNKNOWN


class HeadTracker:
    """Says when the newest block has grown, from what the endpoints say about their own. Pure."""

    def __init__(self, endpoints: Sequence[Endpoint], quorum: int) -> None:
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._quorum = quorum
        self._grown: dict[str, tuple[int, float]] = {}
        self._head = -1
        self._head_at = 0.0
        self._started: float | None = None
        self.claims_more = False
        """Whether somebody told of more than the head."""

    def head_after(self, heights: Mapping[str, int], now: float, stall_s: float) -> int | None:
        """The new head, or None if there is none. `now` and `stall_s` in seconds; see `NeoFeed.heads`."""
        for name, height in heights.items():
            if height > self._grown.get(name, (-1, now))[0]:
                self._grown[name] = (height, now)
        if self._started is None:
            self._started = now
        growing = [
            Answer(self._endpoints[name], height) for name, (height, at) in self._grown.items() if now - at <= stall_s
        ]
        # Too few grow: at first the others may only be slow to answer; later they have been waited for already.
        enough = len(providers_of(growing)) >= self._quorum or now - self._started > stall_s
        agreed = agreed_height(growing, self._quorum) if enough else None
        head = self._head if agreed is None else agreed
        self.claims_more = any(each.value > max(head, self._head) for each in growing)
        overdue = now - self._head_at > stall_s
        if head > self._head or (head < self._head and overdue):
            self._head, self._head_at = head, now
            return head
        return None


def _block_at(height: int) -> Question[Block]:
    async def question(node: Node) -> Block:
        answer = await node.rpc.call(BLOCK, "getblock", height, 1)
        if answer.index != height:
            raise TransportFailed(f"gave block {answer.index} for {height}", delivered=True)
        logs = await node.rpc.batch([("getapplicationlog", (each.hash,)) for each in answer.tx])
        return block_of(outline_of(answer), list(itertools.starmap(_outcome, zip(answer.tx, logs, strict=True))))

    return question


def _unconfirmed(height: int, replies: Sequence[Reply[Block]], quorum: int) -> Unavailable:
    said = [
        f"{reply.endpoint.name}: {reply.value.hash}" if isinstance(reply, Answer) else str(reply) for reply in replies
    ]
    return Unavailable(
        "block-unconfirmed",
        f"no {quorum} independent providers give the same block {height}: {'; '.join(said)}",
        next_step="look at the endpoints that differ or are silent; the quorum is not lowered by itself",
        data={"height": height, "needed": quorum, "answers": said},
    )


def _outcome(answer: BlockTransactionAnswer, log: Json | RpcRejected) -> tuple[bool, tuple[Notification, ...]]:
    if isinstance(log, RpcRejected):
        raise log
    return outcome_of(read(APPLICATION_LOG, log).executions[0], TxHash(answer.hash))
