"""The endpoints of a network: asked all at once with a time-out each, or one after the other until one answers.

An endpoint is believed to be of this network only after it has named the right network number; one of another network
is set aside, with the reason. So is one that `watch` has found to lag or to contradict the others. What many answers
mean together is decided in `quorum`.
"""

import asyncio
import statistics
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx2

from tocsin.connect.neo.network import Endpoint, NetworkConfig
from tocsin.connect.neo.node import Node
from tocsin.connect.neo.rpc import RpcClient, RpcFailure, RpcRejected, TransportFailed, read
from tocsin.connect.neo.values import execution_of
from tocsin.connect.neo.wire import BLOCK_MS_MAX, COUNT, INVOCATION
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import ScriptHash

POLICY = ScriptHash("0xcc5e4edd9f5f8dba8bb65734541df7a1c081c67b")
BLOCK_TIME_KEPT_S = 300.0
"""How long the block time is believed; the committee may vote for another one."""


@dataclass(frozen=True, slots=True)
class Answer[T]:
    """What an endpoint said."""

    endpoint: Endpoint
    value: T


@dataclass(frozen=True, slots=True)
class Silence:
    """Why an endpoint said nothing of use. `delivered`: the question may have reached it all the same."""

    endpoint: Endpoint
    reason: str
    delivered: bool

    def __str__(self) -> str:
        return f"{self.endpoint.name}: {self.reason}"


type Reply[T] = Answer[T] | Silence
type Question[T] = Callable[[Node], Awaitable[T]]


def answers_in[T](replies: Sequence[Reply[T]]) -> list[Answer[T]]:
    """The replies that are answers."""
    return [reply for reply in replies if isinstance(reply, Answer)]


def _newest_first(node: Node) -> float:
    return -node.height


def any_answer[T](answers: Sequence[Answer[T]]) -> bool:
    """Enough, for what one endpoint may be believed."""
    return bool(answers)


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """How an endpoint stands: its newest block, or what is wrong with it.

    `problem` is what this look or an earlier one found, None if nothing. `set_aside`: it is asked nothing for now.
    """

    endpoint: Endpoint
    height: int | None
    problem: str | None
    latency_ms: float | None = None
    behind: int | None = None
    """How many blocks it is behind what a quorum has (negative: ahead); None if either is not known."""
    set_aside: bool = False

    def __str__(self) -> str:
        at = "does not answer" if self.height is None else f"block {self.height}"
        latency = "" if self.latency_ms is None else f", {self.latency_ms:.1f} ms"
        problem = "" if self.problem is None else f": {self.problem}"
        return f"{self.endpoint.name} ({self.endpoint.provider}): {at}{latency}{problem}"


