"""Pending transactions from the pools of all endpoints, each once, whoever tells of it first.

What an endpoint tells is held against the hash that it gives: a content that does not have it is a lie, is dropped, and
its endpoint is set aside. What a transaction would do is `rehearser`'s to find out.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from tocsin.connect.neo.content import Unserialisable, imprint
from tocsin.connect.neo.network import Endpoint
from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Nodes, answers_in, unavailable
from tocsin.connect.neo.rpc import RpcRejected
from tocsin.connect.neo.subscription import State, Stream, Subscription
from tocsin.connect.neo.watch import Watch
from tocsin.connect.neo.websocket import Event
from tocsin.connect.neo.wire import MEMPOOL_EVENT, PENDING, POOL, PendingTransaction
from tocsin.connect.reflex_ports import Gap, GapReason, MempoolSource, MempoolTransaction
from tocsin.domain.amounts import Gas
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import ScriptHash, TxHash

ADDED = Stream("mempool_event", {"type": "added"})
MISSED_EVENT = "event_missed"
REMEMBERED_MAX = 50_000
"""How many transactions are remembered, so that each is given out once; the pool of a node holds as many by default."""
QUEUE_MAX = 10_000
PENDING_READ_MAX = 5_000
"""How many transactions of one endpoint's pool are read when catching up, the first to be taken first."""
SILENT_AFTER = 20
"""An endpoint that has told of none of this many transactions in a row, all told of by others, is suspicious."""

type Item = MempoolTransaction | Gap


@dataclass(slots=True)
class _Ear:
    """What is known of one endpoint as a source."""

    source: MempoolSource
    listened: bool = False
    unheard: int = 0
    """How many transactions others told of since this one told of any."""


