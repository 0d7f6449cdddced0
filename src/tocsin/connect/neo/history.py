"""The past of the chain in batches: blocks with all they did, and calls on old states.

Blocks first, then the application logs of their transactions, a hundred calls a request; a few requests are always on
their way while whoever takes the blocks works on those before. Each request goes to one endpoint, and to the next where
that fails, so an outage costs time and no block.
"""

import asyncio
import base64
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Nodes
from tocsin.connect.neo.raw_block import BlockOutline, read_block
from tocsin.connect.neo.reader import invocation_parameters
from tocsin.connect.neo.rpc import BATCH_CALLS_MAX, AnswerTooLong, Call, RpcRejected, TransportFailed, read
from tocsin.connect.neo.values import block_of, execution_of, outcome_of, outline_of
from tocsin.connect.neo.wire import APPLICATION_LOG, BLOCK, INVOCATION, TEXT
from tocsin.connect.ports import Block, Execution, Invocation, Notification
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused, Unavailable
from tocsin.domain.hashes import TxHash

BLOCKS_A_REQUEST = 10
"""A block can be as large as a hundred logs."""
BLOCK_REQUESTS_AHEAD = 4
LOG_REQUESTS_AHEAD = 8
"""Enough that the node is never idle while its answers are read, and few enough for the memory: some 400 logs."""
PATIENCE_S = 2.0
"""How long an endpoint may take for a request before the next is asked as well."""
NO_SUCH_STATE = frozenset({-606, -106, -109, -32601})
"""Old states not supported, unknown state root, unknown height, and a node that does not know the method at all."""


type Outcome = tuple[bool, tuple[Notification, ...]]
"""Whether a transaction HALTed, and its notifications."""


@dataclass(slots=True)
class _Incoming:
    """Blocks on their way, in order, and the logs that they still wait for."""

    waiting: deque[BlockOutline] = field(default_factory=deque[BlockOutline])
    to_ask: list[TxHash] = field(default_factory=list[TxHash])
    requests: deque[asyncio.Task[list[Outcome]]] = field(default_factory=deque[asyncio.Task[list[Outcome]]])
    outcomes: deque[Outcome] = field(default_factory=deque[Outcome])

    def expect(self, outline: BlockOutline) -> None:
        self.waiting.append(outline)
        self.to_ask += [tx for tx, _ in outline.transactions]

    def complete(self) -> Iterable[Block]:
        """The blocks at the front whose logs are all here."""
        while self.waiting and len(self.waiting[0].transactions) <= len(self.outcomes):
            outline = self.waiting.popleft()
            yield block_of(outline, [self.outcomes.popleft() for _ in outline.transactions])