class Nodes:
    """All endpoints of one network."""

    def __init__(self, config: NetworkConfig, http: httpx2.AsyncClient) -> None:
        self.config = config
        request_s = config.times.request_s
        self.all = tuple(
            Node(
                endpoint,
                RpcClient(http, endpoint.url, request_s=request_s, body_bytes_max=config.body_bytes_max),
                magic=config.magic,
                request_s=request_s,
            )
            for endpoint in config.endpoints
        )
        self._block_ms: tuple[int, float] | None = None

    async def ask[T](
        self,
        question: Question[T],
        *,
        enough: Callable[[Sequence[Answer[T]]], bool] = any_answer,
        everybody: bool = False,
    ) -> list[Reply[T]]:
        """Puts the question to every endpoint at once; one reply an endpoint, in the configuration's order.

        Those set aside are not asked and stay silent with the reason, unless `everybody` is asked (and even then not
        those of another network).

        Returns when all have replied, or the grace is over after `enough` became content with the answers. Endpoints
        that lately failed or missed a grace are not waited for then. Until `enough` is content, each is waited for
        until its own time-outs end the question.
        """
        loop = asyncio.get_running_loop()
        tasks = {asyncio.create_task(self.put(node, question, everybody=everybody)): node for node in self.all}
        pending = set(tasks)
        answers: list[Answer[T]] = []
        grace_end: float | None = None
        try:
            while pending:
                left = None if grace_end is None else max(0.0, grace_end - loop.time())
                done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                answers += answers_in([task.result() for task in done])
                now = loop.time()
                if grace_end is None and enough(answers):
                    grace_end = now + self.config.times.grace_s
                if grace_end is not None and (now >= grace_end or all(tasks[task].doubted(now) for task in pending)):
                    break
        finally:
            await _abandon(pending)
        for task in pending:
            tasks[task].doubt(loop.time() + self.config.times.doubt_s)
        return [
            Silence(node.endpoint, "no answer in time", delivered=True) if task in pending else task.result()
            for task, node in tasks.items()
        ]

    async def first[T](
        self,
        question: Question[T],
        *,
        what: str,
        order: Callable[[Node], float] = _newest_first,
        patience_s: float | None = None,
    ) -> T:
        """Puts the question to one endpoint after the other, the best first; the first answer counts.

        The next one is asked as soon as the one before has failed, or has kept silent for `patience_s` (the grace, by
        default). Endpoints that lately failed come last, whatever their `order` (least first).

        Raises:
            Unavailable: none answered; the message names each one's reason. `what` says what was looked for.
        """
        now = asyncio.get_running_loop().time()
        waiting = deque(sorted(self.all, key=lambda node: (node.doubted(now), order(node))))
        grace_s = self.config.times.grace_s if patience_s is None else patience_s
        pending: set[asyncio.Task[Reply[T]]] = set()
        silences: list[Silence] = []
        try:
            while waiting or pending:
                if waiting:
                    pending.add(asyncio.create_task(self.put(waiting.popleft(), question)))
                patience = grace_s if waiting else None
                done, pending = await asyncio.wait(pending, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for reply in [task.result() for task in done]:
                    if isinstance(reply, Answer):
                        return reply.value
                    silences.append(reply)
        finally:
            await _abandon(pending)
        raise unavailable(what, silences)

    def node(self, endpoint: Endpoint) -> Node:
        """The node at this endpoint of the configuration."""
        return next(node for node in self.all if node.endpoint == endpoint)

    async def close(self) -> None:
        """Closes the endpoints' own connections. The HTTP client is somebody else's."""
        await asyncio.gather(*(node.close() for node in self.all))

    async def admitted(self, endpoint: Endpoint) -> None:
        """Makes sure that this endpoint is a node of the network.

        Raises:
            Unavailable: it is of another network, or does not answer.
        """
        try:
            await self.node(endpoint).admit()
        except RpcFailure as failure:
            raise Unavailable("endpoint-unusable", f"{endpoint.name}: {failure}") from failure

    async def heights(self, *, enough: Callable[[Sequence[Answer[int]]], bool] = any_answer) -> list[Reply[int]]:
        """Each endpoint's newest block."""
        return await self.ask(height_of, enough=enough)

    async def block_ms(self) -> int:
        """The time between blocks in milliseconds, as the chain's policy says (or, where it can't say, the nodes).

        Raises:
            Unavailable: no endpoint answered.
        """
        now = asyncio.get_running_loop().time()
        if self._block_ms is None or now - self._block_ms[1] > BLOCK_TIME_KEPT_S:
            replies = await self.ask(self._ask_block_ms)
            answers = answers_in(replies)
            if not answers:
                raise unavailable("the block time", replies)
            # The middle one, so that a single endpoint can't make the others wait too long or too short.
            self._block_ms = statistics.median_high([answer.value for answer in answers]), now
        return self._block_ms[0]

    async def validity_max(self) -> int:
        """The most blocks that a transaction may be valid for.

        Raises:
            Unavailable: no endpoint answered.
        """
        replies = await self.ask(Node.admit)
        increments = [answer.value.maxvaliduntilblockincrement for answer in answers_in(replies)]
        if not increments:
            raise unavailable("the protocol's limits", replies)
        return statistics.median_high(increments)

    async def poll_s(self) -> float:
        """How often to look whether the chain has moved: a tenth of the block time, within 20 to 500 ms."""
        return min(0.5, max(0.02, await self.block_ms() / 10_000))

    async def _ask_block_ms(self, node: Node) -> int:
        protocol = await node.admit()
        try:
            answer = await node.rpc.call(INVOCATION, "invokefunction", POLICY, "getMillisecondsPerBlock", [])
        except RpcRejected:
            return protocol.msperblock
        # Chains before the hard fork that made it the committee's have no such method.
        stated = execution_of(answer).stack[:1] if answer.state == "HALT" else ()
        match stated:
            case (int(block_ms),) if 0 < block_ms <= BLOCK_MS_MAX:
                return block_ms
            case _:
                return protocol.msperblock

    async def put[T](self, node: Node, question: Question[T], *, everybody: bool = False) -> Reply[T]:
        """Puts the question to one endpoint; see `ask`. Never raises for what the endpoint does."""
        if node.suspended is not None and not everybody:
            return Silence(node.endpoint, node.suspended, delivered=False)
        try:
            await node.admit()
            answer = Answer(node.endpoint, await question(node))
        except RpcFailure as failure:
            delivered = not isinstance(failure, TransportFailed) or failure.delivered
            if isinstance(failure, TransportFailed):
                node.doubt(asyncio.get_running_loop().time() + self.config.times.doubt_s)
            return Silence(node.endpoint, str(failure), delivered)
        node.doubt(0.0)
        return answer


def unavailable[T](what: str, replies: Sequence[Reply[T]]) -> Unavailable:
    """The error for something that no endpoint could give."""
    reasons = "; ".join(str(reply) for reply in replies if isinstance(reply, Silence))
    return Unavailable(
        "no-endpoint-answered",
        f"no endpoint gave {what}: {reasons}",
        next_step="check the endpoints, or add one of another provider",
        data={reply.endpoint.name: reply.reason for reply in replies if isinstance(reply, Silence)},
    )


async def height_of(node: Node) -> int:
    """The index of the endpoint's newest block.

    Raises:
        RpcFailure: the endpoint gave no answer.
    """
    asked_at = asyncio.get_running_loop().time()
    count = await node.rpc.call(COUNT, "getblockcount")
    node.took(asyncio.get_running_loop().time() - asked_at)
    return node.saw(count)


async def _abandon[T](tasks: set[asyncio.Task[T]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def height_in(node: Node, result: Json | RpcRejected) -> int:
    """The newest block's index from a `getblockcount` inside a batch.

    Raises:
        RpcFailure: it was rejected, or is no number.
    """
    if isinstance(result, RpcRejected):
        raise result
    return node.saw(read(COUNT, result))