class NeoMempoolFeed:
    """`MempoolFeed` over the endpoints of a network."""

    def __init__(self, nodes: Nodes, watch: Watch) -> None:
        self._nodes = nodes
        self._watch = watch
        self._ears = {e.name: _Ear(MempoolSource(e.name, "connecting")) for e in nodes.config.endpoints}
        self._bits = {provider: 1 << n for n, provider in enumerate(nodes.config.providers)}
        self._tellers: OrderedDict[TxHash, int] = OrderedDict()
        """Every transaction given out, with the providers that told of it, a bit each."""
        self._queue: asyncio.Queue[Item] = asyncio.Queue(QUEUE_MAX)
        self._overrun: set[str] = set()
        self._changed = asyncio.Event()

    async def events(self) -> AsyncGenerator[Item]:
        """See `MempoolFeed.events`."""
        subscriptions = [
            asyncio.create_task(
                Subscription(
                    self._nodes, endpoint, ADDED, on_event=self._hear(endpoint), on_state=self._note(endpoint)
                ).run()
            )
            for endpoint in self._nodes.config.endpoints
        ]
        try:
            while True:
                self._changed.clear()
                while not self._queue.empty():
                    yield self._queue.get_nowait()
                for name in tuple(self._overrun):
                    self._overrun.discard(name)
                    yield Gap(name, GapReason.OVERRUN, f"more than {QUEUE_MAX} events waited to be read")
                if all(ear.source.state == "off" for ear in self._ears.values()):
                    raise _off(self.sources())
                for task in subscriptions:
                    if task.done() and not task.cancelled():
                        task.result()  # a fault of ours must not be silent
                await self._changed.wait()
        finally:
            for task in subscriptions:
                task.cancel()
            await asyncio.gather(*subscriptions, return_exceptions=True)

    async def pending(self) -> Sequence[MempoolTransaction]:
        """See `MempoolFeed.pending`. Reads at most `PENDING_READ_MAX` transactions an endpoint."""
        replies = await self._nodes.ask(self._pool_of, enough=lambda _: False)
        if not (answers := answers_in(replies)):
            raise unavailable("what is pending", replies)
        heard_at = time.perf_counter()
        found = [self._told(answer.endpoint, content, heard_at) for answer in answers for content in answer.value]
        return [each for each in found if each is not None]

    async def probe(self) -> tuple[MempoolSource, ...]:
        """See `MempoolFeed.probe`."""
        found: dict[str, MempoolSource] = {}

        def note(endpoint: Endpoint) -> Callable[[State, str], None]:
            return lambda state, detail: found.update({endpoint.name: MempoolSource(endpoint.name, state, detail)})

        await asyncio.gather(
            *(
                Subscription(self._nodes, e, ADDED, on_event=lambda _: None, on_state=note(e)).attempt()
                for e in self._nodes.config.endpoints
            )
        )
        return tuple(found[endpoint.name] for endpoint in self._nodes.config.endpoints)

    def sources(self) -> tuple[MempoolSource, ...]:
        """See `MempoolFeed.sources`."""
        return tuple(
            replace(ear.source, suspicion=f"silent about the last {ear.unheard} transactions that others told of")
            if ear.source.suspicion is None and ear.source.state == "listening" and ear.unheard >= SILENT_AFTER
            else ear.source
            for ear in self._ears.values()
        )

    def seen_by(self, tx: TxHash) -> frozenset[str]:
        """See `MempoolFeed.seen_by`."""
        tellers = self._tellers.get(tx, 0)
        return frozenset(provider for provider, bit in self._bits.items() if tellers & bit)

    def _hear(self, endpoint: Endpoint) -> Callable[[Event], None]:
        def hear(event: Event) -> None:
            heard_at = time.perf_counter()
            if event.get("method") == MISSED_EVENT:
                self._give(Gap(endpoint.name, GapReason.MISSED, "the node dropped events"))
                return
            try:
                news = MEMPOOL_EVENT.validate_python(event).params[0]
            except ValidationError:
                return
            if news.type == "added" and (told := self._told(endpoint, news.transaction, heard_at)) is not None:
                self._give(told)

        return hear

    def _note(self, endpoint: Endpoint) -> Callable[[State, str], None]:
        def note(state: State, detail: str) -> None:
            ear = self._ears[endpoint.name]
            ear.source = replace(ear.source, state=state, detail=detail)
            if state == "listening":
                ear.unheard = 0
                if ear.listened:
                    self._give(Gap(endpoint.name, GapReason.RECONNECTED, "the subscription had been lost"))
                ear.listened = True
            self._changed.set()

        return note

    def _give(self, item: Item) -> None:
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            self._overrun.add(item.endpoint)
            if isinstance(item, MempoolTransaction):
                # Not given out after all: whoever catches up must find it among the pending ones.
                self._tellers.pop(item.tx, None)
        self._changed.set()

    def _told(self, endpoint: Endpoint, content: Json, heard_at: float) -> MempoolTransaction | None:
        """The transaction, if this is the first time that anybody tells of it and it is what it is said to be."""
        try:
            pending = PENDING.validate_python(content)
        except ValidationError:
            # No proof of a lie: a newer node may write things differently. But somebody should look.
            ear = self._ears[endpoint.name]
            ear.source = replace(ear.source, suspicion="told of a transaction that can't be read")
            return None
        transaction = _transaction(endpoint, pending, content, heard_at)
        if transaction is None:
            self._accuse(endpoint, f"told of {pending.hash} with a content that does not have this hash")
            return None
        ear = self._ears[endpoint.name]
        ear.source, ear.unheard = replace(ear.source, told=ear.source.told + 1), 0
        if transaction.tx in self._tellers:
            self._tellers[transaction.tx] |= self._bits[endpoint.provider]
            return None
        for other in self._ears.values():
            if other is not ear:
                other.unheard += 1
        self._tellers[transaction.tx] = self._bits[endpoint.provider]
        while len(self._tellers) > REMEMBERED_MAX:
            self._tellers.popitem(last=False)
        return transaction

    def _accuse(self, endpoint: Endpoint, reason: str) -> None:
        ear = self._ears[endpoint.name]
        ear.source = replace(ear.source, suspicion=reason)
        self._watch.accuse(endpoint, reason)

    async def _pool_of(self, node: Node) -> list[Json]:
        """What is in the endpoint's pool and was not given out yet.

        Raises:
            RpcFailure: the endpoint gave no answer.
        """
        hashes = [tx for tx in await node.rpc.call(POOL, "getrawmempool") if TxHash(tx) not in self._tellers]
        contents = await node.rpc.batch([("getrawtransaction", (tx, 1)) for tx in hashes[:PENDING_READ_MAX]])
        # What a block has taken meanwhile, or the pool has dropped, is not pending any more.
        return [content for content in contents if not isinstance(content, RpcRejected)]


def _transaction(
    endpoint: Endpoint, pending: PendingTransaction, content: Json, heard_at: float
) -> MempoolTransaction | None:
    """The transaction; None if the content does not have the hash that it is told under."""
    assert isinstance(content, dict)
    try:
        found = imprint(pending)
    except Unserialisable:
        # Passed on all the same: a part that is unknown here must not be a place to hide in.
        found = None
    if found is not None and found.tx != pending.hash:
        return None
    signers = tuple(ScriptHash(signer.account) for signer in pending.signers)
    return MempoolTransaction(
        tx=TxHash(pending.hash),
        sender=signers[0],
        signers=signers,
        network_fee=Gas(pending.netfee),
        system_fee=Gas(pending.sysfee),
        size=pending.size if found is None else found.size,
        script=b"" if found is None else found.script,
        valid_until_block=pending.validuntilblock,
        endpoint=endpoint.name,
        bound=found is not None,
        content=content,
        heard_at=heard_at,
    )


def _off(sources: Sequence[MempoolSource]) -> Unavailable:
    reasons = {source.endpoint: source.detail for source in sources}
    return Unavailable(
        "mempool-subscriptions-off",
        "no endpoint tells of pending transactions: " + "; ".join(f"{name}: {why}" for name, why in reasons.items()),
        next_step="set MempoolSubscriptionsEnabled on a node of yours; until then attacks are seen in blocks only",
        data=dict(reasons),
    )