class NeoHistory:
    """`BlockHistory` and `StateHistory` over the endpoints of a network."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def blocks(self, first: int, last: int) -> AsyncGenerator[Block]:
        """See `BlockHistory.blocks`."""
        incoming = _Incoming()
        try:
            async with aclosing(self._outlines(first, last)) as outlines:
                async for outline in outlines:
                    incoming.expect(outline)
                    while len(incoming.to_ask) >= BATCH_CALLS_MAX:
                        if len(incoming.requests) >= LOG_REQUESTS_AHEAD:
                            incoming.outcomes.extend(await incoming.requests.popleft())
                        self._ask(incoming, BATCH_CALLS_MAX)
                        for block in incoming.complete():
                            yield block
                    for block in incoming.complete():
                        yield block
            self._ask(incoming, len(incoming.to_ask))
            while incoming.requests:
                incoming.outcomes.extend(await incoming.requests.popleft())
                for block in incoming.complete():
                    yield block
            assert not incoming.waiting, "every log has come"
        finally:
            await _abandon(incoming.requests)

    async def test_invoke_at(self, questions: Sequence[tuple[int, Invocation]]) -> Sequence[Execution]:
        """See `StateHistory.test_invoke_at`."""
        calls: list[Call] = [
            ("invokescripthistoric", (height, *invocation_parameters([call], ()))) for height, call in questions
        ]
        chunks = itertools.batched(calls, BATCH_CALLS_MAX, strict=False)
        async with aclosing(_in_order(self._on_old_states, chunks, LOG_REQUESTS_AHEAD)) as answers:
            return [execution async for chunk in answers for execution in chunk]

    async def _outlines(self, first: int, last: int) -> AsyncGenerator[BlockOutline]:
        """The blocks in order, without what their transactions did."""
        ranges = itertools.batched(range(first, last + 1), BLOCKS_A_REQUEST, strict=False)
        async with aclosing(_in_order(self._some_blocks, ranges, BLOCK_REQUESTS_AHEAD)) as chunks:
            async for outlines, failure in chunks:
                for outline in outlines:
                    yield outline
                if failure is not None:
                    raise failure

    async def _some_blocks(self, heights: Sequence[int]) -> tuple[Sequence[BlockOutline], Unavailable | None]:
        """These blocks, or as many of the first of them as can be had and why not more."""
        found: list[BlockOutline] = []
        while len(found) < len(heights):
            wanted = heights[len(found) :]
            try:
                found += await self._nodes.first(
                    lambda node, wanted=wanted: _blocks_of(node, wanted),
                    what=f"block {wanted[0]}",
                    patience_s=PATIENCE_S,
                )
            except Unavailable as error:
                return found, error
        return found, None

    def _ask(self, incoming: _Incoming, count: int) -> None:
        """Sends for the logs of the next transactions."""
        if transactions := incoming.to_ask[:count]:
            del incoming.to_ask[:count]
            incoming.requests.append(asyncio.create_task(self._logs(transactions)))

    async def _logs(self, transactions: Sequence[TxHash]) -> list[Outcome]:
        async def question(node: Node) -> list[Outcome]:
            results = await _batch(node, [("getapplicationlog", (tx,)) for tx in transactions])
            return [
                outcome_of(read(APPLICATION_LOG, _given(result)).executions[0], tx)
                for tx, result in zip(transactions, results, strict=True)
            ]

        what = f"{len(transactions)} application logs"
        return await self._nodes.first(question, what=what, patience_s=PATIENCE_S)

    async def _on_old_states(self, calls: Sequence[Call]) -> list[Execution]:
        without: list[str] = []

        async def question(node: Node) -> list[Execution]:
            try:
                return [execution_of(read(INVOCATION, _given(result))) for result in await _batch(node, calls)]
            except RpcRejected as rejected:
                if rejected.code in NO_SUCH_STATE:
                    without.append(f"{node.endpoint.name}: {rejected}")
                raise

        try:
            return await self._nodes.first(question, what="an old state", patience_s=PATIENCE_S)
        except Unavailable as error:
            if not without:
                raise
            raise Refused(
                "states-not-kept",
                f"no endpoint has the old states that are asked for: {'; '.join(without)}",
                next_step="ask a node that keeps them (neo-go: KeepOnlyLatestState and RemoveUntraceableBlocks off)",
            ) from error


async def _blocks_of(node: Node, heights: Sequence[int]) -> list[BlockOutline]:
    """As many of the first of these blocks as the node has, one at least; as JSON where their bytes can't be read."""

    def from_bytes(result: Json) -> BlockOutline:
        return read_block(base64.b64decode(read(TEXT, result)))

    try:
        return await _checked_blocks(node, heights, 0, from_bytes)
    except ValueError:
        return await _checked_blocks(node, heights, 1, lambda result: outline_of(read(BLOCK, result)))


async def _checked_blocks(
    node: Node, heights: Sequence[int], verbosity: int, outline_in: Callable[[Json], BlockOutline]
) -> list[BlockOutline]:
    found: list[BlockOutline] = []
    results = await _batch(node, [("getblock", (height, verbosity)) for height in heights])
    for height, result in zip(heights, results, strict=True):
        if isinstance(result, RpcRejected) and found:
            break
        outline = outline_in(_given(result))
        if outline.height != height:
            raise TransportFailed(f"gave block {outline.height} for {height}", delivered=True)
        found.append(outline)
    return found


async def _batch(node: Node, calls: Sequence[Call]) -> list[Json | RpcRejected]:
    """The calls as one batch, or as several smaller ones where the answer would be too long."""
    try:
        return await node.rpc.batch(calls)
    except AnswerTooLong:
        if len(calls) == 1:
            raise
        middle = len(calls) // 2
        return await _batch(node, calls[:middle]) + await _batch(node, calls[middle:])


def _given(result: Json | RpcRejected) -> Json:
    if isinstance(result, RpcRejected):
        raise result
    return result


async def _in_order[A, T](
    ask: Callable[[A], Coroutine[None, None, T]], about: Iterable[A], ahead: int
) -> AsyncGenerator[T]:
    """The answers about each, in order, of which `ahead` are always on their way."""
    tasks: deque[asyncio.Task[T]] = deque()
    try:
        for each in about:
            tasks.append(asyncio.create_task(ask(each)))
            if len(tasks) == ahead:
                yield await tasks.popleft()
        while tasks:
            yield await tasks.popleft()
    finally:
        await _abandon(tasks)


async def _abandon[T](tasks: Iterable[asyncio.Task[T]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
